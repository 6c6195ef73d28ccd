"""A dag while `oboe.domain.machine` changes it: copied at the first change, counted along, frozen again at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from oboe.domain.events import Effect, Settled, Timer
from oboe.domain.model import Dag, SubTask
from oboe.domain.state import state_of
from oboe.domain.tally import open_ones, tally_of, timer_of
from oboe.domain.values import Address, State

__all__ = ["Work"]

T = TypeVar("T", Dag, SubTask)


def _copier(kind: type[T]) -> Callable[[T, dict[str, Any]], T]:
    """`dataclasses.replace` for one frozen class with slots, five times as fast, which is a tenth of what a step costs.

    Writing to a frozen value goes through a call for each field. So the copy is born as a twin of the class, with the same slots and
    not frozen, and becomes one of ``kind`` when it is complete: Python allows that where the slots are the same. The body is written
    out field by field, as `dataclasses` itself does for ``__init__``."""
    names: list[str] = [field.name for field in fields(kind)]
    twin = type(f"_{kind.__name__}Draft", kind.__bases__, {"__slots__": names})
    lines = [
        "def copy(old, facts):",
        "    new = twin()",
        *(f"    new.{name} = old.{name}" for name in names),
        "    for name, value in facts.items():",
        "        setattr(new, name, value)",
        "    new.__class__ = kind",
        "    return new",
    ]
    scope: dict[str, Any] = {"twin": twin, "kind": kind}
    exec("\n".join(lines), scope)
    copy: Callable[[T, dict[str, Any]], T] = scope["copy"]
    return copy


_dag_with = _copier(Dag)
_sub_task_with = _copier(SubTask)


class Work:
    """A dag while it is being changed: sub-tasks in a list, counts that follow, effects that gather.

    ``dag`` is up to date but for its sub-tasks; both copies are made at the first change."""

    __slots__ = ("dag", "effects", "epoch", "here", "now", "origin", "state", "sub_tasks", "tally", "timer", "touched", "woken")

    def __init__(self, dag: Dag, now: int, here: Address, epoch: int) -> None:
        self.origin = self.dag = dag
        self.now, self.here, self.epoch = now, here, epoch
        self.sub_tasks: Sequence[SubTask] = dag.sub_tasks
        self.tally = tally_of(dag)
        self.timer = self.tally.timer
        self.touched: dict[int, SubTask] = {}
        """Sub-tasks that were changed, as they were before."""
        self.effects: list[Effect] = []
        self.state = state_of(dag, self.tally, dag.started_at)
        """As it was before."""
        self.woken = False

    @property
    def settled(self) -> bool:
        return self.state is State.SUCCEEDED

    def set(self, **facts: Any) -> None:
        """Change facts of the whole dag."""
        self.dag = _dag_with(self.dag, facts)

    def put(self, index: int, **facts: Any) -> SubTask:
        """Change one sub-task; the counts follow."""
        if not isinstance(self.sub_tasks, list):
            self.sub_tasks = list(self.sub_tasks)
            self.tally = self.tally.copy()
        before = self.sub_tasks[index]
        after = _sub_task_with(before, facts)
        self.touched.setdefault(index, before)
        self.sub_tasks[index] = after
        self.tally.moved(index, before, after)
        self.tally.due(timer_of(after, self.dag.plan.nodes[self.dag.plan.node_of[index]]))
        return after

    def set_timer(self) -> None:
        """The exact time of what is due next, once everything was looked at."""
        dag = self.dag
        if not isinstance(self.sub_tasks, list):
            self.tally = self.tally.copy()
        tally = self.tally
        tally.timer = 0
        if dag.recalled_at:
            return
        if dag.paused is not None:
            tally.due(dag.paused.until)
        elif not dag.started_at:
            tally.due(dag.not_before)
        for index in open_ones(self.sub_tasks):
            sub_task = self.sub_tasks[index]
            if sub_task.live or (sub_task.resting and dag.paused is None):
                tally.due(timer_of(sub_task, dag.plan.nodes[dag.plan.node_of[index]]))

    def finish(self) -> tuple[Dag, tuple[Effect, ...]]:
        """The value, one version on if it differs from what it was."""
        tally = self.tally
        differs = any(self.sub_tasks[index] != before for index, before in self.touched.items())
        sub_tasks = tuple(self.sub_tasks) if differs else self.origin.sub_tasks
        state = state_of(self.dag, tally, self.dag.started_at)
        over = state in (State.FAILED, State.SUCCEEDED)
        if not over or state is not self.state:
            ended_at = self.now if over else 0
            if self.dag.ended_at != ended_at:
                self.set(ended_at=ended_at)
        if state is State.SUCCEEDED and not self.settled:
            self.effects.append(Settled())
        elif not over and tally.timer and (self.woken or tally.timer != self.timer):
            self.effects.append(Timer(tally.timer))
        if not differs and (self.dag is self.origin or self.dag == self.origin):
            dag = self.origin
        else:
            facts = {"sub_tasks": sub_tasks, "epoch": self.epoch, "version": self.origin.version + 1}
            dag = _dag_with(self.dag, facts)
        tally.sub_tasks = sub_tasks
        object.__setattr__(dag, "_tally", tally)
        return dag, tuple(self.effects)
