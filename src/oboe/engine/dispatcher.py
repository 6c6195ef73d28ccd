"""Orders and interrupts of one home on their way to agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oboe.domain.messages import Fence, Interrupt, Order
from oboe.domain.values import Address
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from oboe.engine.ports import Courier

__all__ = ["Dispatcher"]


class Dispatcher:
    """Implements `oboe.engine.hands.Outward`. An order is tried until it is delivered or its attempt is not open any more."""

    def __init__(self, courier: Courier, limits: Limits, *, still_open: Callable[[Fence], bool], recall: Callable[[Address], None]) -> None:
        self._courier = courier
        self._still_open = still_open
        self._recall = recall
        self._lanes = Lanes("dispatch", limits)

    def order(self, agent: Address, order: Order) -> None:
        self._lanes.put(
            agent, ("order", order.fence), lambda: self._courier.order(agent, order), wanted=lambda: self._still_open(order.fence)
        )

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        """An order that was not delivered yet need not be: the interrupt is written down in its stead."""
        self._lanes.drop(agent, ("order", interrupt.fence))
        self._lanes.put(agent, ("interrupt", interrupt.fence), lambda: self._courier.interrupt(agent, interrupt))

    def settled(self, agent: Address, dag_key: str) -> None:
        self._lanes.put(agent, ("settled", dag_key), lambda: self._courier.settled(agent, dag_key))

    def recall(self, agent: Address) -> None:
        self._recall(agent)

    def heard_of(self, agent: Address) -> None:
        """It answers again."""
        self._lanes.hurry(agent)

    @property
    def troubles(self) -> Mapping[str, str]:
        """Agents that do not answer, with the reason."""
        return {str(agent): text for agent, text in self._lanes.troubles().items()}

    @property
    def pending(self) -> int:
        return self._lanes.pending

    def stop(self) -> None:
        self._lanes.stop()
