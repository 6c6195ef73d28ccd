"""The used headers of an agent as a file in its home, so that a restart, SIGKILL included, makes none of them good again.

::

    head    64 bytes   what it is, how many places it has, and until which second everything is refused
    place   16 bytes   the second in which a header expires, then 12 bytes of a digest of its keys; second 0: free

Each header that is used is one small write to its place: no fsync, because what is written is the system's, and outlives the process. It
does not outlive the loss of power; by the time that a host is back, what the vendor's clients made has expired. The file has a fixed size.

A file that is no such file, was cut, or names a second too far away, is begun anew, and what expires within a minute is refused once: a
header that was captured before cannot be told from others any more.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

__all__ = ["DIGEST_BYTES", "UsedHeaders"]

DIGEST_BYTES = 12
UNKNOWN_SECONDS = 60
"""How far ahead the vendor's clients let their headers expire."""
AHEAD_SECONDS_MAX = 3600
"""Well beyond what a header may be valid for; the clock may have been set back a little since."""

_MAGIC = b"oboe used headers 1\n"
_HEAD = struct.Struct("<32sIQ20x")
_PLACE = struct.Struct(f"<I{DIGEST_BYTES}s")
_log = logging.getLogger(__name__)


class UsedHeaders:
    """Not thread-safe: its holder has a lock. A disk that does not take a write costs the memory across restarts, not the request."""

    def __init__(self, path: Path, places: int, now: float) -> None:
        """Read it, or begin it: `refused_until` and `found` say what it knew."""
        self.refused_until = 0
        self.found: list[tuple[int, int, bytes]] = []
        """Place, second and digest of what has not expired."""
        self.free: list[int] = []
        """Places that were taken, and may be again."""
        self.never_taken = 0
        """The first place of those."""
        self._places = places
        self._healthy = True
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(self._descriptor, 0o600)
        kept = self._read()
        if kept and not self._understand(kept, now):
            _log.warning("%s cannot be read and is begun anew: headers that expire within %d s are refused", path, UNKNOWN_SECONDS)
            self.found, self.free, self.never_taken = [], [], 0
            self.refused_until = int(now) + UNKNOWN_SECONDS
            kept = b""
        if not kept:
            self._begin()

    def take(self, place: int, expires: int, digest: bytes) -> None:
        self._write(_HEAD.size + place * _PLACE.size, _PLACE.pack(expires, digest))

    def leave(self, place: int) -> None:
        self._write(_HEAD.size + place * _PLACE.size, _PLACE.pack(0, b""))

    def refuse_until(self, second: int) -> None:
        self.refused_until = second
        self._write(0, self._head())

    def close(self) -> None:
        """Nothing is written from then on: the number may soon be another file's."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _head(self) -> bytes:
        return _HEAD.pack(_MAGIC, self._places, self.refused_until)

    @property
    def _size(self) -> int:
        return _HEAD.size + self._places * _PLACE.size

    def _read(self) -> bytes:
        return os.pread(self._descriptor, self._size + 1, 0)

    def _understand(self, kept: bytes, now: float) -> bool:
        if len(kept) != self._size:
            return False
        magic, places, until = _HEAD.unpack_from(kept)
        latest = int(now) + AHEAD_SECONDS_MAX
        if magic.rstrip(b"\0") != _MAGIC or places != self._places or until > latest:
            return False
        self.refused_until = until
        for place, (expires, digest) in enumerate(self._taken(kept)):
            if expires > latest:
                return False
            self.never_taken = place + 1
            if expires < int(now) or expires <= until:
                self.free.append(place)
            else:
                self.found.append((place, expires, digest))
        return True

    @staticmethod
    def _taken(kept: bytes) -> Iterator[tuple[int, bytes]]:
        """Up to the last one; one in between that could not be written is as one that was left."""
        written = len(kept.rstrip(b"\0")) - _HEAD.size
        places = max(0, -(-written // _PLACE.size))
        return _PLACE.iter_unpack(memoryview(kept)[_HEAD.size : _HEAD.size + places * _PLACE.size])

    def _begin(self) -> None:
        self._healthy = True
        try:
            os.ftruncate(self._descriptor, 0)
            os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self._failed(error)
        self._write(0, self._head())

    def _write(self, at: int, content: bytes) -> None:
        try:
            os.pwrite(self._descriptor, content, at)
        except OSError as error:
            self._failed(error)
        else:
            self._healthy = True

    def _failed(self, error: OSError) -> None:
        if self._healthy:
            _log.error("used headers cannot be written down, a restart would forget them: %s", error.strerror)
        self._healthy = False
