"""Who asks over OCP's API: Basic, an access key's signature, or the session of a browser (`ocp-task.md` §1.4).

::

    Authorization: Basic …                        name and password
    Authorization: OCP-ACCESS-KEY-HMACSHA1 …      the user of that key, if Date and signature are right
    Cookie: OBOE_SESSION=…                        whoever logged in; a change must come from our own pages
    nothing, or anything else                     401

Sessions are kept in memory, so they end with the agent; what a user may do is looked up anew for every request, so a session of a user
who is disabled or has another password is none.
"""

from __future__ import annotations

import binascii
import secrets
import threading
from base64 import b64decode
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

import msgspec

from oboe.api.ocp.signing import SCHEME, check_date, is_signed
from oboe.api.shared.exchange import Request
from oboe.control.users import User, Users
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["COOKIE", "Sessions", "credentials_of", "session_token", "user_of"]

COOKIE = "OBOE_SESSION"
IDLE_SECONDS_MAX = 1800.0
SESSION_SECONDS_MAX = 12 * 3600.0
SESSIONS_MAX = 1000
_READING = ("GET", "HEAD")


@dataclass(slots=True)
class _Session:
    name: str
    password_hash: str
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


def user_of(request: Request, users: Users, sessions: Sessions) -> User:
    """`Refused` ``auth.none`` ``auth.expired`` ``auth.session`` ``auth.foreign_origin`` ``user.refused``."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        return users.by_password(*_basic(rest))
    if scheme == SCHEME:
        return _by_signature(request, rest, users)
    token = session_token(request)
    if scheme or not token:
        raise Refused("auth.none", "the request does not say who asks", hint=f"Basic, {SCHEME}, or log in at /api/v2/iam/login")
    if request.method not in _READING:
        _check_origin(request)
    return sessions.user(token, users, request.received_at)


def session_token(request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def credentials_of(request: Request) -> tuple[str, Secret]:
    """Name and password from the body of a login: a form or JSON. `Refused` ``request.body``."""
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = parse_qs(request.body.decode(), max_num_fields=20)
            given = {name: values[0] for name, values in form.items()}
        else:
            given = msgspec.json.decode(request.body, type=dict[str, str])
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused("request.body", f"the body cannot be read: {type(error).__name__}") from None
    name = given.get("username") or given.get("user") or ""
    if not name or "password" not in given:
        raise Refused("request.body", "the body names no username and password")
    return name, Secret(given["password"])


def _by_signature(request: Request, rest: str, users: Users) -> User:
    key, _, signature = rest.strip().partition(":")
    check_date(request)
    user, secret = users.by_access_key(key)
    if not is_signed(request, secret, signature):
        raise Refused("user.refused", "name and password, or the access key's signature, are not right")
    return user


def _basic(text: str) -> tuple[str, Secret]:
    try:
        name, colon, password = b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise Refused("user.refused", "the credentials are not in Basic's form")
    return name, Secret(password)


def _check_origin(request: Request) -> None:
    """A page of somebody else cannot make a browser act here: browsers name the origin of every change."""
    origin = request.headers.get("origin") or request.headers.get("referer") or ""
    host = request.headers.get("host", "")
    if not origin or origin.partition("://")[2].split("/")[0] != host:
        raise Refused("auth.foreign_origin", "a session acts from this server's own pages only", hint="use Basic or an access key")


def _no_session() -> Refused:
    return Refused("auth.session", "there is no such session", hint="log in again")


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
