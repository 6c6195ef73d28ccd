"""Every API of an agent as one ASGI application.

No framework's router stands in between: OBShell's wire has neither 405 nor `Allow`, compares raw targets, and reads bodies of GETs; the
tables of `oboe.api.obshell` say all that a router would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from oboe.api.obshell.app import PREFIXES, Obshell
from oboe.api.obshell.openapi import describe, document
from oboe.api.ocp.app import PREFIX as OCP_PREFIX
from oboe.api.ocp.app import Ocp
from oboe.api.own.app import PREFIX as OWN_PREFIX
from oboe.api.own.app import own_api
from oboe.api.shared.exchange import Answer
from oboe.api.shared.face import ASGIApp, Face, Receive, Scope, Send, Workers, send_answer
from oboe.control.port import Control, ForwardedAnswer, ForwardedRequest

__all__ = ["Api", "app"]

_NOT_FOUND = Answer(status=404, body=b"404 page not found", content_type="text/plain")


class Api:
    """Dispatches by the first segments of the path, the longest prefix first.

    ``others`` are more applications by prefix; ``""`` takes the rest."""

    def __init__(self, control: Control, others: Mapping[str, ASGIApp]) -> None:
        self._workers = Workers()
        self._obshell = Obshell(control)
        self._own = own = own_api(control, self._obshell.door)
        self._tables = (self._obshell.routes, own.routes)
        obshell_face = Face(self._obshell.answer, self._obshell.refuse, self._workers)
        self._faces: dict[str, ASGIApp] = dict.fromkeys(PREFIXES, obshell_face)
        self._faces[OWN_PREFIX] = Face(own.answer, own.refuse, self._workers)
        ocp = Ocp(control)
        self._faces[OCP_PREFIX] = Face(ocp.answer, ocp.refuse, self._workers)
        self._faces["/openapi.json"] = self._describe
        self._faces["/docs"] = self._show
        self._faces.update(others)
        self._faces = dict(sorted(self._faces.items(), key=lambda face: -len(face[0])))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        for prefix, face in self._faces.items():
            if path.startswith(prefix) and (not prefix or path[len(prefix) :][:1] in ("", "/")):
                await face(scope, receive, send)
                return
        await send_answer(_NOT_FOUND, send)

    async def _describe(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_answer(Answer(status=200, body=describe(*self._tables)), send)

    async def _show(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        from oboe.api.obshell.docs import page

        html = page(document(*self._tables)).encode()
        headers = (("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),)
        await send_answer(Answer(status=200, body=html, content_type="text/html; charset=utf-8", headers=headers), send)

    def answer_forwarded(self, request: ForwardedRequest) -> ForwardedAnswer:
        """The MASTER's side of ``http.forward``: a FOLLOWER's caller, verified and answered here."""
        api = self._own if request.target.startswith(OWN_PREFIX + "/") else self._obshell
        return api.answer_forwarded(request, received_at=time.time(), started=time.monotonic())

    def stop(self) -> None:
        self._workers.stop()


def app(control: Control, others: Mapping[str, ASGIApp] | None = None) -> Api:
    """The application that the public port serves."""
    return Api(control, others or {})
