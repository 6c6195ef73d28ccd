"""OCP's task API: from a request to an answer.

::

    route known? --no--> 404
    who asks?    --no--> 401, slower with each failure
    too much?    --yes-> 429
    may they?    --no--> 403
    handler      ------> data, a file, nothing, or an error in the envelope
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any

from oboe.api.ocp import hosts, login, tasks
from oboe.api.ocp.auth import user_of
from oboe.api.ocp.envelope import new_trace_id, wrap
from oboe.api.ocp.errors import failure_of
from oboe.api.ocp.rates import Rates, Standing
from oboe.api.ocp.route import NOTHING, Call, Route, Routes
from oboe.api.ocp.sessions import Sessions
from oboe.api.shared.exchange import Answer, Request
from oboe.api.shared.repeats import once
from oboe.control.port import Control
from oboe.control.users import User
from oboe.domain.errors import OboeError, Refused

__all__ = ["PREFIX", "ROUTES", "Ocp"]

PREFIX = "/api/v2"
ROUTES = (*login.ROUTES, *tasks.ROUTES, *hosts.ROUTES)

_GUESSES = frozenset({"user.refused", "auth.session"})
FOLLOWERS_MAX = 8
"""Requests that wait for more of a log at once; a further one is answered at once."""
_NOBODY = User(id=0, name="", hash="", disabled=True)
_CHALLENGE = ("WWW-Authenticate", 'Basic realm="oboe", charset="UTF-8"')

_log = logging.getLogger(__name__)


class Ocp:
    """The API over the use cases. Thread-safe."""

    def __init__(self, control: Control, *, requests_max: int = 0) -> None:
        """``requests_max``: what one user may ask in a minute; 0: no bound."""
        self._control = control
        self.sessions = Sessions()
        self._rates = Rates(requests_max)
        self._followers = BoundedSemaphore(FOLLOWERS_MAX)
        self.routes = Routes(PREFIX, ROUTES)

    def answer(self, request: Request) -> Answer:
        """Answer one request; called on a worker thread. Never raises what a client caused."""
        standing: Standing | None = None
        try:
            found = self.routes.find(request.method, request.path)
            if found is None:
                raise Refused("request.not_found", f"there is no {request.method} {request.path[:200]}")
            route, values = found
            user = _NOBODY
            if not route.public:
                user = user_of(request, self._control.users, self.sessions)
                standing = self._rates.count(user.name, request.started)
            if standing is not None:
                standing.check()
            if route.permission and not user.holds(route.permission):
                raise Refused("user.forbidden", f"{user.name} has no {route.permission}")
            answer = self._carried_out(self._call(request, route, user, values))
        except OboeError as error:
            answer = self._refused(request, error)
        return answer if standing is None else replace(answer, headers=(*answer.headers, *standing.headers))

    def refuse(self, condition: str, started: float) -> Answer:
        """What the server around this API answers by itself."""
        refusal = {
            "unread": Refused("request.unread", "the body is too long, too slow or was cut off"),
            "busy": Refused("request.busy", "too many requests are under way", hint="try again in a moment"),
            "plain": Refused("request.plain", "this agent answers over TLS only", hint="https, with the authority in its home: run/ca.pem"),
            "peer": Refused("auth.peer", "only root and the agent's own user may ask here", hint="ask over the port, with a password"),
        }.get(condition, OboeError("bug", "this should not happen", hint="the agent's log has the details; please report it"))
        failure = failure_of(refusal)
        body = wrap(None, status=failure.status, server=self._server(), started=started, trace_id=new_trace_id(), error=failure.error)
        headers = (("Retry-After", "1"),) if condition == "busy" else ()
        return Answer(status=failure.status, body=body, headers=headers)

    def _call(self, request: Request, route: Route, user: User, values: Mapping[str, str]) -> Call:
        return Call(
            control=self._control,
            sessions=self.sessions,
            followers=self._followers,
            route=route,
            request=request,
            user=user,
            path_values=values,
        )

    def _carried_out(self, call: Call) -> Answer:
        def carry_out() -> Answer:
            try:
                return self._answered(call, call.route.handler(call))
            except OboeError as error:
                return self._refused(call.request, error, call)

        if not call.route.changes:
            return carry_out()
        return once(self._control.repeating, call.user.name, call.request, call.request.body, carry_out)

    def _answered(self, call: Call, data: Any) -> Answer:
        if isinstance(data, Answer):
            return data
        body = self._wrapped(call.request, data)
        return Answer(status=200, body=body, headers=tuple(call.headers.items()))

    def _wrapped(self, request: Request, data: Any) -> bytes:
        server, trace_id = self._server(), new_trace_id()
        return wrap(data, status=200, server=server, started=request.started, trace_id=trace_id, omit=data is NOTHING)

    def _refused(self, request: Request, error: OboeError, call: Call | None = None) -> Answer:
        about = {"target": call.target, "debug": call.debug} if call is not None else {}
        failure = failure_of(error, language=request.headers.get("accept-language", ""), **about)
        trace_id = new_trace_id()
        if failure.status >= 500:
            _log.warning("%s %s (trace %s): %s: %s", request.method, request.path, trace_id, error.code, error)
        body = wrap(None, status=failure.status, server=self._server(), started=request.started, trace_id=trace_id, error=failure.error)
        headers = (_CHALLENGE,) if failure.status == 401 else (("Retry-After", "1"),) if failure.status == 503 else ()
        return Answer(status=failure.status, body=body, headers=headers, guessing=error.code in _GUESSES)

    def _server(self) -> str:
        return self._control.landmarks().here.ip
