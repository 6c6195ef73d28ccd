"""Kills at one point after the other: a case is a story, a kind of home, and who dies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field

from oboe.domain.values import Address
from tests.crash.fuse import Point
from tests.crash.stories import AGENT, HOME, STORIES
from tests.crash.workers import Outcome, Workers

__all__ = ["Case", "Result", "carry_out", "cases"]

_DRY_RUNS = 2
_TRIES = 2
"""How often a point is waited for that a run may pass, or not."""
_FAULTS_MAX = 5


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
    unmet: list[str] = field(default_factory=list)
    """Points that were not passed again when they were deadly: threads take turns as they like."""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        return f"{len(self.faults)} FAULTS" if self.faults else "ok"

    def take(self, case: Case, deadly: Sequence[Point], outcome: Outcome) -> None:
        """One run more."""
        self.runs += 1
        self.kills += outcome.kills
        killed = f", killed at {' and '.join(map(str, deadly))}" if deadly else ""
        self.faults += [f"{case}{killed}: {fault} ({outcome.directory})" for fault in outcome.faults]


def cases(store: str) -> Iterator[Case]:
    for story in STORIES:
        for victim in (HOME, AGENT):
            for twice in (False, True):
                yield Case(store, story, victim, twice)


def carry_out(case: Case, workers: Workers, *, every: int, seed: int, at: str = "") -> Result:
    """Runs without a kill, then one for each ``every``-th point, of those whose label contains ``at``.

    A run that went wrong leaves its directory behind."""
    result, chance = Result(), random.Random(f"{seed} {case}")
    most: Counter[str] = Counter()
    for dry in [workers.run(case.story, case.victim, ()) for _ in range(_DRY_RUNS)]:
        outcome = dry.result()
        result.take(case, (), outcome)
        most |= Counter(outcome.points)
    points = [Point(label, count) for label, times in most.items() if at in label for count in range(1, times + 1)]
    result.points = len(points)
    chosen = [(point, chance.choice(points)) if case.twice else (point,) for point in points[::every]]
    for _ in range(_TRIES):
        chosen = _kill(case, workers, chosen, result)
    result.unmet = [str(deadly[0]) for deadly in chosen]
    return result


def _kill(case: Case, workers: Workers, chosen: Sequence[tuple[Point, ...]], result: Result) -> list[tuple[Point, ...]]:
    """A run for each; those in which nobody was killed. Ends early when enough has gone wrong."""
    if len(result.faults) >= _FAULTS_MAX:
        return []
    unmet: list[tuple[Point, ...]] = []
    runs: dict[Future[Outcome], tuple[Point, ...]] = {workers.run(case.story, case.victim, deadly): deadly for deadly in chosen}
    for run in as_completed(runs):
        if run.cancelled():
            continue
        outcome, deadly = run.result(), runs[run]
        result.take(case, deadly, outcome)
        if not outcome.kills and not outcome.faults:
            unmet.append(deadly)
        if len(result.faults) >= _FAULTS_MAX:
            for other in runs:
                other.cancel()
    return unmet
