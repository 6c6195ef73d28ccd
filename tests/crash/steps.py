"""Steps that write what they do, when they do it, into a file that outlives every agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from oboe.domain.errors import StepFailed
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.kit.typed import decoder
from tests.crash.fuse import Fuse

__all__ = ["Brittle", "Effect", "Effects", "Held", "Keep", "Once", "read_effects", "read_told", "told_of"]

_HELD_SECONDS = 30.0


class Effect(msgspec.Struct, frozen=True):
    """One line of the file."""

    sub_task: str
    """Its node's name and its agent's port."""
    undo: bool
    attempt: int
    ended: bool
    """False: the step begins."""
    resumed: bool
    text: str
    """The line of log that the step writes with it."""


class Effects:
    """Appends. A point before and after each line."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._told = os.open(told_of(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        """Lines that a step has written."""
        self._fuse = fuse

    def write(self, run: Run, *, ended: bool) -> None:
        sub_task = f"{run.args['name']}@{run.agent.port}"
        done = ("undid" if run.rolling_back else "did") if ended else ("undoes" if run.rolling_back else "does")
        text = f"{done} {sub_task} in attempt {run.attempt}"
        effect = Effect(sub_task, run.rolling_back, run.attempt, ended, run.resumed, text)
        what = "end" if ended else "begin"
        self._fuse.point(f"effect: {what} not written")
        os.write(self._file, msgspec.json.encode(effect) + b"\n")
        self._fuse.point(f"effect: {what} written")
        run.log(text)
        os.write(self._told, f"{text}\n".encode())
        self._fuse.point("effect: told")


def told_of(path: Path) -> Path:
    return path.with_name("told")


def read_told(path: Path) -> list[str]:
    """Lines that steps have written, whatever became of their agent then."""
    return told_of(path).read_text().splitlines() if told_of(path).exists() else []


def read_effects(path: Path) -> list[Effect]:
    return [decoder(Effect).decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


class _Writing(Step):
    def run(self, run: Run) -> Any:
        effects = run.use(Effects)
        effects.write(run, ended=False)
        self.inside(run)
        effects.write(run, ended=True)
        return run.attempt

    def rollback(self, run: Run) -> None:
        effects = run.use(Effects)
        effects.write(run, ended=False)
        effects.write(run, ended=True)

    def inside(self, run: Run) -> None:
        """What it does between its two lines."""


class Keep(_Writing):
    """May run again by itself."""

    resumable = True


class Once(_Writing):
    """May not."""


class Brittle(_Writing):
    """Fails the first time."""

    def inside(self, run: Run) -> None:
        if run.attempt == 1:
            raise StepFailed("crash.broken", "it broke, as it was told to")


class Held(_Writing):
    """The first time it shows that it has begun, and waits until it is told to stop."""

    def inside(self, run: Run) -> None:
        if run.attempt == 1:
            run.note(held=True)
            run.wait_until(lambda: False, why="a cancel", timeout=_HELD_SECONDS)
