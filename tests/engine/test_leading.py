"""A step that leads a dag on another agent: created once, told and asked again until heard, followed without polling."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from oboe.domain import events, fold
from oboe.domain.errors import Unreachable
from oboe.domain.messages import Fence
from oboe.domain.model import Leader
from oboe.domain.values import Address, HomeKind, State
from oboe.engine.following import child_key
from oboe.kit.playbook import Sketch
from oboe.kit.run import Child, ChildStatus, Run
from oboe.kit.step import Step
from tests.engine.site import A, B, Site, chain, eventually


class Book:
    """Implements `Children`: led dags that the test moves, on an agent that may be away."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.created: list[tuple[str, str, Leader]] = []
        self.told: list[tuple[str, Any]] = []
        self.now = ChildStatus(1, "RUNNING", "RUN", (), ())
        self.away = 0
        self.looks = 0

    def _reach(self) -> None:
        if self.away > 0:
            self.away -= 1
            raise Unreachable("agent.away", "no answer")

    def create(self, agent: Address, playbook: str, params: Any, dag_key: str, leader: Leader) -> Child:
        self._reach()
        self.created.append((playbook, dag_key, leader))
        return Child(agent, dag_key, 5)

    def tell(self, child: Child, signal: str, payload: Any) -> None:
        self._reach()
        self.told.append((signal, payload))

    def ask(self, child: Child, operator: str) -> None:
        self.told.append((operator, None))

    def status(self, child: Child, known_version: int, timeout: float) -> ChildStatus:
        self.looks += 1
        self._reach()
        with self.changed:
            self.changed.wait_for(lambda: self.now.version > known_version, timeout)
            return self.now

    def move(self, **facts: Any) -> None:
        with self.changed:
            self.now = ChildStatus(self.now.version + 1, facts.get("state", "RUNNING"), "RUN", facts.get("done", ()), ())
            self.changed.notify_all()


class Lead(Step):
    def run(self, run: Run) -> list[str]:
        child = run.lead(B, "Local trial", {"a": 1}, name="twin")
        run.tell(child, "start", 3)
        status = run.watch(child, lambda now: now if "Start" in now.done else None, why=f"Start on {B}", timeout=30)
        run.ask(child, "CANCEL")
        return list(status.done)


def test_a_child_is_followed_by_its_changes_and_its_key_is_the_same_for_ever(make_site: Callable[..., Site], sketch: Sketch) -> None:
    book = Book()
    site = make_site(steps=[Lead], children=book).start()
    book.away = 2
    dag = site.submit(chain(sketch, Lead))
    seen = eventually(lambda: [each.why for each in site.engine.waiting(dag.key).values() if "Start on" in each.why])
    assert seen == [f"Start on {B}"]
    book.move(done=("Deploy",))
    book.away = 1
    book.move(done=("Deploy", "Start"))
    dag = site.over(dag)
    assert dag.sub_tasks[0].result == ["Deploy", "Start"]
    key = child_key(Fence(dag.key, 0, 1, 1), "twin")
    assert book.created == [("Local trial", key, Leader(HomeKind.AGENT, dag.key, A))]
    assert len(bytes.fromhex(key)) == 16
    assert book.told == [("start", 3), ("CANCEL", None)]
    assert book.looks < 8


def test_a_watch_can_be_interrupted_while_its_agent_says_nothing(make_site: Callable[..., Site], sketch: Sketch) -> None:
    site = make_site(steps=[Lead], children=Book()).start()
    dag = site.submit(chain(sketch, Lead))
    eventually(lambda: site.engine.waiting(dag.key))
    site.engine.ask(HomeKind.AGENT, dag.key, events.Cancel())
    dag = site.over(dag)
    assert fold.dag_state(dag) is State.FAILED
    assert site.texts(dag) == ["sub task cancelled"]
