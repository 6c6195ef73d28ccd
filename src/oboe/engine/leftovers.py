"""What an attempt may leave behind when its agent dies: commands that outlive it, with their records under the dag's work directory."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from oboe.domain.errors import OboeError
from oboe.domain.messages import Fence

__all__ = ["Burial", "attempt_directory", "end_leftovers"]

_AGAIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


def attempt_directory(work_root: Path, fence: Fence) -> Path:
    """Where an attempt keeps the records of its commands: ``<dag>/<sub-task>.<epoch>.<attempt>``."""
    return work_root / fence.dag_key / f"{fence.sub_task}.{fence.epoch}.{fence.attempt}"


def end_leftovers(work_root: Path, fence: Fence, end_recorded: Callable[[Path], None]) -> None:
    """End the process group of every command of that attempt that still runs; returns when they are gone."""
    for directory in sorted(attempt_directory(work_root, fence).glob("call-*")):
        end_recorded(directory)


class Burial:
    """A job beside `Attempt`: ends what is left of an attempt that an earlier life of this agent began and must not go on."""

    def __init__(self, fence: Fence, work_root: Path, end_recorded: Callable[[Path], None], end: Callable[[], None]) -> None:
        self.fence = fence
        self._work_root = work_root
        self._end_recorded = end_recorded
        self._end = end

    def carry_out(self) -> None:
        """Until nothing is left: as long as something is, the attempt has not ended."""
        while True:
            try:
                end_leftovers(self._work_root, self.fence, self._end_recorded)
                break
            except (OSError, OboeError) as error:
                _log.warning("what is left of dag %s does not end: %s", self.fence.dag_key, error)
                time.sleep(_AGAIN_SECONDS)
        self._end()
