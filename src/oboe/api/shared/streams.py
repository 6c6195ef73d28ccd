"""Answers without a known end: sent chunk by chunk to whoever listens, each made on a thread, until one side has had enough."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Streams"]

_log = logging.getLogger(__name__)

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Streams:
    """All streams of an agent. It belongs to one event loop, but for `end`."""

    def __init__(self, streams_max: int) -> None:
        self._max = streams_max
        self._pool = ThreadPoolExecutor(max_workers=streams_max, thread_name_prefix="stream")
        self._open: set[asyncio.Future[None]] = set()
        self._ending = False

    @property
    def full(self) -> bool:
        return self._ending or len(self._open) >= self._max

    async def send(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], chunks: Generator[bytes, None, None], receive: _Receive, send: _Send
    ) -> None:
        """Until there are no more chunks, the client goes, or `end` is called.

        A chunk that is being made then is let go: its thread ends by itself, within the seconds that a chunk may take."""
        gone = asyncio.ensure_future(_disconnected(receive))
        self._open.add(gone)
        try:
            await send({"type": "http.response.start", "status": status, "headers": list(headers)})
            while True:
                made = asyncio.get_running_loop().run_in_executor(self._pool, next, chunks, None)
                await asyncio.wait((made, gone), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    made.add_done_callback(lambda made: made.cancelled() or made.exception())  # nobody is left to hear of it
                    break
                chunk = made.result()
                if chunk is None:
                    break
                if chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Exception:  # noqa: BLE001  a stream ends here
            _log.exception("a stream failed unexpectedly")
        finally:
            self._open.discard(gone)
            gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    def end(self) -> None:
        """End them all, and begin none. Thread-safe."""
        self._ending = True
        for gone in list(self._open):
            gone.get_loop().call_soon_threadsafe(gone.cancel)

    def stop(self) -> None:
        """After the server has stopped."""
        self.end()
        self._pool.shutdown(wait=False)


async def _disconnected(receive: _Receive) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
