"""Lines that steps have written and that no home may have yet, in two files that outlive a killed agent.

A line is here before it is gathered for its home. What is told twice because of that is kept once: a home knows a line by its attempt and
``seq``. Nothing is synced: a SIGKILL leaves what was written, a power cut may take the last lines. Lines are masked before they come here.

Invariant: the files hold the last ``bytes_max`` bytes of lines at least, and twice as much at most; when the newer one is full, it takes
the place of the older one.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import msgspec

from oboe.domain.messages import Fence, LogLine
from oboe.kit.typed import decoder

__all__ = ["Jottings"]

_BYTES_MAX = 1 << 18
"""Of one file: much more than a step writes between two reports, and read in a few milliseconds."""

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder()


class _Jotting(msgspec.Struct, array_like=True):
    fence: Fence
    line: LogLine


class Jottings:
    """Thread-safe. A disk that takes no line costs the line here, not its step: its home is told of it all the same."""

    def __init__(self, root: Path, *, bytes_max: int = _BYTES_MAX) -> None:
        self._newer, self._older = root / "lines", root / "lines.older"
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._trouble = ""
        self._left = self._read()

    def left(self, fence: Fence) -> tuple[LogLine, ...]:
        """What an earlier life of this agent wrote for that attempt; once."""
        return tuple(self._left.pop(fence, ()))

    def jot(self, fence: Fence, line: LogLine) -> None:
        """On the disk, as far as a SIGKILL goes, when this returns."""
        body = _encoder.encode(_Jotting(fence, line)) + b"\n"
        with self._lock:
            try:
                if self._file < 0 or self._size >= self._bytes_max:
                    self._turn_over()
                self._size += os.write(self._file, body)
            except OSError as error:
                if str(error) != self._trouble:
                    _log.warning("lines of steps are not kept on the disk until their homes have them: %s", error)
                self._trouble = str(error)

    def close(self) -> None:
        """The next line opens it again."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _turn_over(self) -> None:
        """Open the newer file; one that is full becomes the older one."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._newer.replace(self._older)
        self._newer.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(self._newer, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size

    def _read(self) -> dict[Fence, list[LogLine]]:
        """By attempt, in order. A line that was cut off is none."""
        found: dict[Fence, list[LogLine]] = {}
        read = decoder(_Jotting)
        for path in (self._older, self._newer):
            try:
                bodies = path.read_bytes().splitlines()
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.warning("the last lines of steps cannot be read: %s", error)
                continue
            for body in bodies:
                try:
                    jotting = read.decode(body)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                found.setdefault(jotting.fence, []).append(jotting.line)
        return found
