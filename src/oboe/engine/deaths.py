"""How often in a row an agent died while it carried out one attempt: a step that kills its agent would kill every life that resumes it.

Counted in a file of the dag's work directory, written before the step begins again. A stop of the agent takes the count away, and so does
a life that lasted.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from oboe.domain.messages import Fence

__all__ = ["count_death", "forget_deaths"]

_LASTED_SECONDS = 600.0
"""Of an agent that lived so long after it resumed a step, the step is not to blame."""


def count_death(work_root: Path, fence: Fence) -> int:
    """Deaths in a row, with the one that is the reason for this life. 0 when it cannot be kept: then the disk is to blame, not the step."""
    path = _path(work_root, fence)
    try:
        lasted = time.time() - path.stat().st_mtime > _LASTED_SECONDS
        count = 1 if lasted else int(path.read_text()) + 1
    except (OSError, ValueError):
        count = 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(str(count))
    except OSError:
        return 0
    return count


def forget_deaths(work_root: Path, fence: Fence) -> None:
    """This life ends as it was told to."""
    with suppress(OSError):
        _path(work_root, fence).unlink(missing_ok=True)


def _path(work_root: Path, fence: Fence) -> Path:
    return work_root / fence.dag_key / f"deaths.{fence.sub_task}.{fence.epoch}.{fence.attempt}"
