"""What happens in a run: the plan, what a person asks on the way, and how it must end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from oboe.domain import events, fold
from oboe.domain.model import Dag, Maintenance, Plan
from oboe.domain.values import Address, MaintenanceKind, Operator, State
from oboe.kit.playbook import Sketch
from oboe.kit.step import Step
from tests.crash.steps import Brittle, Held, Keep, Once

__all__ = ["AGENT", "HOME", "MAINTENANCE", "STORIES", "Story"]

HOME, AGENT = (Address("127.0.0.1", port) for port in (2886, 2887))
"""The agent that serves the home of the dag, and another one."""
MAINTENANCE = Maintenance(MaintenanceKind.GLOBAL)


@dataclass(frozen=True, slots=True)
class Story:
    """``act`` says what a person asks when the dag stands so; None: nothing now."""

    name: str
    middle: type[Step]
    """The step of the node in the middle, on both agents."""
    act: Callable[[Dag], events.Request | None]
    end: Operator

    def plan(self) -> Plan:
        """A diamond of steps that may run again and steps that may not, on both agents, wide and narrow."""
        sketch = Sketch("crash", MAINTENANCE)

        def stage(name: str, step: type[Step], *agents: Address | None, after: tuple[int, ...] | None = None) -> int:
            return sketch.stage(name, step, agents=agents, parallel=len(agents) > 1, after=after, args={"name": name})

        first = stage("first", Keep, None)
        left = stage("left", Keep, HOME, AGENT, after=(first,))
        right = stage("right", Once, AGENT, HOME, after=(first,))
        stage("middle", self.middle, HOME, AGENT, after=(left, right))
        stage("last", Once, AGENT)
        stage("very last", Keep, AGENT)
        return sketch.plan()

    def over(self, dag: Dag) -> bool:
        return fold.settled(dag) and dag.operator is self.end


def _forwards(dag: Dag) -> events.Request | None:
    """A step that may not run again was interrupted by the death of its agent: a person looks, and asks for a retry."""
    return events.Retry() if fold.dag_state(dag) is State.FAILED else None


def _backwards(dag: Dag) -> events.Request | None:
    if fold.dag_state(dag) is not State.FAILED:
        return None
    return events.Rollback() if dag.operator is Operator.ROLLBACK or _middle_was_begun(dag) else events.Retry()


def _cancelled(dag: Dag) -> events.Request | None:
    """The middle is cancelled once both its sub-tasks were begun and one waits, and tried again afterwards."""
    if fold.dag_state(dag) is State.FAILED:
        return events.Retry()
    middle = [dag.sub_tasks[index] for index in dag.plan.sub_tasks_of(3)]
    begun = all(each.state > State.READY for each in middle)
    held = [each for each in middle if each.state is State.RUNNING and each.attempt == 1 and not each.stopping]
    return events.Cancel() if begun and held and all(each.additional for each in held) else None


def _middle_was_begun(dag: Dag) -> bool:
    return any(dag.sub_tasks[index].attempt for index in dag.plan.sub_tasks_of(3))


STORIES: Mapping[str, Story] = {
    story.name: story
    for story in (
        Story("forwards", Keep, _forwards, Operator.RUN),
        Story("retry", Brittle, _forwards, Operator.RUN),
        Story("rollback", Brittle, _backwards, Operator.ROLLBACK),
        Story("cancel", Held, _cancelled, Operator.RUN),
    )
}
