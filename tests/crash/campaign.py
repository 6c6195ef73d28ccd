"""Kills at one point after the other: a case is a story, a kind of home, and who dies."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from oboe.domain.values import Address
from tests.crash.agent import World, stored_dag
from tests.crash.fuse import Point
from tests.crash.lives import Broken, Nursery
from tests.crash.steps import read_effects
from tests.crash.stories import AGENT, HOME, STORIES
from tests.crash.verdict import faults

__all__ = ["Case", "Result", "carry_out", "cases"]

_DRY_RUNS = 2
_TRIES = 2
"""How often a point is waited for that a run may pass, or not."""
_FAULTS_MAX = 5

MakeWorld = Callable[[Path, str], World]
"""A world in that directory for that story, with stores that nobody used before."""


@dataclass(frozen=True, slots=True)
class Case:
    """``twice``: the agent is killed a second time, somewhere in its next life."""

    store: str
    story: str
    victim: Address
    twice: bool

    def __str__(self) -> str:
        who = "home" if self.victim == HOME else "agent"
        return f"{self.store}, {self.story}, {who}{' twice' if self.twice else ''}"


@dataclass(slots=True)
class Result:
    """What a case has come to."""

    points: int = 0
    """Points that a run without a kill passes."""
    runs: int = 0
    kills: int = 0
    unmet: list[Point] = field(default_factory=list)
    """Points that were not passed again when they were deadly: threads take turns as they like."""
    faults: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return f"{len(self.faults)} FAULTS" if self.faults else "ok"


def cases(store: str) -> Iterator[Case]:
    for story in STORIES:
        for victim in (HOME, AGENT):
            for twice in (False, True):
                yield Case(store, story, victim, twice)


def carry_out(case: Case, make_world: MakeWorld, *, every: int, seed: int) -> Result:
    """Runs without a kill, then one for each ``every``-th point. A run that went wrong leaves its directory behind."""
    result, chance = Result(), random.Random(f"{seed} {case}")
    most: Counter[str] = Counter()
    for _ in range(_DRY_RUNS):
        most |= Counter(_run(case, make_world, [], result)[0])
    points = [Point(label, count) for label, times in most.items() for count in range(1, times + 1)]
    result.points = len(points)
    for point in points[::every]:
        if len(result.faults) >= _FAULTS_MAX:
            break
        deadly = [point, chance.choice(points)] if case.twice else [point]
        if not any(_run(case, make_world, deadly, result)[1] for _ in range(_TRIES)):
            result.unmet.append(point)
    return result


def _run(case: Case, make_world: MakeWorld, deadly: list[Point], result: Result) -> tuple[list[str], int]:
    """The points that the victim met, and how often it was killed."""
    directory = Path(tempfile.mkdtemp(prefix="oboe-crash-"))
    world = make_world(directory, case.story)
    nursery = Nursery(world, {case.victim: deadly})
    found: list[str] = []
    labels: list[str] = []
    try:
        nursery.run()
        labels = world.points_of(case.victim).read_text().splitlines()
        found = faults(world) or _of_one_more_life(world)
    except Broken as broken:
        found = [str(broken)]
    result.runs += 1
    result.kills += nursery.kills
    if found:
        killed = f", killed at {' and '.join(map(str, deadly))}" if deadly else ""
        result.faults += [f"{case}{killed}: {fault} ({directory})" for fault in found]
    else:
        shutil.rmtree(directory)
    return labels, nursery.kills


def _of_one_more_life(world: World) -> list[str]:
    """Nothing happens after the end: both agents live once more, forget what they did, and everything is as it was."""
    before = stored_dag(world), read_effects(world.effects)
    Nursery(world, {}, sweep=True).run()
    return [] if (stored_dag(world), read_effects(world.effects)) == before else ["something went on after the end"]
