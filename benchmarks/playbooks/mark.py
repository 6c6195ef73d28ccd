"""A step that says when it begins, and then waits: what a killed agent must take up again."""

from __future__ import annotations

import time
from pathlib import Path

from oboe.kit.run import Run
from oboe.kit.step import Step

__all__ = ["Mark"]


class Mark(Step):
    """Adds a line with the time to a file; ends only by its timeout."""

    resumable = True

    def run(self, run: Run) -> None:
        with Path(run.args["file"]).open("a", encoding="utf-8") as file:
            file.write(f"{time.time_ns()}\n")
        run.wait_until(lambda: False, why="its agent's death", timeout=600)
