"""Orders and interrupts of one home on their way to agents."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from oboe.domain.errors import Refused
from oboe.domain.messages import Fence, Interrupt, Order
from oboe.domain.values import Address
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from oboe.engine.ports import Courier

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)


class Dispatcher:
    """Implements `oboe.engine.hands.Outward`. An order is tried until it is delivered or its attempt is not open any more.

    Those for this very agent are given to ``take`` together, so that one commit of its inbox has them; it answers why it refuses some."""

    def __init__(
        self,
        courier: Courier,
        limits: Limits,
        *,
        here: Address,
        take: Callable[[Sequence[Order]], Sequence[Refused]],
        still_open: Callable[[Fence], bool],
        recall: Callable[[Address], None],
    ) -> None:
        self._courier = courier
        self._here = here
        self._take = take
        self._lock = threading.Lock()
        self._own: dict[Fence, Order] = {}
        """For this agent, not taken yet."""
        self._still_open = still_open
        self._recall = recall
        self._lanes = Lanes("dispatch", limits)

    def order(self, agent: Address, order: Order) -> None:
        if agent == self._here:
            with self._lock:
                self._own[order.fence] = order
            self._lanes.put(agent, "orders", self._hand_over)
            return
        self._lanes.put(
            agent, ("order", order.fence), lambda: self._courier.order(agent, order), wanted=lambda: self._still_open(order.fence)
        )

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        """An order that was not delivered yet need not be: the interrupt is written down in its stead."""
        self._lanes.drop(agent, ("order", interrupt.fence))
        with self._lock:
            self._own.pop(interrupt.fence, None)
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

    def _hand_over(self) -> None:
        """All orders for this agent. `TryAgain`: they stay."""
        with self._lock:
            orders = tuple(self._own.values())
        for refusal in self._take([order for order in orders if self._still_open(order.fence)]):
            _log.warning("an order of this agent's own: refused: %s", refusal)
        with self._lock:
            for order in orders:
                if self._own.get(order.fence) is order:
                    del self._own[order.fence]

    @property
    def pending(self) -> int:
        return self._lanes.pending

    def stop(self) -> None:
        self._lanes.stop()
