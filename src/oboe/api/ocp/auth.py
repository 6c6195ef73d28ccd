"""Who asks over OCP's API: Basic, an access key's signature, or the session of a browser (`ocp-task.md` §1.4).

::

    Authorization: Basic …                        name and password
    Authorization: OCP-ACCESS-KEY-HMACSHA1 …      the user of that key, if Date and signature are right
    Cookie: OBOE_SESSION=…                        whoever logged in; a change must come from our own pages
    nothing, or anything else                     401
"""

from __future__ import annotations

from base64 import b64decode

from oboe.api.ocp.sessions import Sessions, session_token
from oboe.api.ocp.signing import SCHEME, check_date, is_signed
from oboe.api.shared.exchange import Request
from oboe.control.users import User, Users
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["user_of"]

_READING = ("GET", "HEAD")


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
    except ValueError:  # no base64, no ASCII or no UTF-8
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
