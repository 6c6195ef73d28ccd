"""What goes wrong in a rehearsal: to which attempt, when, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from oboe.domain.values import Address
from oboe.kit.testing.run import FakeRun

__all__ = ["Accident", "next_accident"]


@dataclass(slots=True)
class Accident:
    """What happens to the next attempts that fit."""

    node: str
    agent: Address | None
    """None: any."""
    undo: bool
    what: Callable[[FakeRun], None]
    """Called with its run before the step begins."""
    after: BaseException | None = None
    """Raised when the step has done all it does."""
    times: int = 1


def next_accident(accidents: Iterable[Accident], node: str, run: FakeRun) -> Accident | None:
    """The first that happens to this run of that node; it happens once less from now on."""
    for accident in accidents:
        fits = accident.node == node and accident.agent in (None, run.agent) and accident.undo == run.rolling_back
        if fits and accident.times > 0:
            accident.times -= 1
            return accident
    return None
