"""An ASGI application around a function from `Request` to `Answer`: limits, one hop to a worker thread, no traceback to a client."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from oboe.api.shared.exchange import Answer, Request
from oboe.api.shared.throttle import Throttle

__all__ = ["ASGIApp", "Face", "Receive", "Scope", "Send", "Workers", "send_answer"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX = 4 << 20
BODY_SECONDS_MAX = 30.0
"""How long a client may take to send its body."""
LINGER_BYTES_MAX = 32 << 20
"""What is read of a body that was refused already, and thrown away."""
LINGER_SECONDS_MAX = 5.0
LINGER_QUIET_SECONDS = 0.2
IN_FLIGHT_MAX = 512
"""Requests that are being carried out or wait for a worker; more are refused at once."""
WORKERS_MAX = 32
"""Some use cases wait for other agents, so there are more workers than processors."""

_LOG = logging.getLogger(__name__)


class Workers:
    """The threads that all APIs of an agent share: use cases are synchronous."""

    def __init__(self, count: int = WORKERS_MAX) -> None:
        self._pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="api")
        self._in_flight = 0

    @property
    def busy(self) -> bool:
        return self._in_flight >= IN_FLIGHT_MAX

    async def run(self, carry_out: Callable[[Request], Answer], request: Request) -> Answer:
        """Carry it out on a worker. Called on the event loop only."""
        self._in_flight += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, carry_out, request)
        finally:
            self._in_flight -= 1

    def stop(self) -> None:
        """Let those that run finish; begin no other."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Unread(Exception):
    """The body is too long, too slow, or was never finished."""


class Face:
    """Serves ``carry_out``. ``refuse`` makes the answer for a condition that this layer finds: ``unread``, ``busy`` or ``bug``."""

    def __init__(self, carry_out: Callable[[Request], Answer], refuse: Callable[[str, float], Answer], workers: Workers) -> None:
        self._carry_out = carry_out
        self._refuse = refuse
        self._workers = workers
        self._throttle = Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        answer = await self._answer(scope, receive, started)
        await send_answer(answer, send)

    async def _answer(self, scope: Scope, receive: Receive, started: float) -> Answer:
        try:
            request = await _read(scope, receive, started)
        except _Unread:
            await _linger(receive)
            return self._refuse("unread", started)
        if self._workers.busy:
            return self._refuse("busy", started)
        try:
            answer = await self._workers.run(self._carry_out, request)
        except Exception:  # noqa: BLE001  a request ends here
            _LOG.exception("%s %s failed unexpectedly", request.method, request.path)
            return self._refuse("bug", started)
        if answer.guessing:
            await asyncio.sleep(self._throttle.failed(request.source, time.monotonic()))
        return answer


async def _read(scope: Scope, receive: Receive, started: float) -> Request:
    received_at = time.time()
    headers = _headers(scope["headers"])
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: str = scope["query_string"].decode("latin-1")
    target = raw_path.decode("latin-1")
    body = b""
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                body = await _body(receive, headers)
        except TimeoutError:
            raise _Unread from None
    return Request(
        method=scope["method"],
        target=f"{target}?{query}" if query else target,
        path=scope["path"],
        query=query,
        headers=headers,
        body=body,
        source=scope["client"][0] if scope.get("client") else "",
        received_at=received_at,
        started=started,
    )


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case name; the last of a name counts, but signed ones are joined in the order in which they came."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key.startswith("x-ocp") and key in headers else text
    return headers


async def _body(receive: Receive, headers: dict[str, str]) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise _Unread
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _Unread
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise _Unread
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


async def send_answer(answer: Answer, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.content_type:
        headers.append((b"content-type", answer.content_type.encode("latin-1")))
    if answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
