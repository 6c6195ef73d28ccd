"""OBShell's HTTP API: from a request to an answer (`obshell-wire.md` §1.6).

::

    route known? --no--> a slash too many? redirect, else 404
    public?      --yes-> handler
    verified?    --no--> 4xx;  FOLLOWER: passed on to the MASTER, whose answer is the answer
    body opened? --no--> as a header that cannot be opened
    handler      ------> data, 204, or an error in the envelope
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import unquote

from oboe.api.obshell import agents, cluster, life, tasks
from oboe.api.obshell.auth import Admitted, Door, Rule
from oboe.api.obshell.errors import translate
from oboe.api.obshell.ids import is_obproxy
from oboe.api.obshell.passing_on import TRACE_HEADER, PassingOn
from oboe.api.obshell.printed import Printed
from oboe.api.obshell.route import NO_CONTENT, Call, Route, Routes, parse_query
from oboe.api.shared.envelope import NO_DATA, new_trace_id, wrap
from oboe.api.shared.exchange import JSON, Answer, Request, Stream
from oboe.api.shared.repeats import once
from oboe.control.port import Caller, Control, ForwardedAnswer, ForwardedRequest
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.values import Identity
from oboe.remote import secrecy

__all__ = ["PREFIXES", "Obshell"]

PREFIX = "/api/v1"
PREFIXES = (PREFIX, "/rpc/v1")
"""Where unknown paths are answered in the envelope; agents of oboe do not talk to each other below ``/rpc/v1``."""

ROUTES = (*agents.ROUTES, *cluster.ROUTES, *life.ROUTES, *tasks.ROUTES)

_WHO = "root"
"""Whoever may ask here is one, to requests by key."""

_GUESSES = frozenset({"auth.root_password", "auth.agent_password", "secrecy.undecipherable", "auth.session_unknown", "sso.unknown"})
_NOT_HEARD = frozenset({"agent.not_member", "forward.no_master", "agent.no_certificate"})
"""No MASTER has seen what was passed on to it."""
_JSON_UTF8 = "application/json; charset=utf-8"

_UNBUFFERED = (("Cache-Control", "no-store"), ("X-Accel-Buffering", "no"))
"""Nobody in between keeps a stream, or waits until there is more of it."""

_log = logging.getLogger(__name__)


class Obshell:
    """The API over the use cases. Thread-safe. Other routes, below another prefix, may be served the same way, behind the same door."""

    def __init__(self, control: Control, *, prefix: str = PREFIX, routes: Sequence[Route] = ROUTES, door: Door | None = None) -> None:
        """Routes that are `Route.once` look at the request's key, in case it was carried out before."""
        self._control = control
        self.door = self._door = door or Door(control.keys)
        self.routes = Routes(prefix, routes)
        self._printed = Printed()
        self._passing_on = PassingOn(control)

    def answer(self, request: Request) -> Answer:
        """Answer one request; called on a worker thread. Never raises what a client caused."""
        found = self.routes.find(request.method, request.path)
        if found is None:
            return self._not_routed(request)
        route, values = found
        call = self._call(request, values)
        try:
            if not route.public:
                ahead = None if route.foresee is None else partial(route.foresee, call)
                admitted = self._door.admit(request, _rule(route, values), ahead)
                _take(call, admitted, request.body)
                if admitted.forward is not None or (admitted.plain and self._follows() and route.of_master(call)):
                    return self._passed_on(request, route, call, admitted) or self.answer(request)
            return self._once(request, route, call.body, lambda: _handled(request, call, route))
        except OboeError as error:
            return _refused(request, call, error, guessing=error.code in _GUESSES)

    def _once(self, request: Request, route: Route, body: bytes, carry_out: Callable[[], Answer]) -> Answer:
        return once(self._control.repeating, _WHO, request, body, carry_out) if route.once else carry_out()

    def answer_forwarded(self, forwarded: ForwardedRequest, *, received_at: float, started: float) -> ForwardedAnswer:
        """As the MASTER: a request that a FOLLOWER has opened and passed on; its password is verified here."""
        path, _, query = forwarded.target.partition("?")
        request = Request(
            method=forwarded.method,
            target=forwarded.target,
            path=unquote(path),
            query=query,
            headers={"accept-language": forwarded.language, TRACE_HEADER: forwarded.trace_id},
            body=forwarded.body,
            source=str(forwarded.from_agent.ip),
            received_at=received_at,
            started=started,
        )
        answer = self._answer_opened(request, forwarded)
        body = answer.body if answer.chunks is None else _beginning(answer.chunks)
        return ForwardedAnswer(answer.status, answer.content_type, body, answer.headers)

    def refuse(self, condition: str, started: float) -> Answer:
        """What the server around this API answers by itself."""
        refusal = {
            "unread": Refused("request.unread", "the body is too long, too slow or was cut off"),
            "busy": Refused("request.busy", "too many requests are under way", hint="try again in a moment"),
            "plain": Refused("request.plain", "this agent answers over TLS only", hint="https, with the authority in its home: run/ca.pem"),
            "peer": Refused("auth.peer", "only root and the agent's own user may ask here", hint="ask over the port, with a password"),
        }.get(condition, Refused("bug", "this should not happen", hint="the agent's log has the details; please report it"))
        error = translate(refusal)
        return Answer(status=error.status, body=wrap(NO_DATA, trace_id="", started=started, error=error))

    def _answer_opened(self, request: Request, forwarded: ForwardedRequest) -> Answer:
        found = self.routes.find(request.method, request.path)
        if found is None:
            return self._not_routed(request)
        route, values = found
        call = self._call(request, values)
        call.forwarded_by, call.keys = forwarded.from_agent, forwarded.keys
        try:
            if not forwarded.local:
                self._door.check_password(forwarded.header, forwarded.password)
        except OboeError as error:
            return _refused(request, call, error)
        return _handled(request, call, route)

    def _passed_on(self, request: Request, route: Route, call: Call, admitted: Admitted) -> Answer | None:
        """The MASTER's answer. None: it has let this agent go meanwhile, which is no FOLLOWER any more and has to answer by itself."""

        def ask() -> Answer:
            if route.gathers:
                return self._passing_on.ask_or_answer(request, route, call, admitted, lambda: _handled(request, call, route))
            return self._passing_on.ask(request, route, call, admitted)

        try:
            answer = self._once(request, route, call.body, ask)
        except OboeError as error:
            if self._follows() or (request.method != "GET" and error.code not in _NOT_HEARD):
                guessing = route.gathers and self._passing_on.is_guess(admitted, request.received_at)
                return _refused(request, call, error, guessing=guessing)
        else:
            if answer.status == 401:
                self._door.disown(admitted)
            if answer.status < 400 or request.method != "GET" or self._follows():
                return answer
        self._door.disown(admitted)
        return None

    def _follows(self) -> bool:
        return self._control.agent().identity is Identity.FOLLOWER

    def _call(self, request: Request, values: Mapping[str, str]) -> Call:
        return Call(
            control=self._control,
            door=self._door,
            printed=self._printed,
            path_values=values,
            query=parse_query(request.query),
            body=request.body,
            caller=Caller(source=request.source),
            local=request.local,
            received_at=request.received_at,
            asked_at=request.started,
            last_event_id=request.headers.get("last-event-id", ""),
        )

    def _not_routed(self, request: Request) -> Answer:
        raw_path, _, query = request.target.partition("?")
        if raw_path.endswith("/") and self.routes.has_slash_too_many(request.method, request.path):
            return _redirect(request, raw_path[:-1] + (f"?{query}" if query else ""))
        error = translate(Refused("request.not_found", f"there is no {request.method} {request.path[:200]}"))
        body = wrap(NO_DATA, trace_id=_trace_id(request), started=request.started, error=error)
        return Answer(status=error.status, body=body)


def _handled(request: Request, call: Call, route: Route) -> Answer:
    call.lookup.update(route.lookup)
    try:
        data = route.handler(call)
    except OboeError as error:
        return _refused(request, call, error)
    return _answered(request, call, data)


def _refused(request: Request, call: Call, error: OboeError, *, guessing: bool = False) -> Answer:
    wire = translate(error, call.lookup)
    unopened = error.code == "secrecy.undecipherable"
    if wire.status >= 500 and not isinstance(error, (Refused, Unreachable)):
        _log.warning("%s %s: %s: %s", request.method, request.path, error.code, error)
    trace_id = "" if unopened else _trace_id(request)
    return Answer(
        status=wire.status,
        body=wrap(call.data_on_error, trace_id=trace_id, started=request.started, error=wire),
        content_type=_JSON_UTF8 if unopened else JSON,
        headers=tuple(call.headers),
        guessing=guessing,
    )


def _take(call: Call, admitted: Admitted, body: bytes) -> None:
    """What the opened header gives to the handler, the body first."""
    header = admitted.header
    call.body = _opened(admitted, body)
    call.keys, call.session_id, call.sso_token = header.keys, header.session_id, header.sso_token


def _opened(admitted: Admitted, body: bytes) -> bytes:
    return body if admitted.plain else secrecy.open_body(admitted.header.keys, body) if body else b""


def _answered(request: Request, call: Call, data: Any) -> Answer:
    headers = tuple(call.headers)
    if data is NO_CONTENT:
        return Answer(status=204, headers=headers)
    if isinstance(data, Stream):
        return Answer(status=200, content_type=data.content_type, headers=(*headers, *_UNBUFFERED), chunks=data.chunks)
    trace_id = "" if request.target == f"{PREFIX}/status" else _trace_id(request)
    return Answer(status=200, body=wrap(data, trace_id=trace_id, started=request.started), headers=headers)


def _beginning(chunks: Generator[bytes, None, None]) -> bytes:
    """Of a stream: its first word and what there is now. A forwarded answer is passed on whole, so whoever listens comes back for more."""
    with closing(chunks):
        return b"".join(islice(chunks, 2))


def _rule(route: Route, values: Mapping[str, str]) -> Rule:
    return Rule.AGENT_PASSWORD_ONLY if is_obproxy(values.get("id", "")) else route.rule


def _trace_id(request: Request) -> str:
    """The one that was sent, as it was sent: the original takes the header's bytes for UTF-8."""
    given = request.headers.get(TRACE_HEADER, "")
    return given.encode("latin-1").decode(errors="replace") if given else new_trace_id()


def _redirect(request: Request, location: str) -> Answer:
    """``location`` is as it came on the request line: decoded, it could end the header that it is put into."""
    headers = (("Location", location),)
    if request.method != "GET":
        return Answer(status=307, content_type="", headers=headers)
    body = f'<a href="{escape(location)}">Moved Permanently</a>.\n\n'
    return Answer(status=301, body=body.encode(), content_type="text/html; charset=utf-8", headers=headers)
