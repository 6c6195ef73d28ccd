"""Small dags, and one hand that drives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oboe.domain.events import Dispatch, Effect, Ended, Event, Started, Wake
from oboe.domain.fold import dag_state
from oboe.domain.machine import advance
from oboe.domain.model import Dag, Flags, Home, Maintenance, NodePlan, Plan, SubTask
from oboe.domain.values import Address, HomeKind, MaintenanceKind, State

A, B, C = (Address("10.0.0.1", port) for port in (2886, 2887, 2888))
ALL = Flags(resumable=True, skippable=True, rollable=True)


def node(*upstream: int, name: str = "", flags: Flags = ALL, agents: Sequence[Address | None] = (None,), **facts: Any) -> NodePlan:
    """A node with round numbers: patience 100, timeout 1000, grace 10, backoff 5."""
    limits: dict[str, Any] = {"patience": 100, "timeout": 1000, "grace": 10, "backoff": 5}
    return NodePlan(name=name or "step", step="t:S", upstream=upstream, flags=flags, agents=tuple(agents), **(limits | facts))


def chain(*nodes: NodePlan) -> Dag:
    """A dag of those nodes; give ``upstream`` yourself."""
    plan = Plan(nodes)
    return Dag(
        key="f" * 32,
        name="t",
        playbook="t",
        plan=plan,
        params={},
        home=Home(HomeKind.CLUSTER),
        maintenance=Maintenance(MaintenanceKind.GLOBAL),
        created_at=1,
        created_by=A,
        sub_tasks=tuple(SubTask(agent=agent) for planned in plan.nodes for agent in planned.agents),
    )


class Hand:
    """Holds a dag and moves it; ``now`` is the time of everything it does."""

    def __init__(self, dag: Dag, *, here: Address = A) -> None:
        self.dag, self.now, self.here, self.epoch = dag, 10, here, 1
        self.effects: tuple[Effect, ...] = ()

    def __call__(self, *events: Event) -> Hand:
        self.dag, self.effects = advance(self.dag, events, now=self.now, here=self.here, epoch=self.epoch)
        return self

    def wake(self, at: int = 0) -> Hand:
        self.now = max(self.now, at)
        return self(Wake())

    def start(self, index: int) -> Hand:
        sub_task = self.dag.sub_tasks[index]
        return self(Started(index, sub_task.epoch, sub_task.attempt, self.now))

    def end(self, index: int, *, ok: bool = True, result: Any = None) -> Hand:
        sub_task = self.dag.sub_tasks[index]
        return self(Ended(index, sub_task.epoch, sub_task.attempt, self.now, ok, sub_task.operator, result))

    def end_all(self) -> Hand:
        """Every order is answered with success until nothing is live."""
        while live := [index for index, sub_task in enumerate(self.dag.sub_tasks) if sub_task.live]:
            self.end(live[0])
        return self

    def __getitem__(self, index: int) -> SubTask:
        return self.dag.sub_tasks[index]

    @property
    def state(self) -> State:
        return dag_state(self.dag)

    @property
    def states(self) -> list[str]:
        """``STATE/OPERATOR`` of each sub-task."""
        return [f"{sub_task.state.name}/{sub_task.operator.name}" for sub_task in self.dag.sub_tasks]

    @property
    def dispatched(self) -> list[int]:
        return [effect.sub_task for effect in self.effects if isinstance(effect, Dispatch)]
