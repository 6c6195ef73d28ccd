"""The thread on which orders that wait are let in: not the one that freed a worker, because letting in writes to the store."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from oboe.domain.errors import TryAgain

__all__ = ["Admission"]

_IDLE_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Admission:
    """Calls ``admit`` soon after somebody wants it, on one thread for all; it comes when it is wanted and leaves when it idles."""

    def __init__(self, admit: Callable[[], None], *, pause_seconds: float, closed: threading.Event) -> None:
        """``admit`` is called again ``pause_seconds`` after it failed."""
        self._admit = admit
        self._pause_seconds = pause_seconds
        self._closed = closed
        self._changed = threading.Condition()
        self._wanted = False
        self._served = False
        """There is a thread that sees to it."""

    def want(self) -> None:
        """A slot is free, or a sub-task."""
        with self._changed:
            self._wanted = True
            if self._served:
                self._changed.notify()
                return
            self._served = True
        threading.Thread(target=self._serve, name="inbox-admit", daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not self._wanted:
                    self._changed.wait(_IDLE_SECONDS)
                if not self._wanted or self._closed.is_set():
                    self._served = False
                    return
                self._wanted = False
            try:
                self._admit()
            except Exception as error:  # noqa: BLE001 - who waits is admitted at the next try
                _log.log(logging.WARNING if isinstance(error, TryAgain) else logging.ERROR, "orders wait: %s", error, exc_info=error)
                self._closed.wait(self._pause_seconds)
                self.want()
