"""What a person may change while a dag waits: pause, resume, approve, more time, other retries, doing without an agent. As messages,
as events, as words.

All of them are requests of the machine (`oboe.domain.asks`), refused where its guards refuse them. Who asks is on record in the dag
(pauses, approvals, agents that are gone) and in the record of operators.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from oboe.control.views import Effect, Preview
from oboe.domain import events
from oboe.domain.guards import guard
from oboe.domain.machine import advance
from oboe.domain.model import Dag
from oboe.domain.values import Address, Operator

__all__ = [
    "ApproveNode",
    "Change",
    "ExtendSubTask",
    "ForsakeAgent",
    "PauseDag",
    "ResumeDag",
    "SetSubTaskRetries",
    "preview_change",
    "recorded_change",
]


class PauseDag(msgspec.Struct, tag="PAUSE", tag_field="change", frozen=True):
    """Begin nothing new; what is under way goes on. ``until`` nanoseconds, 0: until it is resumed."""

    who: str
    why: str
    until: int = 0

    def event(self, index: int) -> events.Request:
        return events.Pause(self.who, self.why, self.until)


class ResumeDag(msgspec.Struct, tag="RESUME", tag_field="change", frozen=True):
    """End a pause."""

    who: str

    def event(self, index: int) -> events.Request:
        return events.Resume()


class ApproveNode(msgspec.Struct, tag="APPROVE", tag_field="change", frozen=True):
    """Let a node begin that waits for a person; it may be said before its turn comes."""

    who: str
    why: str

    def event(self, index: int) -> events.Request:
        return events.Approve(index, self.who, self.why)


class ExtendSubTask(msgspec.Struct, tag="EXTEND", tag_field="change", frozen=True):
    """More time for the attempt that is under way: it times out at ``until`` (nanoseconds) instead."""

    who: str
    until: int

    def event(self, index: int) -> events.Request:
        return events.Extend(index, self.until)


class SetSubTaskRetries(msgspec.Struct, tag="RETRIES", tag_field="change", frozen=True):
    """Other automatic retries than the plan's, counted from now."""

    who: str
    retries: int

    def event(self, index: int) -> events.Request:
        return events.SetRetries(index, self.retries)


class ForsakeAgent(msgspec.Struct, tag="GONE", tag_field="change", frozen=True):
    """Wait no longer for an agent that will not come back; what it left open may then be passed, or its undo skipped."""

    who: str
    why: str
    agent: Address

    def event(self, index: int) -> events.Request:
        return events.Gone(self.agent, self.who, self.why)


Change = PauseDag | ResumeDag | ApproveNode | ExtendSubTask | SetSubTaskRetries | ForsakeAgent

KINDS: dict[type[Any], Literal["dag", "node", "sub_task"]] = {
    PauseDag: "dag",
    ResumeDag: "dag",
    ApproveNode: "node",
    ExtendSubTask: "sub_task",
    SetSubTaskRetries: "sub_task",
    ForsakeAgent: "dag",
}
"""What each is asked of."""


def recorded_change(dag: Dag, change: Change, index: int) -> dict[str, Any]:
    """What the record of operators says of a dag beside its state, before and after."""
    if isinstance(change, ApproveNode):
        return {"approval": msgspec.to_builtins(dag.approvals.get(index))}
    if isinstance(change, ExtendSubTask):
        return {"deadline": dag.sub_tasks[index].deadline}
    if isinstance(change, SetSubTaskRetries):
        return {"retries": dag.sub_tasks[index].retries}
    if isinstance(change, ForsakeAgent):
        return {"gone": msgspec.to_builtins(dag.gone)}
    return {"paused": msgspec.to_builtins(dag.paused)}


def preview_change(dag: Dag, change: Change, index: int) -> Preview:
    """What would begin at once, what goes on, what stands; `Refused` as the change itself would be."""
    now, request = time.time_ns(), change.event(index)
    refusal = guard(dag, request, now=now)
    if refusal is not None:
        raise refusal
    asked, _ = advance(dag, [request], now=now, here=dag.created_by, epoch=dag.epoch)
    after, _ = advance(asked, [events.Wake()], now=now, here=dag.created_by, epoch=dag.epoch)
    lines = []
    for node, planned in enumerate(dag.plan.nodes):
        action: Literal["run", "undo", "keep", "none"] = "none"
        detail = ""
        for each in dag.plan.sub_tasks_of(node):
            before, then = dag.sub_tasks[each], after.sub_tasks[each]
            if then.attempt > before.attempt:
                action = "undo" if then.operator is Operator.ROLLBACK else "run"
            elif then.live:
                action, detail = "keep", "goes on"
            elif before.live or before.unsure > then.unsure:
                action, detail = "none", "given up; it may have run"
            elif before.done and action == "none":
                action = "keep"
        agents = tuple(str(agent or dag.home.agent or "the maintainer") for agent in planned.agents)
        lines.append(Effect(planned.name, agents, action, detail))
    return Preview(f"{_tag(change)} {dag.name}", tuple(lines))


def _tag(change: Change) -> str:
    return str(type(change).__struct_config__.tag)
