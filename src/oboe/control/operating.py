"""Operators: RETRY, ROLLBACK, CANCEL, PASS, asked of whoever keeps the dag, or of the dag that leads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from oboe.control.changing import KINDS, Change, preview_change, recorded_change
from oboe.control.leader import ask_maintainer, not_maintainer
from oboe.control.port import Caller
from oboe.control.reading import Reading
from oboe.control.views import Effect, Preview, Ref
from oboe.domain import events, fold, preview
from oboe.domain.errors import Refused, Unreachable
from oboe.domain.model import Dag
from oboe.domain.preview import PreviewLine
from oboe.domain.values import Address, HomeKind
from oboe.kit.registry import Registry
from oboe.membership.local import LocalAgent
from oboe.remote.messages import Nothing

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["OperateDag", "Operating"]

_LEADER_DECIDES = ("RETRY", "ROLLBACK")
_ASK_SECONDS = 10.0


class OperateDag(msgspec.Struct):
    """``dag.operate``: an operator for a dag of the answerer's home, or of the cluster home that it serves."""

    home: int
    key: str
    kind: str
    index: int
    operator: str
    caller: str
    change: Change | None = None
    """What to change while the dag waits; ``operator`` is its name then."""


class Homes(Protocol):
    """The engine, as far as operators need it."""

    def ask(self, home: HomeKind, key: str, event: events.Request, timeout: float = ...) -> Dag: ...
    def get(self, home: HomeKind, key: str) -> Dag | None: ...
    def serves_cluster(self) -> bool: ...


class Operating:
    """Carries an operator to the home that keeps the dag; the state has changed when it returns."""

    def __init__(
        self,
        local: LocalAgent,
        reading: Reading,
        engine: Homes,
        peers: Callable[[], Peers],
        maintainer: Callable[[], Address | None],
        audit: Callable[[str, str, Any, Any], None],
        registry: Registry,
    ) -> None:
        self._local = local
        self._reading = reading
        self._engine = engine
        self._peers = peers
        self._maintainer = maintainer
        self._audit = audit
        self._registry = registry

    def operate(self, ref: Ref, operator: str, caller: Caller) -> None:
        view = self._reading.dag(ref, details=False)
        event_of(operator, ref.kind, view.index)
        if ref.kind == "dag" and operator in _LEADER_DECIDES and self._ask_leader(view.dag, operator, caller):
            return
        request = OperateDag(int(view.dag.home.kind), view.dag.key, ref.kind, view.index, operator, caller.name)
        self._send(view.dag, ref.agent, request)

    def change(self, ref: Ref, change: Change, caller: Caller) -> None:
        """Change what the dag waits for; ``ref`` names the dag, the node or the sub-task that the change is about."""
        view = self._reading.dag(ref, details=False)
        if ref.kind != KINDS[type(change)]:
            raise Refused("operator.unknown", f"that is asked of a {KINDS[type(change)]}, not of a {ref.kind}")
        tag = str(type(change).__struct_config__.tag)
        self._send(view.dag, ref.agent, OperateDag(int(view.dag.home.kind), view.dag.key, ref.kind, view.index, tag, caller.name, change))

    def preview_change(self, ref: Ref, change: Change) -> Preview:
        view = self._reading.dag(ref, details=False)
        return preview_change(view.dag, change, view.index)

    def carry_out(self, request: OperateDag) -> Nothing:
        """Here, where the dag is kept."""
        home = HomeKind(request.home)
        if home is HomeKind.CLUSTER and not self._engine.serves_cluster():
            raise not_maintainer(self._local.address, self._maintainer())
        before = self._engine.get(home, request.key)
        change = request.change
        event = change.event(request.index) if change else event_of(request.operator, request.kind, request.index)
        dag = self._engine.ask(home, request.key, event, _ASK_SECONDS)
        who, what = change.who if change else request.caller or "obshell", f"{request.operator} {request.kind}"
        self._audit(who, what, before and _recorded(before, request), _recorded(dag, request))
        return Nothing()

    def preview(self, ref: Ref, operator: str) -> Preview:
        """What the operator would do; `Refused` as the operator itself would be."""
        view = self._reading.dag(ref, details=False)
        dag = view.dag
        event = event_of(operator, ref.kind, view.index)
        lines = preview.preview(dag, event)
        effects = tuple(
            Effect(dag.plan.nodes[line.node].name, _words(dag, line.agents), line.action, self._detail(dag, line)) for line in lines
        )
        return Preview(f"{operator} {dag.name}", effects)

    def _detail(self, dag: Dag, line: PreviewLine) -> str:
        """What the step's author says of it: of the undo, if it is one."""
        try:
            step = self._registry.step(dag.plan.nodes[line.node].step)
        except Refused as refusal:
            return refusal.message
        if line.action == "undo":
            told = getattr(step, "rollback", None).__doc__ if step.rollable() else ""
            return (told or "what it did is undone").strip().split("\n")[0]
        return (step.__doc__ or "").strip().split("\n")[0] if line.action == "run" else ""

    def _send(self, dag: Dag, owner: Address | None, request: OperateDag) -> None:
        if dag.home.kind is HomeKind.AGENT:
            if owner in (None, self._local.address):
                self.carry_out(request)
            else:
                assert owner is not None
                self._peers().call(owner, "dag.operate", request, Nothing, timeout=_ASK_SECONDS + 2)
            return
        if self._engine.serves_cluster():
            self.carry_out(request)
            return
        maintainer = self._maintainer()
        if maintainer is None:
            raise Unreachable("cluster.no_maintainer", "no agent holds the cluster's lease", hint="try again in some seconds")
        self._peers().call(maintainer, "dag.operate", request, Nothing, timeout=_ASK_SECONDS + 2)

    def _ask_leader(self, dag: Dag, operator: str, caller: Caller) -> bool:
        """RETRY and ROLLBACK of a led dag go to its leader. False: it has none, or its home is away and ROLLBACK alone is legal."""
        if dag.leader is None:
            return False
        leader = dag.leader
        request = OperateDag(int(leader.home), leader.dag_key, "dag", 0, operator, caller.name)
        try:
            if leader.home is HomeKind.CLUSTER and not self._engine.serves_cluster():
                known = [agent for agent in (self._maintainer(), leader.agent) if agent is not None]
                ask_maintainer(lambda agent: self._operate_at(agent, request), [*known, *self._local.fellows()])
            else:
                self._operate_at(leader.agent if leader.home is HomeKind.AGENT else self._local.address, request)
        except Refused as error:
            if error.code in ("task.not_found", "retry.not_failed", "rollback.not_failed"):
                return False
            raise
        except Unreachable:
            if operator == "ROLLBACK":
                return False
            raise
        return True

    def _operate_at(self, agent: Address, request: OperateDag) -> None:
        if agent == self._local.address:
            self.carry_out(request)
        else:
            self._peers().call(agent, "dag.operate", request, Nothing, timeout=_ASK_SECONDS + 2)


def _words(dag: Dag, agents: Iterable[Address | None]) -> tuple[str, ...]:
    """Who would do it; a cluster's dag leaves to the moment which agent maintains it."""
    return tuple(str(agent or dag.home.agent or "the maintainer") for agent in agents)


def _recorded(dag: Dag, request: OperateDag) -> dict[str, Any]:
    """What the record of operators says of a dag at one moment."""
    said: dict[str, Any] = {"id": dag.id, "key": dag.key, "name": dag.name, "version": dag.version}
    said |= {"state": fold.dag_state(dag).name, "operator": dag.operator.name, "cancelled": dag.cancelled}
    if request.change is not None:
        said |= recorded_change(dag, request.change, request.index)
    if request.kind == "sub_task":
        sub_task = dag.sub_tasks[request.index]
        said |= {"sub_task": request.index, "sub_task_state": sub_task.state.name, "sub_task_operator": sub_task.operator.name}
    elif request.kind == "node":
        said |= {"node": request.index, "node_state": fold.node_state(dag, request.index).name}
    return said


def event_of(operator: str, kind: str, index: int) -> events.Request:
    """The event that an operator asks for; `Refused` ``operator.unknown``."""
    if kind == "dag":
        known: dict[str, events.Request] = {
            "RETRY": events.Retry(),
            "ROLLBACK": events.Rollback(),
            "CANCEL": events.Cancel(),
            "PASS": events.Pass(),
            "SKIP": events.Skip(),
        }
    elif kind == "node":
        known = {"PASS": events.Pass(node=index)}
    else:
        known = {
            "RETRY": events.Retry(sub_task=index),
            "CANCEL": events.Cancel(sub_task=index),
            "PASS": events.Pass(sub_task=index),
            "SKIP": events.Skip(sub_task=index),
        }
    try:
        return known[operator]
    except KeyError:
        raise Refused("operator.unknown", f"{operator!r} is no operator of a {kind}", hint=", ".join(known)) from None
