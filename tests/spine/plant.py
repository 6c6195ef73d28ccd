"""Steps that fail when a test says so, after they have done all their work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from oboe.domain.errors import StepFailed
from oboe.kit.run import Run
from oboe.kit.step import Step

__all__ = ["PLANTED", "planted"]

PLANTED = "it was planted"


@contextmanager
def planted(step: type[Step], *, where: str = "run", when: Callable[[Run], bool] = lambda run: True, times: int = 1000) -> Iterator[None]:
    """That step does its work and then fails, on every agent of this process, so many times."""
    work, left = getattr(step, where), [times]

    def fail(self: Step, run: Run) -> Any:
        done = work(self, run)
        if not left[0] or not when(run):
            return done
        left[0] -= 1
        raise StepFailed("test.planted", PLANTED)

    with mock.patch.object(step, where, fail):
        yield
