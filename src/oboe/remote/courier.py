"""Carries the engine's messages to other agents, and hands those that arrive to the engine: orders, interrupts, reports, recalls.

A report goes to the maintainer that its order named; when that one is gone or no longer serves the home, to whoever does now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from oboe.domain.errors import TryAgain, Unreachable
from oboe.domain.messages import Interrupt, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.remote.client import Peers
from oboe.remote.messages import Nothing, ReportRequest, Settled

__all__ = ["Receiver", "RpcCourier", "register_courier"]

Params = Mapping[str, Any]
SECONDS = 5.0
"""Bound of one delivery; the engine delivers again."""


class RpcCourier:
    """The engine's `Courier` over `Peers`. ``find_maintainer`` says who maintains the cluster's dags now, or None.

    Secrets in params of an agent's own dag are sealed with its own key; ``wrap`` seals them so that other members can open them."""

    def __init__(
        self,
        peers: Peers,
        find_maintainer: Callable[[], Address | None],
        *,
        wrap: Callable[[Params], Params] = lambda params: params,
        timeout: float = SECONDS,
    ) -> None:
        self._peers = peers
        self._find_maintainer = find_maintainer
        self._wrap = wrap
        self._timeout = timeout

    def order(self, agent: Address, order: Order) -> None:
        """Returns once the agent has written the order down."""
        if order.home.kind is HomeKind.AGENT:
            order = replace(order, params=self._wrap(order.params))
        self._peers.call(agent, "order", order, Nothing, timeout=self._timeout)

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        self._peers.call(agent, "interrupt", interrupt, Nothing, timeout=self._timeout)

    def settled(self, agent: Address, dag_key: str) -> None:
        self._peers.call(agent, "settled", Settled(dag_key), Nothing, timeout=self._timeout)

    def recall(self, agent: Address, request: RecallAgent) -> Recollection:
        return self._peers.call(agent, "recall", request, Recollection, timeout=self._timeout)

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        """What the home said of it; NOT_MINE when nobody serves it now. `Unreachable`, `TryAgain`."""
        request = ReportRequest(home, report)
        try:
            verdict = self._peers.call(maintainer, "report", request, Verdict, timeout=self._timeout)
        except (TryAgain, Unreachable):
            other = self._other(home, maintainer)
            if other is None:
                raise
        else:
            other = self._other(home, maintainer) if verdict is Verdict.NOT_MINE else None
            if other is None:
                return verdict
        return self._peers.call(other, "report", request, Verdict, timeout=self._timeout)

    def _other(self, home: Home, maintainer: Address) -> Address | None:
        """Whoever serves that home, if it is not the one that was asked. An agent's home is served by that agent for ever."""
        found = self._find_maintainer() if home.kind is HomeKind.CLUSTER else home.agent
        return None if found == maintainer else found


class Receiver(Protocol):
    """The engine, as far as messages from other agents go. Durable when it returns."""

    def order(self, order: Order) -> None: ...
    def interrupt(self, interrupt: Interrupt) -> None: ...
    def settled(self, dag_key: str) -> None: ...
    def recall(self, request: RecallAgent) -> Recollection: ...
    def report(self, home: Home, report: Report) -> Verdict: ...


class Registry(Protocol):
    """`oboe.remote.verbs.Verbs`, or a listener that has them."""

    def on(self, name: str, request_type: type[Any], handler: Callable[[Address, Any], Any], *, long: bool = False) -> None: ...


def register_courier(verbs: Registry, receiver: Receiver, *, unwrap: Callable[[Params], Params] = lambda params: params) -> None:
    """Register the verbs of the engine's messages. ``unwrap`` undoes what another agent's ``wrap`` did to the params of its own dag."""

    def order(caller: Address, request: Order) -> Nothing:
        if request.home.kind is HomeKind.AGENT:
            request = replace(request, params=unwrap(request.params))
        receiver.order(request)
        return Nothing()

    def interrupt(caller: Address, request: Interrupt) -> Nothing:
        receiver.interrupt(request)
        return Nothing()

    def settled(caller: Address, request: Settled) -> Nothing:
        receiver.settled(request.dag_key)
        return Nothing()

    verbs.on("order", Order, order)
    verbs.on("interrupt", Interrupt, interrupt)
    verbs.on("settled", Settled, settled)
    verbs.on("recall", RecallAgent, lambda caller, request: receiver.recall(request))
    verbs.on("report", ReportRequest, lambda caller, request: receiver.report(request.home, request.report))
