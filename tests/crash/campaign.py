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
from tests.crash.lives import Broken, Nursery
from tests.crash.steps import read_effects
from tests.crash.stories import AGENT, HOME, STORIES
from tests.crash.verdict import faults

__all__ = ["Case", "Result", "carry_out", "cases"]

_UNKILLED_MAX = 3
"""So many runs in a row that end before their point is reached: there are no further points."""
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
    """Points of the run without a kill."""
    runs: int = 0
    kills: int = 0
    killed_at: Counter[str] = field(default_factory=Counter)
    """By the name of the point."""
    missed: set[str] = field(default_factory=set)
    """Names of points that were met and never killed at."""
    faults: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return f"{len(self.faults)} FAULTS" if self.faults else f"ok, {len(self.missed)} kinds missed" if self.missed else "ok"


def cases(store: str) -> Iterator[Case]:
    for story in STORIES:
        for victim in (HOME, AGENT):
            for twice in (False, True):
                yield Case(store, story, victim, twice)


def carry_out(case: Case, make_world: MakeWorld, *, every: int, seed: int) -> Result:
    """One run without a kill, then one for each ``every``-th point. A run that went wrong leaves its directory behind."""
    result, chance = Result(), random.Random(f"{seed} {case}")
    met: set[str] = set()
    unkilled, point = 0, 0
    while unkilled < _UNKILLED_MAX and len(result.faults) < _FAULTS_MAX:
        deadly = [point] if point else []
        if case.twice and point:
            deadly.append(chance.randint(1, max(2, result.points - point)))
        labels, kills = _run(case, make_world, deadly, result)
        if not point:
            result.points = len(labels)
        else:
            unkilled = 0 if kills else unkilled + 1
        met.update(label.removesuffix(" KILLED") for label in labels)
        result.killed_at.update(label.removesuffix(" KILLED") for label in labels if label.endswith(" KILLED"))
        point += 1 if not point else every
    if every == 1:
        result.missed = met - result.killed_at.keys()
    return result


def _run(case: Case, make_world: MakeWorld, deadly: list[int], result: Result) -> tuple[list[str], int]:
    """The points that the victim met, and how often it was killed."""
    directory = Path(tempfile.mkdtemp(prefix="oboe-crash-"))
    world = make_world(directory, case.story)
    nursery = Nursery(world, {case.victim: deadly})
    found: list[str] = []
    try:
        nursery.run()
        found = faults(world) or _of_one_more_life(world)
    except Broken as broken:
        found = [str(broken)]
    result.runs += 1
    result.kills += nursery.kills
    labels = world.points_of(case.victim).read_text().splitlines()
    if found:
        result.faults += [f"{case}, killed at {deadly}: {fault} ({directory})" for fault in found]
    else:
        shutil.rmtree(directory)
    return labels, nursery.kills


def _of_one_more_life(world: World) -> list[str]:
    """Nothing happens after the end: both agents live once more, forget what they did, and everything is as it was."""
    before = stored_dag(world), read_effects(world.effects)
    Nursery(world, {}, sweep=True).run()
    return [] if (stored_dag(world), read_effects(world.effects)) == before else ["something went on after the end"]
