"""Waiting for a signal of the operating system."""

from __future__ import annotations

import os
import signal
from types import FrameType

__all__ = ["Signals"]


class Signals:
    """Listens to these signals from the moment it is made; for the main thread, once in a process.

    Python runs a handler when the main thread next executes Python. A signal that comes just before that thread blocks is not looked at
    until something else wakes it: a `threading.Event` that the handler would set is waited for in vain. So the interpreter itself
    writes the signal's number into a pipe."""

    def __init__(self, *numbers: int) -> None:
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _go_on)

    def wait(self) -> None:
        """Until one of them comes, or has come."""
        os.read(self._told, 1)


def _go_on(number: int, frame: FrameType | None) -> None:
    """Whoever waits reads of it from the pipe."""
