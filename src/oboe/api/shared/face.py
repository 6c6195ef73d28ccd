"""An ASGI application around a function from `Request` to `Answer`: limits, one hop to a worker thread, no traceback to a client."""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any

from oboe.api.shared.exchange import PEER, TARGET, Answer, Request
from oboe.api.shared.room import Full, Held, Room

__all__ = ["ASGIApp", "Face", "Receive", "Scope", "Send", "send_answer"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

LINGER_BYTES_MAX = 32 << 20
"""What is read of a body that was refused already, and thrown away."""
LINGER_SECONDS_MAX = 5.0
LINGER_QUIET_SECONDS = 0.2
_log = logging.getLogger(__name__)


class _Unread(Exception):
    """The body is too long, too slow, or was never finished."""


class Face:
    """Serves ``carry_out``. ``refuse`` makes the answer for a condition that this layer finds: ``unread``, ``busy`` or ``bug``."""

    def __init__(self, carry_out: Callable[[Request], Answer], refuse: Callable[[str, float], Answer], room: Room) -> None:
        self._carry_out = carry_out
        self._refuse = refuse
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        answer = await self._answer(scope, receive, started)
        if answer.chunks is None:
            await send_answer(answer, send)
        elif self._room.streams.full:
            answer.chunks.close()
            await send_answer(self._refuse("busy", started), send)
        else:
            await self._room.streams.send(answer.status, _headers_of(answer), answer.chunks, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, started: float) -> Answer:
        with Held(self._room) as held:
            try:
                request = await _read(scope, receive, started, self._room, held)
            except (_Unread, Full) as error:
                await _linger(receive)
                return self._refuse("busy" if isinstance(error, Full) else "unread", started)
            if self._room.busy(local=request.local):
                return self._refuse("busy", started)
            try:
                answer = await self._room.run(self._carry_out, request)
            except Exception:  # noqa: BLE001  a request ends here
                _log.exception("%s %s failed unexpectedly", request.method, request.path)
                return self._refuse("bug", started)
        if answer.guessing:
            await sleep(self._room.throttle.failed(request.source, time.monotonic()))
        return answer


async def _read(scope: Scope, receive: Receive, started: float, room: Room, held: Held) -> Request:
    bounds = room.bounds
    received_at = time.time()
    headers = _headers(scope["headers"])
    query: str = scope["query_string"].decode("latin-1")
    body = b""
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        try:
            async with asyncio.timeout(bounds.body_seconds):
                body = await _body(receive, headers, bounds.body_bytes_max, held)
        except TimeoutError:
            raise _Unread from None
    return Request(
        method=scope["method"],
        target=_target(scope, query),
        path=scope["path"],
        query=query,
        headers=headers,
        body=body,
        source=f"uid {scope[PEER]}" if PEER in scope else scope["client"][0] if scope.get("client") else "",
        received_at=received_at,
        started=started,
        secure=scope["scheme"] == "https",
        local=PEER in scope,
        alone=room.idle,
    )


def _target(scope: Scope, query: str) -> str:
    """As on the request line; of one that names its host too, the part behind that."""
    line: bytes = scope.get(TARGET, b"")
    if line.startswith(b"/"):
        return line.decode("latin-1")
    path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    return f"{path}?{query}" if query else path


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case name; the first of a name counts, but signed ones are joined in the order in which they came."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1").strip(" \t")
        if key not in headers:
            headers[key] = text
        elif key.startswith("x-ocp"):
            headers[key] += f",{text}"
    return headers


async def _body(receive: Receive, headers: dict[str, str], bytes_max: int, held: Held) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > bytes_max:
        raise _Unread
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Unread
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            raise _Unread
        held.take(len(part))
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _linger(receive: Receive) -> None:
    """Take in what is still on its way, within bounds: who is cut off while sending never reads the answer."""
    left = LINGER_BYTES_MAX
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS_MAX):
            while left > 0:
                message = await asyncio.wait_for(receive(), LINGER_QUIET_SECONDS)
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    return


def _headers_of(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.content_type:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    return headers


async def send_answer(answer: Answer, send: Send) -> None:
    headers = _headers_of(answer)
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
