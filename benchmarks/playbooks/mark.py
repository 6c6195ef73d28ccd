"""What the benchmarks have agents do: a step that a killed agent must take up again, and a dag that does nothing."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from oboe.domain.values import HomeKind
from oboe.kit.playbook import Sketch, playbook
from oboe.kit.run import Run
from oboe.kit.step import Step

__all__ = ["Mark", "Nothing", "Params", "nothing"]


class Mark(Step):
    """Adds a line with the time to a file; ends only by its timeout."""

    resumable = True

    def run(self, run: Run) -> None:
        with Path(run.args["file"]).open("a", encoding="utf-8") as file:
            file.write(f"{time.time_ns()}\n")
        run.wait_until(lambda: False, why="its agent's death", timeout=600)


class Nothing(Step):
    """Does nothing."""

    irreversible = "there is nothing to undo"
    skippable = True

    def run(self, run: Run) -> None:
        """It is over at once."""


class Params(msgspec.Struct):
    """None."""


@playbook("Nothing", home=HomeKind.AGENT, params=Params)
def nothing(params: Params, sketch: Sketch) -> None:
    """One node that does nothing."""
    sketch.stage("nothing", Nothing)
