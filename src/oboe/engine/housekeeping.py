"""What is forgotten, and when: old dags of a home, the inbox of dags that settled, work directories that nobody needs.

Before the inbox forgets, homes are reminded of dags of which they never said that they settled."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from oboe.domain.errors import OboeError
from oboe.domain.values import SECOND
from oboe.engine.limits import Limits
from oboe.engine.ports import History, InboxStore

__all__ = ["Housekeeping"]

_FIRST_SECONDS = 60.0
"""An agent that starts has better things to do."""
_BATCH = 500

_log = logging.getLogger(__name__)


class Housekeeping:
    """A thread that sweeps now and then."""

    def __init__(
        self,
        histories: Callable[[], Sequence[History]],
        inbox: InboxStore,
        work_root: Path,
        *,
        in_use: Callable[[str], bool],
        remind: Callable[[int], None],
        limits: Limits,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._histories = histories
        self._inbox = inbox
        self._work_root = work_root
        self._in_use = in_use
        self._remind = remind
        self._limits = limits
        self._clock = clock
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="housekeeping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._closed.set()

    def sweep(self) -> int:
        """Once; how many dags were forgotten."""
        now, limits = self._clock(), self._limits
        count = 0
        for history in self._histories():
            while not self._closed.is_set():
                gone = history.forget(now - int(limits.keep_seconds * SECOND), limits.keep_dags_max, batch=_BATCH)
                count += len(gone)
                for key in gone:
                    shutil.rmtree(self._work_root / key, ignore_errors=True)
                if len(gone) < _BATCH:
                    break
        self._remind(now - int(limits.remind_seconds * SECOND))
        self._inbox.forget(now - int(limits.inbox_keep_seconds * SECOND))
        self._inbox.drop_orphans(now - int(limits.keep_seconds * SECOND))
        self._sweep_work(now)
        return count

    def _sweep_work(self, now: int) -> None:
        """Directories of dags kept elsewhere: their home does not say when it forgets them, so they go by age."""
        oldest = now - int(self._limits.keep_seconds * SECOND)
        for directory in self._work_root.glob("*"):
            try:
                old = directory.stat().st_mtime_ns < oldest
            except FileNotFoundError:
                continue
            if old and not self._in_use(directory.name):
                shutil.rmtree(directory, ignore_errors=True)

    def _go_on(self) -> None:
        pause = min(_FIRST_SECONDS, self._limits.sweep_seconds)
        while not self._closed.wait(pause):
            pause = self._limits.sweep_seconds
            try:
                self.sweep()
            except OboeError as error:
                _log.warning("housekeeping: %s", error)
            except Exception:  # noqa: BLE001 - the next sweep is another chance
                _log.exception("housekeeping")
