"""A load generator, in a process of its own: ``python -m benchmarks.load PORT CONNECTIONS FILE`` prints JSON of what it took.

The file has whole requests, each after its length: what costs was done before. Answers are read, not parsed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import struct
import sys
import time
from pathlib import Path
from typing import cast

import uvloop

__all__ = ["packed"]

_LENGTH = struct.Struct(">I")
_ANSWER_SECONDS = 60.0


def packed(requests: list[bytes]) -> bytes:
    return b"".join(_LENGTH.pack(len(request)) + request for request in requests)


def _unpacked(whole: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(whole):
        (size,) = _LENGTH.unpack_from(whole, at)
        at += _LENGTH.size
        found.append(whole[at : at + size])
        at += size
    return found


class _Connection(asyncio.Protocol):
    """The next request when the last is answered; ``done`` has None, or what went wrong, at the end."""

    def __init__(self, requests: list[bytes], spans: list[float], done: asyncio.Future[str | None]) -> None:
        self._requests = requests
        self._spans = spans
        self._done = done
        self._came: list[bytes] = []
        self._missing = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end("the connection was lost")

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._came.append(data)
            head, found, body = b"".join(self._came).partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._end(f"{head!r} {body!r}")
                return
            self._came.clear()
            self._missing = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]) - len(body)
        if not self._missing:
            self._spans.append(time.perf_counter() - self._sent_at)
            self._next()

    def _next(self) -> None:
        if not self._requests:
            self._end(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._requests.pop())

    def _end(self, trouble: str | None) -> None:
        if not self._done.done():
            self._done.set_result(trouble)


async def _run(port: int, connections: int, requests: list[bytes]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    count = len(requests)
    spans: list[float] = []
    ends = [loop.create_future() for _ in range(connections)]
    cpu, began = time.process_time(), time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(requests, spans, end), "127.0.0.1", port)  # type: ignore[misc]
    async with asyncio.timeout(_ANSWER_SECONDS):
        troubles = [trouble for trouble in await asyncio.gather(*ends) if trouble]
    seconds = time.perf_counter() - began
    if troubles or len(spans) != count:
        raise SystemExit(f"{len(spans)} of {count} requests were answered well; {troubles[:1]}")
    return {"seconds": seconds, "cpu_seconds": time.process_time() - cpu, "p50_ms": statistics.median(spans) * 1000}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(_run(int(sys.argv[1]), int(sys.argv[2]), _unpacked(Path(sys.argv[3]).read_bytes())))))
