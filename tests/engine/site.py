"""An agent's engine for tests: a home and an inbox that outlive it, steps that tests can hold, and couriers that lose and double."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil

from oboe.domain import fold
from oboe.domain.errors import TryAgain, Unreachable
from oboe.domain.messages import Interrupt, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Dag, Home, Leader, Maintenance, Plan
from oboe.domain.values import Address, HomeKind, State
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.ports import Draft
from oboe.engine.server import Engine
from oboe.hosts import process
from oboe.kit.registry import Registry
from oboe.kit.run import Child, ChildStatus
from oboe.kit.step import Step
from oboe.kit.typed import converted, decoder

A, B, C = (Address("127.0.0.1", port) for port in (2886, 2887, 2888))
WAIT = 60.0
"""Every wait of a test ends by then."""
QUICK = Limits(backoff_seconds_min=0.005, backoff_seconds_max=0.05, worker_idle_seconds=1.0, lane_idle_seconds=0.5, flush_seconds=0.02)


def open_params(home: HomeKind, kind: type[Any], params: Mapping[str, Any]) -> Any:
    return converted(params, kind)


def draft(plan: Plan, here: Address = A, *, kind: HomeKind = HomeKind.AGENT, params: Mapping[str, Any] | None = None) -> Draft:
    return Draft(
        key=secrets.token_hex(16),
        name="trial",
        playbook="trial",
        plan=plan,
        params=params or {},
        home=Home(kind, here if kind is HomeKind.AGENT else None),
        maintenance=Maintenance(),
        created_at=time.time_ns(),
        created_by=here,
    )


class Loose:
    """Implements `Courier` between engines of this process; loses and doubles as its chances say."""

    def __init__(self, *, seed: int = 1, loss: float = 0.0, doubled: float = 0.0) -> None:
        self.engines: dict[Address, Engine] = {}
        self.loss = loss
        self.doubled = doubled
        self.cut: set[Address] = set()
        self.unheard: set[str] = set()
        """Kinds of messages that never arrive."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.sent = 0

    def _carry(self, agent: Address, call: Callable[[Engine], Any]) -> Any:
        """A message may be lost before it arrives, or its answer after."""
        with self._lock:
            self.sent += 1
            lost, answer_lost, again = (self._random.random() < chance for chance in (self.loss, self.loss, self.doubled))
        if agent in self.cut or agent not in self.engines or lost:
            raise Unreachable("agent.away", f"{agent} does not answer")
        answer = call(self.engines[agent])
        if again:
            answer = call(self.engines[agent])
        if answer_lost:
            raise Unreachable("agent.away", f"{agent} did not answer in time")
        return answer

    def order(self, agent: Address, order: Order) -> None:
        copied = decoder(Order).decode(msgspec.json.encode(order))
        self._carry(agent, lambda engine: engine.order(copied))

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        if "interrupt" in self.unheard:
            raise Unreachable("agent.away", f"{agent} does not hear")
        copied = decoder(Interrupt).decode(msgspec.json.encode(interrupt))
        self._carry(agent, lambda engine: engine.interrupt(copied))

    def settled(self, agent: Address, dag_key: str) -> None:
        self._carry(agent, lambda engine: engine.settled(dag_key))

    def recall(self, agent: Address, request: RecallAgent) -> Recollection:
        copied = decoder(RecallAgent).decode(msgspec.json.encode(request))
        said = self._carry(agent, lambda engine: engine.recall(copied))
        return decoder(Recollection).decode(msgspec.json.encode(said))

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        copied = decoder(Report).decode(msgspec.json.encode(report))
        return self._carry(maintainer, lambda engine: engine.report(home, copied))


class NoChildren:
    """Implements `Children` for steps that lead nobody."""

    def create(self, agent: Address, playbook: str, params: Any, dag_key: str, leader: Leader) -> Child:
        raise Unreachable("agent.away", "nobody is led here")

    def tell(self, child: Child, signal: str, payload: Any) -> None:
        raise Unreachable("agent.away", "nobody is led here")

    def ask(self, child: Child, operator: str) -> None:
        raise Unreachable("agent.away", "nobody is led here")

    def status(self, child: Child, known_version: int, timeout: float) -> ChildStatus:
        raise Unreachable("agent.away", "nobody is led here")


class Mortal:
    """A store whose agent can die: from then on it takes nothing, whoever asks."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise TryAgain("store.dead", "the agent died")
        return getattr(self._store, name)


class Site:
    """One agent: its engine can die and be born again over the same stores."""

    def __init__(
        self, home: Any, inbox: Any, root: Path, *steps: type[Step], here: Address = A, courier: Loose | None = None, **given: Any
    ) -> None:
        self.here = here
        self.home, self.inbox = home, inbox
        self.courier = courier or Loose()
        self.members = lambda: tuple(self.courier.engines)
        registry = Registry()
        registry._steps.update({step.registered_name(): step for step in steps})
        self.tools = Tools(
            here=here,
            registry=registry,
            services=given.get("services", {}),
            children=given.get("children", NoChildren()),
            open_params=open_params,
            launch=process.launch,
            end_recorded=process.end_recorded,
            work_root=root / f"work-{here.port}",
            limits=given.get("limits", QUICK),
            clock=time.time_ns,
        )
        self.engine = self._born()

    def _born(self) -> Engine:
        self._mortals = (Mortal(self.home), Mortal(self.inbox))
        home, inbox = self._mortals
        engine = Engine(tools=self.tools, home=home, inbox=inbox, courier=self.courier, members=self.members)  # type: ignore[arg-type]
        self.courier.engines[self.here] = engine
        return engine

    def start(self) -> Site:
        self.engine.start()
        return self

    def die(self) -> None:
        """As by SIGKILL: nothing is written from here on, no message leaves, steps stop where they stand, their commands go on."""
        self.courier.engines.pop(self.here, None)
        for mortal in self._mortals:
            mortal.dead = True
        self.engine.stop(0.0)

    def born_again(self) -> Site:
        self.tools = replace(self.tools)
        self.engine = self._born()
        return self.start()

    def stop(self) -> None:
        self.engine.stop(0.0)

    # For agent homes

    def run(self, plan: Plan, **given: Any) -> Dag:
        """Submit, and wait until it is over."""
        return self.over(self.engine.submit(draft(plan, self.here, **given)))

    def submit(self, plan: Plan, **given: Any) -> Dag:
        return self.engine.submit(draft(plan, self.here, **given))

    def over(self, dag: Dag) -> Dag:
        """The dag once it is SUCCEEDED or FAILED, and has been picked up since it was last asked something."""
        return self.until(dag, lambda now: fold.dag_state(now) in (State.SUCCEEDED, State.FAILED))

    def until(self, dag: Dag, wanted: Callable[[Dag], bool]) -> Dag:
        deadline, known = time.monotonic() + WAIT, -1
        while True:
            now = self.engine.wait_version(dag.home.kind, dag.key, known, max(0.0, deadline - time.monotonic()))
            assert now is not None
            if wanted(now):
                return now
            assert time.monotonic() < deadline, (fold.dag_state(now), now.sub_tasks, self.texts(now), self.engine.status())
            known = now.version

    def texts(self, dag: Dag, index: int | None = None) -> list[str]:
        """The log of the dag, or of one sub-task."""
        return [record.line.text for record in self.home.logs(dag, None if index is None else [index])]


def states(dag: Dag) -> list[tuple[str, str, int]]:
    """State, operator and attempt of every sub-task."""
    return [(each.state.name, each.operator.name, each.attempt) for each in dag.sub_tasks]


def eventually(fact: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Look until it is so; a failure says what was seen last."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := fact()):
        assert time.monotonic() < deadline, f"never came true: {fact}, last {found!r}"
        pause.wait(0.005)
    return found


def alive(group: int) -> list[int]:
    """Processes of that group; what only waits to be reaped does not count."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(one.pid) == group and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
    return found


def chain(sketch: Any, *steps: type[Step], agents: Sequence[Address | None] = (A,)) -> Plan:
    for number, step in enumerate(steps):
        sketch.stage(f"{number} {step.__name__}", step, agents=agents)
    plan: Plan = sketch.plan()
    return plan
