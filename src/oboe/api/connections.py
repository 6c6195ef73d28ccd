"""What happens on a connection before a request is whole: plain or TLS, who is at the other end, and how long it may take.

One port speaks both: a TLS client's first byte is 0x16 (its record type *handshake*), which begins no HTTP method. The byte is looked at
and left where it is, so whoever goes on reads all of it. A client that says nothing is cut off, as is one that does not get to the end of
its request's head in time; none of them holds anything but its own connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from oboe.api.shared.exchange import PEER, TARGET
from oboe.hosts.local_socket import peer_uid

__all__ = ["Acceptor", "Http"]

HEADER_BYTES_MAX = 64 << 10
"""An encrypted header of the longest request fits a quarter of it."""
BODY_SLACK_BYTES = 256 << 10
"""What may arrive together with the end of the headers."""
_TLS_RECORD = b"\x16"
_REST_SECONDS = 0.5
"""After the system had no descriptor for a new connection."""

_log = logging.getLogger(__name__)


class Http(HttpToolsProtocol):
    """HTTP with an end to its heads, in bytes and in time: the parser itself would gather them for ever.

    A timer runs whenever the next word is the client's: from the connection's begin, and from any byte that comes while no request is
    being answered. Whole heads stop it; between requests the server's own keep-alive rules."""

    def __init__(self, *args: Any, head_seconds: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._in_head = True
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None
        self._peer: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            self._peer = peer_uid(connection.fileno())
            self.limit_concurrency = None  # who floods the port does not keep the host's own people out
        self._wait_for_client()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES_MAX + BODY_SLACK_BYTES:
                self.send_400_response("The headers are too long.")
                return
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_client()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._peer is not None:
            cast(dict[str, Any], self.scope)[PEER] = self._peer

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._wait_no_more()
        cast(dict[str, Any], self.scope)[TARGET] = self.url
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_client(self) -> None:
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(self._head_seconds, self.transport.abort)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class Acceptor:
    """Stands where `asyncio.Server` would: accepts, looks at the first byte, and hands over to HTTP, through TLS or not.

    ``context()`` gives the certificates of this moment, so new ones need no restart; None: TLS is not spoken, the connection is closed."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        context: Callable[[], ssl.SSLContext | None],
        *,
        seconds: float,
        waiting_max: int,
    ) -> None:
        self._listener = listener
        self._make_protocol = make_protocol
        self._context = context
        self._seconds = seconds
        self._waiting_max = waiting_max
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()
        for task in self._waiting:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._accepting, *self._waiting, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:
                _log.warning("no connection can be accepted: %s", error)
                await asyncio.sleep(_REST_SECONDS)
                continue
            if len(self._waiting) >= self._waiting_max:
                connection.close()
                continue
            task = self._loop.create_task(self._welcome(connection))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(self._seconds):
                first = await self._first_byte(connection)
            context = self._context() if first == _TLS_RECORD else None
            if not first or (first == _TLS_RECORD and context is None):
                connection.close()
                return
            await self._hand_over(connection, context)
        except (OSError, TimeoutError):  # ssl.SSLError is an OSError: a handshake that came to nothing is the client's affair
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _hand_over(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        how = {"ssl_handshake_timeout": self._seconds, "ssl_shutdown_timeout": self._seconds} if context else {}
        await self._loop.connect_accepted_socket(self._make_protocol, connection, ssl=context, **how)

    async def _first_byte(self, connection: socket.socket) -> bytes:
        """It stays where it is. Empty: the client is gone."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(connection, readable.set_result, None)
        try:
            await readable
        finally:
            self._loop.remove_reader(connection)
        with suppress(BlockingIOError):
            return connection.recv(1, socket.MSG_PEEK)
        return b""
