"""Login sessions and one-time tokens of browsers (`obshell-wire.md` §4.8). In memory only; a change of password ends them all."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable
from hashlib import sha256

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["Sessions"]

IDLE_SECONDS_MAX = 1800.0
TOKEN_SECONDS_MAX = 60.0
SESSIONS_MAX = 1000


class Sessions:
    """Who is logged in. ``passwords`` gives what sessions depend on: when it differs, none is left. Thread-safe."""

    def __init__(self, passwords: Callable[[], tuple[Secret | None, ...]]) -> None:
        self._passwords = passwords
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}
        self._tokens: dict[str, tuple[float, bool]] = {}
        self._depends_on = self._fingerprint()

    def begin(self, now: float) -> Secret:
        """A new session's id: 64 hex digits."""
        with self._lock:
            self._purge(now)
            if len(self._used) >= SESSIONS_MAX:
                del self._used[min(self._used, key=lambda each: self._used[each])]
            session = secrets.token_hex(32)
            self._used[session] = now
            return Secret(session)

    def check(self, session: Secret, now: float) -> None:
        """It goes on. `Refused` ``auth.session_unknown``, ``auth.session_expired``."""
        with self._lock:
            self._end_if_changed()
            last = self._used.get(session.reveal())
            if last is None:
                raise Refused("auth.session_unknown", "there is no such session", hint="log in again")
            if now - last > IDLE_SECONDS_MAX:
                del self._used[session.reveal()]
                raise Refused("auth.session_expired", "the session was idle for too long", hint="log in again")
            self._used[session.reveal()] = now

    def end(self, session: Secret) -> None:
        """It may be gone already."""
        with self._lock:
            self._used.pop(session.reveal(), None)

    def new_token(self, now: float) -> Secret:
        """A token that is exchanged once for a session, within a minute."""
        with self._lock:
            self._purge(now)
            token = secrets.token_hex(32)
            if len(self._tokens) < SESSIONS_MAX:
                self._tokens[token] = (now, False)
            return Secret(token)

    def exchange(self, token: Secret, now: float) -> Secret:
        """A session for a token. `Refused` ``sso.*``."""
        if not token:
            raise Refused("sso.missing", "the header holds no token")
        with self._lock:
            self._end_if_changed()
            made, used = self._tokens.get(token.reveal(), (0.0, False))
            if not made:
                raise Refused("sso.unknown", "there is no such token")
            if used:
                raise Refused("sso.used", "the token was used")
            self._tokens[token.reveal()] = (made, True)
        if now - made > TOKEN_SECONDS_MAX:
            raise Refused("sso.expired", "the token is too old")
        return self.begin(now)

    def _purge(self, now: float) -> None:
        self._end_if_changed()
        self._used = {each: last for each, last in self._used.items() if now - last <= IDLE_SECONDS_MAX}
        self._tokens = {each: state for each, state in self._tokens.items() if now - state[0] <= 2 * TOKEN_SECONDS_MAX}

    def _end_if_changed(self) -> None:
        depends_on = self._fingerprint()
        if not hmac.compare_digest(depends_on, self._depends_on):
            self._depends_on = depends_on
            self._used.clear()
            self._tokens.clear()

    def _fingerprint(self) -> bytes:
        texts = ("-" if each is None else "+" + each.reveal() for each in self._passwords())
        return sha256("\0".join(texts).encode()).digest()
