"""The password that the MASTER accepted last, of those a FOLLOWER passed on: with that one, the FOLLOWER may answer lists by itself.

A FOLLOWER knows no password, so while its MASTER hangs nobody could be verified. Only a digest is kept, under a key of this process.
"""

from __future__ import annotations

import hmac
import secrets
import threading

from oboe.kit.secret import Secret

__all__ = ["Accepted"]

KEPT_SECONDS = 1800.0
"""After the MASTER accepted it last; it may have another one since."""


class Accepted:
    """Thread-safe; times are Unix seconds."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._digest = b""
        self._until = 0.0

    def note(self, header: str, password: Secret, now: float) -> None:
        """The MASTER has let somebody in with it."""
        with self._lock:
            self._digest, self._until = self._digest_of(header, password), now + KEPT_SECONDS

    def holds(self, header: str, password: Secret, now: float) -> bool:
        with self._lock:
            return now < self._until and hmac.compare_digest(self._digest, self._digest_of(header, password))

    def known(self, now: float) -> bool:
        """Whether any is: then another one is a guess."""
        with self._lock:
            return now < self._until

    def _digest_of(self, header: str, password: Secret) -> bytes:
        return hmac.digest(self._key, f"{header}:{password.reveal()}".encode(), "sha256")
