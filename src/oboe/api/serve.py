"""The public port, and the agent's unix socket beside it: uvicorn in a thread, with the limits that strangers meet."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import uvicorn

from oboe.api.connections import Acceptor, Http
from oboe.api.shared.bounds import Bounds
from oboe.api.shared.face import ASGIApp
from oboe.domain.errors import Bug, Refused
from oboe.hosts import local_socket

__all__ = ["PortTls", "Serving", "serve"]

BACKLOG = 512
START_SECONDS = 10.0


class PortTls:
    """Which certificate the port shows to clients that speak TLS; it may change at any time. Thread-safe."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def show(self, context: ssl.SSLContext | None) -> None:
        """To every connection from now on; None: TLS is refused."""
        self._context = context

    def context(self) -> ssl.SSLContext | None:
        return self._context


class _Server(uvicorn.Server):
    """Wakes once in a second for the ``Date`` header, and at once when it is told to stop: uvicorn's own looks ten times a second.

    ``port`` is the listener whose clients may speak TLS, if there is one."""

    def __init__(self, config: uvicorn.Config, bounds: Bounds, port: socket.socket | None, tls: PortTls | None) -> None:
        super().__init__(config)
        self._bounds, self._port, self._tls = bounds, port, tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        await super().startup([each for each in sockets or [] if each is not self._port])
        if self._port is not None and self._tls is not None:
            self.servers.append(self._acceptor(self._port, self._tls))  # type: ignore[arg-type]

    def _acceptor(self, port: socket.socket, tls: PortTls) -> Acceptor:
        make: Any = self.config.http_protocol_class
        make_protocol = functools.partial(make, config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        bounds = self._bounds
        return Acceptor(port, make_protocol, tls.context, seconds=bounds.head_seconds, waiting_max=bounds.connections_max)

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

    def __init__(self, server: _Server, listeners: list[socket.socket]) -> None:
        self._server = server
        self._listeners = listeners
        self.port: int = listeners[0].getsockname()[1]
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
        for listener in self._listeners:
            listener.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._server.serve(self._listeners))


def serve(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    tls: PortTls | None = None,
    local: Path | None = None,
    bounds: Bounds | None = None,
) -> Serving:
    """Listen on ``host:port`` (0: any free one) and serve in a thread. `Refused` ``agent.port_taken``, ``agent.bad_home``.

    With ``tls`` the port takes TLS beside plain HTTP; with ``local`` the same is served on a unix socket there. The port is taken, and
    connections are accepted, when this returns."""
    bounds = bounds or Bounds()
    listener = _listen(host, port, bounds)
    listeners = [listener]
    if local is not None:
        try:
            listeners.append(local_socket.listen(local, backlog=BACKLOG))
        except Refused:
            listener.close()
            raise
    config = uvicorn.Config(
        app,
        http=cast(Any, functools.partial(Http, head_seconds=bounds.head_seconds)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=bounds.keep_alive_seconds,
        limit_concurrency=bounds.connections_max,
    )
    return Serving(_Server(config, bounds, listener if tls else None, tls), listeners)


def _listen(host: str, port: int, bounds: Bounds) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it: who never reads its answers is cut off by the system
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(bounds.unread_seconds * 1000))
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
