"""A rehearsal tells the truth: the same dag under the real engine comes to the same, step for step and line for line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oboe.domain import events
from oboe.domain.messages import Level
from oboe.domain.model import Dag
from oboe.domain.values import HomeKind
from oboe.kit.playbook import Playbook, Sketch, playbook
from oboe.kit.testing import HERE, Rehearsal, plan_of
from oboe.store.memory import MemoryHome, MemoryInbox
from tests.engine.site import Site, draft, states
from tests.engine.steps import ALL, DONE, FAILING, Brittle, Count, Crashing, Finder


class Params(msgspec.Struct):
    pass


class Rehearsed:
    def __init__(self, book: Playbook) -> None:
        self._rehearsal = Rehearsal(book)
        DONE.pop(self.dag.key, None)

    @property
    def dag(self) -> Dag:
        return self._rehearsal.dag

    def start(self) -> None:
        self._rehearsal.run()

    def ask(self, request: events.Request) -> None:
        self._rehearsal._ask(request)
        self._rehearsal.run()

    def lines(self) -> list[str]:
        return self._rehearsal.lines


class Real:
    def __init__(self, book: Playbook, root: Path) -> None:
        self._site = Site(MemoryHome(), MemoryInbox(), root, *ALL, here=HERE).start()
        self._draft = draft(plan_of(book), HERE)
        self.dag: Any = self._draft

    def start(self) -> None:
        self.dag = self._site.over(self._site.engine.submit(self._draft))

    def ask(self, request: events.Request) -> None:
        self.dag = self._site.over(self._site.engine.ask(HomeKind.AGENT, self.dag.key, request))

    def lines(self) -> list[str]:
        lines = [record.line for record in self._site.home.logs(self.dag)]
        return [f"ERROR: {line.text} [{line.code}]" if line.level is Level.ERROR else line.text for line in lines]

    def stop(self) -> None:
        self._site.stop()


def counts(sketch: Sketch, count: int) -> None:
    for number in range(count):
        sketch.stage(f"n{number}", Count, args={"n": number})


@playbook("Counts", home=HomeKind.AGENT, params=Params)
def plain(params: Params, sketch: Sketch) -> None:
    counts(sketch, 3)


@playbook("Brittle", home=HomeKind.AGENT, params=Params)
def brittle(params: Params, sketch: Sketch) -> None:
    counts(sketch, 2)
    sketch.stage("brittle", Brittle)
    sketch.stage("n2", Count, args={"n": 2})


@playbook("Crashing", home=HomeKind.AGENT, params=Params)
def crashing(params: Params, sketch: Sketch) -> None:
    counts(sketch, 1)
    sketch.stage("crashing", Crashing)


@playbook("Finder", home=HomeKind.AGENT, params=Params)
def finder(params: Params, sketch: Sketch) -> None:
    counts(sketch, 2)
    sketch.stage("finder", Finder)


MEND = "mend"
RETRY, ROLLBACK = events.Retry(), events.Rollback()
STORIES: list[tuple[Playbook, list[Any]]] = [
    (plain, []),
    (brittle, [MEND, RETRY]),
    (brittle, [RETRY, MEND, RETRY]),
    (brittle, [ROLLBACK]),
    (brittle, [RETRY, ROLLBACK]),
    (crashing, [RETRY]),
    (finder, [RETRY]),
    (finder, [ROLLBACK]),
]


@pytest.mark.parametrize(("book", "story"), STORIES, ids=lambda value: value.name if isinstance(value, Playbook) else str(len(value)))
def test_a_rehearsal_and_the_engine_come_to_the_same(book: Playbook, story: list[Any], tmp_path: Path) -> None:
    rehearsed, real = Rehearsed(book), Real(book, tmp_path)
    try:
        assert lived(rehearsed, story) == lived(real, story)
        assert len(DONE[real.dag.key]) >= 1
    finally:
        real.stop()


def lived(world: Any, story: list[Any]) -> list[Any]:
    """What it came to after each chapter."""
    key = world.dag.key
    FAILING.add(key)
    chapters: list[Callable[[], None]] = [world.start]
    for each in story:
        chapters.append((lambda: FAILING.discard(key)) if each is MEND else (lambda each=each: world.ask(each)))  # type: ignore[misc]
    seen = []
    for chapter in chapters:
        chapter()
        dag = world.dag
        results = [sub_task.result for sub_task in dag.sub_tasks]
        seen.append((states(dag), results, list(DONE[key]), sorted(world.lines())))
    FAILING.discard(key)
    return seen
