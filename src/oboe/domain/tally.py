"""Counts of a dag, derived from its sub-tasks and carried along, so that one report looks at neighbours only.

The counts hang on the `Dag` outside its fields (`model._Counted`): they are never compared, copied or stored, and belong to exactly one
tuple of sub-tasks and one plan. `tally_of` makes them afresh for a dag that has none.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from oboe.domain.model import Dag, NodePlan, Plan, SubTask
from oboe.domain.values import READY, ROLLBACK, RUNNING, Mark, Operator

__all__ = ["Tally", "open_ones", "tally_of", "timer_of"]


class Tally:
    """Mutable while `advance` works on its own copy; never changed after it is hung on a dag.

    Invariant: equal to a fresh count of ``sub_tasks``, but for ``timer``, which may be earlier than the earliest time at which
    something is due, never later.
    """

    __slots__ = (
        "broken",
        "down",
        "going",
        "marked",
        "not_done",
        "not_done_total",
        "not_undone",
        "not_undone_total",
        "plan",
        "sub_tasks",
        "timer",
        "up",
    )

    plan: Plan
    sub_tasks: tuple[SubTask, ...]
    not_done: array[int]
    """By node: its sub-tasks that are not done."""
    not_undone: array[int]
    up: array[int]
    """By node: nodes directly upstream that do not stand: they are not done, or one upstream of them does not stand."""
    down: array[int]
    """By node: nodes directly downstream that are not gone: they are not undone, or one downstream of them is not gone.

    Where nothing is torn, *stands* is *done* and *gone* is *undone*; after the store went back they may differ."""
    not_done_total: int
    not_undone_total: int
    going: int
    """Sub-tasks that are READY or RUNNING, resting ones too."""
    broken: int
    """FAILED and not marked."""
    marked: int
    """Sub-tasks whose mark is due."""
    timer: int
    """When time alone may change something; 0: never."""

    def __init__(self, dag: Dag) -> None:
        plan, sub_tasks = dag.plan, dag.sub_tasks
        self.plan, self.sub_tasks = plan, sub_tasks
        zeros = array("l", bytes(array("l").itemsize * len(plan.nodes)))
        self.not_done, self.not_undone, self.up, self.down = zeros, zeros[:], zeros[:], zeros[:]
        self.going = self.broken = self.marked = self.timer = 0
        for index, sub_task in enumerate(sub_tasks):
            node = plan.node_of[index]
            self.not_done[node] += not sub_task.done
            self.not_undone[node] += not sub_task.undone
            self.going += sub_task.state in (READY, RUNNING)
            self.broken += sub_task.broken
            self.marked += sub_task.mark is Mark.DUE
            self.due(timer_of(sub_task, plan.nodes[node]))
        self.due(dag.paused.until if dag.paused else 0)
        self.due(0 if dag.started_at else dag.not_before)
        self.not_done_total = sum(self.not_done)
        self.not_undone_total = sum(self.not_undone)
        for node, planned in enumerate(plan.nodes):
            self.up[node] = sum(self.not_done[parent] > 0 or self.up[parent] > 0 for parent in planned.upstream)
        for node in range(len(plan.nodes) - 1, -1, -1):
            self.down[node] = sum(self.not_undone[child] > 0 or self.down[child] > 0 for child in plan.downstream[node])

    def copy(self) -> Tally:
        """One to change."""
        twin = Tally.__new__(Tally)
        twin.plan, twin.sub_tasks = self.plan, self.sub_tasks
        twin.not_done, twin.not_undone, twin.up, twin.down = self.not_done[:], self.not_undone[:], self.up[:], self.down[:]
        twin.not_done_total, twin.not_undone_total = self.not_done_total, self.not_undone_total
        twin.going, twin.broken, twin.marked, twin.timer = self.going, self.broken, self.marked, self.timer
        return twin

    def due(self, at: int) -> None:
        """Something is due at that time; 0: nothing."""
        if at and (not self.timer or at < self.timer):
            self.timer = at

    def moved(self, index: int, before: SubTask, after: SubTask) -> None:
        """Follow the change of one sub-task."""
        if after.state is RUNNING and before.state is READY and after.operator is before.operator and after.mark is before.mark:
            return  # what has begun counts as it did
        node = self.plan.node_of[index]
        self.going += (after.state in (READY, RUNNING)) - (before.state in (READY, RUNNING))
        self.broken += after.broken - before.broken
        if after.mark is not before.mark:
            self.marked += (after.mark is Mark.DUE) - (before.mark is Mark.DUE)
        if delta := before.done - after.done:
            self.not_done_total += delta
            old, new = self.not_done[node], self.not_done[node] + delta
            self.not_done[node] = new
            if (old > 0) != (new > 0) and not self.up[node]:
                self._pass_on(node, (new > 0) - (old > 0), forward=True)
        if delta := before.undone - after.undone:
            self.not_undone_total += delta
            old, new = self.not_undone[node], self.not_undone[node] + delta
            self.not_undone[node] = new
            if (old > 0) != (new > 0) and not self.down[node]:
                self._pass_on(node, (new > 0) - (old > 0), forward=False)

    def _pass_on(self, node: int, by: int, *, forward: bool) -> None:
        """A node began (``by`` -1) or ceased (+1) to stand, or to be gone: those next to it hear, and so on while it matters to them."""
        blocked, open_here = (self.up, self.not_done) if forward else (self.down, self.not_undone)
        ahead = [node]
        while ahead:
            current = ahead.pop()
            for neighbour in self.plan.downstream[current] if forward else self.plan.nodes[current].upstream:
                before = blocked[neighbour]
                blocked[neighbour] = before + by
                if (before > 0) != (before + by > 0) and not open_here[neighbour]:
                    ahead.append(neighbour)

    def over(self, operator: Operator) -> bool:
        """Nothing is left to do for a dag with that operator."""
        return not (self.not_undone_total if operator is ROLLBACK else self.not_done_total)


def open_ones(sub_tasks: Sequence[SubTask]) -> list[int]:
    """Indices of what is READY, RUNNING (or rests), or was never confirmed to have ended: all that time or an agent may change.

    Facts are read here, not properties: this looks at every sub-task of a dag."""
    return [index for index, each in enumerate(sub_tasks) if each.state is READY or each.state is RUNNING or each.stopping_at]


def timer_of(sub_task: SubTask, node: NodePlan) -> int:
    """When time alone changes this sub-task: it is retried, stopped, or given up; 0: never."""
    if sub_task.state is not READY and sub_task.state is not RUNNING:
        return 0
    if sub_task.retry_at:
        return sub_task.retry_at
    if sub_task.stopping:
        return sub_task.stopping_at + node.grace
    if sub_task.state is READY:
        return sub_task.readied_at + node.patience
    return sub_task.deadline or sub_task.started_at + node.timeout


def tally_of(dag: Dag) -> Tally:
    """The counts of this value, counted now if it carries none."""
    tally: Tally | None = getattr(dag, "_tally", None)
    if tally is None or tally.sub_tasks is not dag.sub_tasks or tally.plan is not dag.plan:
        tally = Tally(dag)
        object.__setattr__(dag, "_tally", tally)
    return tally
