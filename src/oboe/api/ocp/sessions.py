"""Browsers that are logged in. Sessions are kept in memory, so they end with the agent.

What a user may do is looked up anew for every request, so a session of a user who is disabled or has another password is none.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from oboe.api.shared.exchange import Request
from oboe.control.users import User, Users
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["COOKIE", "SESSION_SECONDS_MAX", "Sessions", "session_token"]

COOKIE = "OBOE_SESSION"
IDLE_SECONDS_MAX = 1800.0
SESSION_SECONDS_MAX = 12 * 3600.0
SESSIONS_MAX = 1000


@dataclass(slots=True)
class _Session:
    name: str
    password_hash: str = field(repr=False)
    began: float
    used: float


class Sessions:
    """Browsers that are logged in. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, user: User, now: float) -> Secret:
        """The new session's token; only its digest is kept."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._open[_digest(token)] = _Session(user.name, user.hash, now, now)
            if len(self._open) > SESSIONS_MAX:
                self._open.popitem(last=False)
        return Secret(token)

    def user(self, token: str, users: Users, now: float) -> User:
        """`Refused` ``auth.session``."""
        with self._lock:
            session = self._open.get(_digest(token))
            if session is None or now - session.used > IDLE_SECONDS_MAX or now - session.began > SESSION_SECONDS_MAX:
                self._open.pop(_digest(token), None)
                raise _no_session()
            session.used = now
            self._open.move_to_end(_digest(token))
        user = users.find(session.name)
        if user is None or user.disabled or user.hash != session.password_hash:
            self.end(token)
            raise _no_session()
        return user

    def end(self, token: str) -> None:
        """It may be gone already."""
        with self._lock:
            self._open.pop(_digest(token), None)


def session_token(request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _no_session() -> Refused:
    return Refused("auth.session", "there is no such session", hint="log in again")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
