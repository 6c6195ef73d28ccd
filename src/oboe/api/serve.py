"""The public port: uvicorn in a thread, with the limits that strangers meet."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from oboe.api.shared.face import ASGIApp
from oboe.domain.errors import Bug, Refused

__all__ = ["Serving", "Tls", "serve"]

HEADER_BYTES_MAX = 64 << 10
"""An encrypted header of the longest request fits a quarter of it."""
BODY_SLACK_BYTES = 256 << 10
"""What may arrive together with the end of the headers."""
BACKLOG = 512
CONNECTIONS_MAX = 1000
KEEP_ALIVE_SECONDS = 30
START_SECONDS = 10.0


class Tls(NamedTuple):
    """Certificate and key files, and, where callers must show one of theirs, the authority's."""

    certificate: Path
    key: Path
    authority: Path | None = None


class _Protocol(HttpToolsProtocol):
    """HTTP with an end to its headers: the parser itself would gather them for ever."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES_MAX + BODY_SLACK_BYTES:
                self.send_400_response("The headers are too long.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()


class _Server(uvicorn.Server):
    """Wakes once in a second for the ``Date`` header, and at once when it is told to stop: uvicorn's own looks ten times a second."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1.0)

    def end(self) -> None:
        """Stop soon. Thread-safe, once it has started."""
        self.should_exit = True
        with suppress(RuntimeError):  # its loop is closed: it has stopped
            self._loop.call_soon_threadsafe(self._told.set)


class Serving:
    """A running server. Thread-safe."""

    def __init__(self, server: _Server, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"http-{self.port}", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise Bug("agent.not_serving", f"the server on port {self.port} did not start")
            time.sleep(0.002)

    def stop(self, timeout: float = 5.0) -> None:
        """Take no new requests, let those under way finish for at most ``timeout`` seconds."""
        self._server.config.timeout_graceful_shutdown = max(int(timeout), 1)
        self._server.end()
        self._thread.join(timeout + 1)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(1)
        self._listener.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._server.serve([self._listener]))


def serve(app: ASGIApp, host: str, port: int, *, tls: Tls | None = None) -> Serving:
    """Listen on ``host:port`` (0: any free one) and serve in a thread. `Refused` ``agent.port_taken``.

    The port is taken, and connections are accepted, when this returns."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        limit_concurrency=CONNECTIONS_MAX,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        ssl_ca_certs=str(tls.authority) if tls and tls.authority else None,
    )
    return Serving(_Server(config), listener)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        hint = f"is another agent running? ss -ltnp 'sport = :{port}'"
        raise Refused("agent.port_taken", f"cannot listen on {host}:{port}: {error.strerror}", hint=hint) from error
    listener.setblocking(False)
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.new_event_loop
    return uvloop.new_event_loop
