"""Small dags, drafts and orders for the tests of stores."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

from oboe.domain import events, machine
from oboe.domain.messages import Fence, Level, LogLine, Order, Phase, Report
from oboe.domain.model import Dag, Flags, Home, Leader, Maintenance, NodePlan, Plan
from oboe.domain.records import AttemptLine, Change, Draft
from oboe.domain.values import Address, HomeKind, MaintenanceKind, Operator, State

HERE = Address("10.0.0.1", 2886)
THERE = Address("10.0.0.2", 2886)
GLOBAL = Maintenance(MaintenanceKind.GLOBAL)
OBPROXY = Maintenance(MaintenanceKind.OBPROXY)
NONE = Maintenance()

_clock = itertools.count(1_795_197_710_089_586_000, 1_000)


def now() -> int:
    """A time later than all before."""
    return next(_clock)


def tenant(name: str) -> Maintenance:
    return Maintenance(MaintenanceKind.TENANT, name)


def host(agent: str) -> Maintenance:
    return Maintenance(MaintenanceKind.HOST, agent)


def node(name: str, *, width: int = 1, after: tuple[int, ...] = (), release: bool = False, args: dict[str, Any] | None = None) -> NodePlan:
    return NodePlan(
        name=name,
        step="sample:Step",
        upstream=after,
        agents=tuple([HERE, THERE][place % 2] for place in range(width)),
        parallel=width > 1,
        flags=Flags(skippable=True, rollable=True, release_on_failure=release),
        args=args or {},
    )


def chain(*widths: int, release: bool = False) -> Plan:
    return Plan(
        tuple(
            node(f"Node {place}", width=width, after=(place - 1,) if place else (), release=release) for place, width in enumerate(widths)
        )
    )


def draft(
    name: str = "Sample", *, plan: Plan | None = None, maintenance: Maintenance = NONE, key: str = "", params: dict[str, Any] | None = None
) -> Draft:
    return Draft(
        key=key or secrets.token_hex(16),
        name=name,
        playbook="sample",
        plan=plan or chain(1, 2),
        params={"zone": "zone1", "ports": [1, 2], "é": "ü😀"} if params is None else params,
        home=Home(HomeKind.AGENT, HERE),
        maintenance=maintenance,
        created_at=now(),
        created_by=HERE,
        leader=Leader(HomeKind.CLUSTER, "f" * 32, THERE),
    )


def moved(dag: Dag, *happened: events.Event) -> Change:
    """What the machine makes of it; several events that are no requests may go together."""
    after, _ = machine.advance(dag, happened, now=now(), here=HERE, epoch=0)
    assert after is not dag
    return Change(dag, after)


def ended(dag: Dag, index: int, *, ok: bool = True, result: Any = None) -> events.Ended:
    sub_task = dag.sub_tasks[index]
    return events.Ended(index, sub_task.epoch, sub_task.attempt, now(), ok, sub_task.operator, result)


def step(dag: Dag, *, ok: bool = True) -> Change:
    """Pick the dag up, or end everything that is live."""
    live = [index for index, sub_task in enumerate(dag.sub_tasks) if sub_task.state in (State.READY, State.RUNNING)]
    if not live:
        return moved(dag, events.Wake())
    return moved(dag, *[ended(dag, index, ok=ok, result={"from": index}) for index in live])


def finish(home: Any, dag: Dag) -> Dag:
    """Carry a dag to its good end, saving every step."""
    from oboe.domain.fold import settled

    while not settled(dag):
        change = step(dag)
        assert home.save([change]) == {}
        dag = change.after
    return dag


def line(dag: Dag, seq: int, text: str = "hello", *, sub_task: int = 0, attempt: int = 1) -> AttemptLine:
    return AttemptLine(dag.id, sub_task, attempt, LogLine(seq, now(), Level.INFO, text))


def order(key: str = "a" * 32, sub_task: int = 0, epoch: int = 1, attempt: int = 1) -> Order:
    return Order(
        fence=Fence(key, sub_task, epoch, attempt),
        operator=Operator.RUN,
        home=Home(HomeKind.CLUSTER),
        maintainer=THERE,
        dag_id=7,
        dag_name="Sample",
        node=0,
        name="Node 0",
        step="sample:Step",
        agent=HERE,
        resumable=False,
        timeout=1,
        params={"a": 1},
        args={},
        results={"before": [1, None]},
        signals={"deploy": {"x": 1}},
    )


def report(fence: Fence, *, ok: bool = True) -> Report:
    return Report(
        fence=fence,
        operator=Operator.RUN,
        agent=HERE,
        phase=Phase.ENDED,
        at=now(),
        ok=ok,
        result={"ok": ok},
        lines=(LogLine(0, now(), Level.ERROR, "no", "E1"),),
    )
