"""What an attempt may leave behind when its agent dies: commands that outlive it, with their records under the dag's work directory."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from oboe.domain.errors import OboeError
from oboe.domain.messages import Fence
from oboe.kit.mask import Mask

__all__ = ["Burial", "attempt_directory", "end_leftovers", "forget_commands", "mask_outputs"]

_AGAIN_SECONDS = 2.0

_log = logging.getLogger(__name__)


def attempt_directory(work_root: Path, fence: Fence) -> Path:
    """Where an attempt keeps the records of its commands: ``<dag>/<sub-task>.<epoch>.<attempt>``."""
    return work_root / fence.dag_key / f"{fence.sub_task}.{fence.epoch}.{fence.attempt}"


def end_leftovers(work_root: Path, fence: Fence, end_recorded: Callable[[Path], None]) -> None:
    """End every command of that attempt that still runs; as long as something is left, the attempt has not ended."""
    while True:
        try:
            for directory in sorted(attempt_directory(work_root, fence).glob("call-*")):
                end_recorded(directory)
            return
        except (OSError, OboeError) as error:
            _log.warning("what is left of dag %s does not end: %s", fence.dag_key, error)
            time.sleep(_AGAIN_SECONDS)


def mask_outputs(work_root: Path, fence: Fence, mask: Mask) -> None:
    """What the attempt's commands have written stays for whoever looks into its directory, without the secrets of its params."""
    for path in sorted(attempt_directory(work_root, fence).glob("call-*/std*")):
        masked = path.with_name(f"{path.name}.masked")
        with path.open(encoding="utf-8", errors="surrogateescape") as source:
            descriptor = os.open(masked, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as target:
                target.writelines(map(mask.hide, source))
        masked.replace(path)


def forget_commands(work_root: Path, fence: Fence) -> None:
    """That attempt begins again as if it had called none; those that it has called are gone."""
    shutil.rmtree(attempt_directory(work_root, fence), ignore_errors=True)


class Burial:
    """A job beside `Attempt`: ends what is left of an attempt that an earlier life of this agent began and must not go on."""

    def __init__(self, fence: Fence, work_root: Path, end_recorded: Callable[[Path], None], end: Callable[[], None]) -> None:
        self.fence = fence
        self._work_root = work_root
        self._end_recorded = end_recorded
        self._end = end

    def carry_out(self) -> None:
        end_leftovers(self._work_root, self.fence, self._end_recorded)
        self._end()
