"""Dags that lead dags: the leader's side (`Leading`, given to steps) and the led agent's side (`Led`, behind the verbs).

Everything is repeatable: a led dag is created once by its key, a signal is kept once by its name, an operator that has been carried
out already is no error. So a leader that dies anywhere asks again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from oboe.control.port import Caller
from oboe.control.starting import Starter
from oboe.domain import events, fold
from oboe.domain.errors import Refused, TryAgain
from oboe.domain.messages import Level
from oboe.domain.model import Dag, Leader
from oboe.domain.values import Address, HomeKind, Operator, State
from oboe.engine.ports import DagStore
from oboe.kit.registry import Registry
from oboe.kit.run import Child, ChildStatus
from oboe.membership.verbs import AskDag, FollowDag, LeadDag, LedBy, LedDags, SignalDag
from oboe.remote.messages import Nothing, decode, encode
from oboe.store.locks import MaintenanceHeld

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Leading", "Led", "LedAnswer"]

_UNDO_SECONDS = 60.0
"""How long a led dag may take to come to rest before it is undone."""


_SETTLED_SECONDS = 1.0


class LedAnswer(msgspec.Struct):
    """``dag.lead``: the number the led dag has in its home."""

    dag_id: int


class OwnDags(Protocol):
    """The engine, as far as the led side needs it."""

    def ask(self, home: HomeKind, key: str, event: events.Request, timeout: float = ...) -> Dag: ...
    def wait_version(self, home: HomeKind, key: str, known_version: int, timeout: float) -> Dag | None: ...


class Leading:
    """The engine's `Children` port: other agents' dags, led from here."""

    def __init__(self, peers: Callable[[], Peers]) -> None:
        self._peers = peers

    def create(self, agent: Address, playbook: str, params: Any, dag_key: str, leader: Leader) -> Child:
        """``params`` travel in clear inside mutual TLS and are sealed by the agent that keeps them."""
        plain = decode(encode(params), dict)
        request = LeadDag(playbook, plain, dag_key, int(leader.home), leader.dag_key, str(leader.agent))
        answer = self._peers().call(agent, "dag.lead", request, LedAnswer, timeout=10)
        return Child(agent, dag_key, answer.dag_id)

    def tell(self, child: Child, signal: str, payload: Any) -> None:
        self._peers().call(child.agent, "dag.signal", SignalDag(child.dag_key, signal, payload), Nothing, timeout=10)

    def ask(self, child: Child, operator: str) -> None:
        self._peers().call(child.agent, "dag.ask", AskDag(child.dag_key, operator), Nothing, timeout=_UNDO_SECONDS + 10)

    def status(self, child: Child, known_version: int, timeout: float) -> ChildStatus:
        request = FollowDag(child.dag_key, known_version, timeout)
        return self._peers().call(child.agent, "dag.follow", request, ChildStatus, timeout=timeout + 5)


class Led:
    """This agent's dags that others lead."""

    def __init__(self, here: Address, starter: Starter, registry: Registry, own: DagStore, engine: OwnDags) -> None:
        self._here = here
        self._starter = starter
        self._registry = registry
        self._own = own
        self._engine = engine

    def lead(self, request: LeadDag) -> LedAnswer:
        known = self._own.load(request.dag_key)
        if known is not None:
            return LedAnswer(known.id)
        book = self._registry.playbook(request.playbook)
        params = decode(encode(request.params), book.params)
        leader = Leader(HomeKind(request.leader_home), request.leader_key, Address.parse(request.leader_agent))
        try:
            dag = self._starter.start(book.name, params, caller=Caller("obshell", request.leader_agent), key=request.dag_key, leader=leader)
        except MaintenanceHeld as held:
            raise self._held_for(held) from None
        return LedAnswer(dag.id)

    def _held_for(self, held: MaintenanceHeld) -> Refused:
        """Who is held by a part of another operation can do nothing with the part: the operation is named."""
        holder = self._own.load(held.holder_key)
        main = holder.params.get("main_dag_id") if holder is not None and holder.leader is not None else None
        if not isinstance(main, str):
            return held
        hint = f"retry, pass or roll back {main}; a start or stop may also let go what it holds (--force-pass {main}, forcePassDag)"
        return Refused(held.code, f"{self._here}: {held.message}; it is part of {main}", hint=hint)

    def signal(self, request: SignalDag) -> Nothing:
        self._engine.ask(HomeKind.AGENT, request.dag_key, events.Signalled(request.name, request.payload))
        return Nothing()

    def follow(self, request: FollowDag) -> ChildStatus:
        """A dag that has settled will not change: who waits for it anyway, mostly a leader that has moved on, is not kept for long."""
        key, known = request.dag_key, request.known_version
        settled = fold.settled(self._dag(key))
        dag = self._engine.wait_version(HomeKind.AGENT, key, known, min(request.seconds, _SETTLED_SECONDS if settled else 30.0))
        return self._status(dag or self._dag(key))

    def led_by(self, request: LedBy) -> LedDags:
        """What a leader left here that forgot it, or that never heard that it was made."""
        here = [dag for dag in self._own.unsettled() if dag.leader is not None and dag.leader.dag_key == request.leader_key]
        return LedDags([Child(self._here, dag.key, dag.id) for dag in here])

    def ask(self, request: AskDag) -> Nothing:
        if request.operator in ("ROLLBACK", "RELEASE"):
            return self._undo(request.dag_key, or_pass=request.operator == "RELEASE")
        if request.operator == "RETRY":
            return self._do(request.dag_key, events.Retry()) if fold.dag_state(self._dag(request.dag_key)) is State.FAILED else Nothing()
        return self._do(request.dag_key, events.Cancel() if request.operator == "CANCEL" else events.Pass())

    def _undo(self, key: str, *, or_pass: bool) -> Nothing:
        """What runs is stopped first, whatever the catalogue says of cancelling: its leader decides.

        A dag that ended well cannot be undone as a dag; its leader sees that in `follow`."""
        deadline = time.monotonic() + _UNDO_SECONDS
        while True:
            dag = self._dag(key)
            state = fold.dag_state(dag)
            if state is State.SUCCEEDED or (dag.operator is Operator.ROLLBACK and state is not State.FAILED):
                return Nothing()
            if state is State.FAILED:
                try:
                    return self._do(key, events.Rollback())
                except Refused as error:
                    if not or_pass or error.code != "rollback.not_allowed":
                        raise
                    return self._do(key, events.Pass())
            if time.monotonic() > deadline:
                raise TryAgain("child.busy", f"{dag.name} does not come to rest", after_seconds=5)
            if not dag.cancelled:
                try:
                    self._do(key, events.Cancel(forced=True))
                except Refused as error:
                    if error.code != "cancel.finished":
                        raise
                    continue  # it came to rest by itself meanwhile
            self._engine.wait_version(HomeKind.AGENT, key, dag.version, 2.0)

    def _dag(self, key: str) -> Dag:
        dag = self._own.load(key)
        if dag is None:
            raise Refused("task.not_found", "this agent has no such dag")
        return dag

    def _do(self, key: str, event: events.Request) -> Nothing:
        self._engine.ask(HomeKind.AGENT, key, event)
        return Nothing()

    def _status(self, dag: Dag) -> ChildStatus:
        done = tuple(
            node.name for index, node in enumerate(dag.plan.nodes) if all(dag.sub_tasks[i].done for i in dag.plan.sub_tasks_of(index))
        )
        broken = {dag.plan.nodes[dag.plan.node_of[index]].name: None for index, one in enumerate(dag.sub_tasks) if one.broken}
        failed: list[str] = []
        told: dict[str, list[str]] = {}
        for record in self._own.logs(dag):
            node = dag.plan.nodes[dag.plan.node_of[record.sub_task]].name
            if dag.sub_tasks[record.sub_task].broken:
                failed.append(record.line.text)
            elif record.line.level is Level.INFO:
                told.setdefault(node, []).append(record.line.text)
        return ChildStatus(
            version=dag.version,
            state=fold.dag_state(dag).name,
            operator=dag.operator.name,
            done=done,
            lines=tuple(failed),
            node_lines={node: tuple(lines) for node, lines in told.items()},
            failed=tuple(broken),
        )
