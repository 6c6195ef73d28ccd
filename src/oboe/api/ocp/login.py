"""Logging in and out, for browsers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec

from oboe.api.ocp.objects import Login, Profile
from oboe.api.ocp.route import NOTHING, Call, Route
from oboe.api.ocp.sessions import COOKIE, SESSION_SECONDS_MAX, session_token
from oboe.api.shared.exchange import Request
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.kit.typed import decoder

__all__ = ["ROUTES"]


def log_in(call: Call) -> Profile:
    """Begin a session: the answer sets its cookie."""
    user = call.control.users.by_password(*credentials_of(call.request))
    token = call.sessions.begin(user, call.request.received_at).reveal()
    secure = "; Secure" if call.request.secure else ""
    call.note("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={SESSION_SECONDS_MAX:.0f}{secure}")
    return Profile(user.id, user.name, [str(grant) for grant in user.grants])


def log_out(call: Call) -> Any:
    """End the session, if there is one."""
    call.sessions.end(session_token(call.request))
    call.note("Set-Cookie", f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
    return NOTHING


def credentials_of(request: Request) -> tuple[str, Secret]:
    """Name and password from the body of a login: a form or JSON. `Refused` ``request.body``."""
    try:
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form = parse_qs(request.body.decode(), keep_blank_values=True, max_num_fields=20)
            given = {name: values[0] for name, values in form.items()}
        else:
            given = decoder(dict[str, str]).decode(request.body)
    except (ValueError, msgspec.DecodeError) as error:
        raise Refused("request.body", f"the body cannot be read: {type(error).__name__}") from None
    name = given.get("username") or given.get("user") or ""
    if not name or "password" not in given:
        raise Refused("request.body", "the body names no username and password")
    return name, Secret(given["password"])


ROUTES = (
    Route("POST", "/iam/login", log_in, "", public=True, answers=Profile, body=Login),
    Route("POST", "/iam/logout", log_out, ""),
)
