"""What the machine costs: one report, and one wake, on dags of 10 000 sub-tasks. ``python benchmarks/machine.py`` prints figures."""

from __future__ import annotations

import time
from statistics import median, quantiles

from oboe.domain.events import Dispatch, Ended, Event, Started, Wake
from oboe.domain.machine import advance
from oboe.domain.model import Dag, Home, NodePlan, Plan, SubTask
from oboe.domain.values import Address, HomeKind, Operator

HERE = Address("10.0.0.1", 2886)
SIZE = 10_000


def chain() -> Plan:
    return Plan(tuple(NodePlan(name=f"n{i}", step="b:S", upstream=(i - 1,) if i else ()) for i in range(SIZE)))


def fan() -> Plan:
    """One node, 9 998 beside each other, one that follows them all."""
    middle = tuple(NodePlan(name=f"n{i}", step="b:S", upstream=(0,)) for i in range(1, SIZE - 1))
    return Plan((NodePlan(name="first", step="b:S"), *middle, NodePlan(name="last", step="b:S", upstream=tuple(range(1, SIZE - 1)))))


def wide() -> Plan:
    """Two nodes of 5 000 sub-tasks each."""
    half = tuple([HERE] * (SIZE // 2))
    return Plan((NodePlan(name="a", step="b:S", agents=half), NodePlan(name="b", step="b:S", agents=half, upstream=(0,))))


def new_dag(plan: Plan) -> Dag:
    return Dag(
        key="0" * 32,
        name="benchmark",
        playbook="benchmark",
        plan=plan,
        params={},
        home=Home(HomeKind.AGENT, HERE),
        created_at=1,
        created_by=HERE,
        sub_tasks=tuple(SubTask(agent=agent) for node in plan.nodes for agent in node.agents),
    )


def timed(dag: Dag, events: list[Event], now: int) -> tuple[Dag, list[int], float]:
    """The next value, what to dispatch, and microseconds."""
    start = time.perf_counter()
    after, effects = advance(dag, events, now=now, here=HERE, epoch=1)
    micros = (time.perf_counter() - start) * 1e6
    return after, [effect.sub_task for effect in effects if isinstance(effect, Dispatch)], micros


def measure(name: str, plan: Plan, reports: int = 2_000) -> None:
    dag, going, first = timed(new_dag(plan), [Wake()], 10)
    costs: list[float] = []
    now = 11
    while going and len(costs) < reports:
        index = going.pop()
        sub_task = dag.sub_tasks[index]
        report: list[Event] = [Started(index, 1, sub_task.attempt, now)]
        dag, more, micros = timed(dag, report, now)
        costs.append(micros)
        dag, more, micros = timed(dag, [Ended(index, 1, sub_task.attempt, now, True, Operator.RUN)], now)
        costs.append(micros)
        going.extend(more)
        now += 1
    _, _, wake = timed(dag, [Wake()], now)
    tail = quantiles(costs, n=100)[98]
    cost = f"report: median {median(costs):6.0f} µs, p99 {tail:6.0f} µs"
    print(f"{name:24} {cost}   first wake {first / 1e3:6.1f} ms   wake {wake / 1e3:6.1f} ms")


if __name__ == "__main__":
    print(f"{SIZE} sub-tasks")
    measure("chain of 10 000 nodes", chain())
    measure("fan of 9 998 nodes", fan())
    measure("2 nodes of 5 000", wide())
