"""Every API of an agent as one ASGI application.

No framework's router stands in between: OBShell's wire has neither 405 nor `Allow`, compares raw targets, and reads bodies of GETs; the
tables of `oboe.api.obshell` say all that a router would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from oboe.api.description import together
from oboe.api.obshell.app import PREFIXES, Obshell
from oboe.api.obshell.auth import Door
from oboe.api.obshell.openapi import document
from oboe.api.ocp.app import PREFIX as OCP_PREFIX
from oboe.api.ocp.app import Ocp
from oboe.api.own.app import PREFIX as OWN_PREFIX
from oboe.api.own.app import own_api
from oboe.api.shared.exchange import PEER, Answer
from oboe.api.shared.face import ASGIApp, Face, Receive, Scope, Send, send_answer
from oboe.api.shared.room import Room
from oboe.control.port import Control, ForwardedAnswer, ForwardedRequest
from oboe.hosts.local_socket import may_ask

__all__ = ["Api", "app"]

_IN_CLEAR = frozenset({f"{PREFIXES[0]}/{name}" for name in ("info", "secret", "status")})
"""What agents ask of each other before they share an authority; that it comes from the agent is proven by no certificate yet."""
_NOT_FOUND = Answer(status=404, body=b"404 page not found", content_type="text/plain")


class Api:
    """Dispatches by the first segments of the path, the longest prefix first.

    ``others`` are more applications by prefix; ``""`` takes the rest. With ``tls_only`` nothing else is answered over plain HTTP but
    ``others``, which keep their own secrets, and a few public routes."""

    def __init__(
        self,
        control: Control,
        others: Mapping[str, ASGIApp],
        *,
        room: Room | None = None,
        tls_only: bool = False,
        used_headers: Path | None = None,
    ) -> None:
        """``used_headers``: the file in which used headers outlive the process; None: they do not."""
        self._room = room = room or Room()
        self._tls_only = tls_only
        self._in_clear = (*others,)
        self._obshell = Obshell(control, door=Door(control.keys, used_headers))
        self._own = own = own_api(control, self._obshell.door)
        self._tables = (self._obshell.routes, own.routes)
        obshell_face = Face(self._obshell.answer, self._obshell.refuse, room)
        self._faces: dict[str, ASGIApp] = dict.fromkeys(PREFIXES, obshell_face)
        self._faces[OWN_PREFIX] = Face(own.answer, own.refuse, room)
        self._ocp = ocp = Ocp(control, requests_max=room.bounds.user_requests_max)
        self._faces[OCP_PREFIX] = Face(ocp.answer, ocp.refuse, room)
        self._faces["/openapi.json"] = self._describe
        self._faces["/docs"] = self._show
        self._faces.update(others)
        self._faces = dict(sorted(self._faces.items(), key=lambda face: -len(face[0])))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """Of everything that is answered to."""
        return tuple(self._faces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        condition = self._condition(scope, path)
        if condition:
            refuse = self._ocp.refuse if path.startswith(OCP_PREFIX + "/") else self._obshell.refuse
            await send_answer(refuse(condition, time.monotonic()), send)
            return
        for prefix, face in self._faces.items():
            if path.startswith(prefix) and (not prefix or prefix in PREFIXES or path[len(prefix) :][:1] in ("", "/")):
                await face(scope, receive, send)
                return
        await send_answer(_NOT_FOUND, send)

    def _condition(self, scope: Scope, path: str) -> str:
        """Why it is not even looked at; empty: it is."""
        if PEER in scope:
            return "" if may_ask(scope[PEER]) else "peer"
        if not self._tls_only or scope["scheme"] == "https" or path in _IN_CLEAR:
            return ""
        return "" if any(path == prefix or path.startswith(prefix + "/") for prefix in self._in_clear) else "plain"

    @cached_property
    def description(self) -> dict[str, Any]:
        """Every route of every API; made when it is first asked for."""
        from oboe.api.ocp.openapi import document as of_ocp

        return together(document(*self._tables), of_ocp(self._ocp.routes))

    async def _describe(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_answer(Answer(status=200, body=msgspec.json.encode(self.description)), send)

    async def _show(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        from oboe.api.shared.page import page

        headers = (("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),)
        html = page(self.description).encode()
        await send_answer(Answer(status=200, body=html, content_type="text/html; charset=utf-8", headers=headers), send)

    def answer_forwarded(self, request: ForwardedRequest) -> ForwardedAnswer:
        """The MASTER's side of ``http.forward``: a FOLLOWER's caller, verified and answered here."""
        api = self._own if request.target.startswith(OWN_PREFIX + "/") else self._obshell
        return api.answer_forwarded(request, received_at=time.time(), started=time.monotonic())

    def end_streams(self) -> None:
        """Before the server stops, which waits for all that it answers."""
        self._room.streams.end()

    def stop(self) -> None:
        self._room.stop()
        self._obshell.door.close()


def app(control: Control, others: Mapping[str, ASGIApp] | None = None, *, room: Room | None = None, tls_only: bool = False) -> Api:
    """The application that the public port serves."""
    return Api(control, others or {}, room=room, tls_only=tls_only)
