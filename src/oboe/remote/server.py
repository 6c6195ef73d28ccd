"""The listener for agents: ``POST /rpc/v1/{verb}`` over mutual TLS, in a thread of its own.

The caller of a request is the agent that its client certificate names; `allowed` has the last word, so a removed member is refused though
its certificate is still valid. Without credentials the port is bound, so that a conflict shows at start, but nobody can connect.

New credentials take over without a gap: a listener is a *generation* on a duplicate of one socket; a new one begins, then the old one
finishes what it was asked and ends, together with every connection made under the old certificates.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from oboe.domain.errors import OboeError, Refused, TryAgain
from oboe.domain.values import Address
from oboe.remote.messages import encode_error
from oboe.remote.tls import Credentials, certified_address, server_context
from oboe.remote.verbs import Verb, Verbs, status_of

__all__ = ["PATH", "RpcServer"]

PATH = "/rpc/v1/"
BODY_BYTES_MAX = 64 << 20
"""The largest request; a dag of 10 000 sub-tasks is some 5 MB."""
SHORT_THREADS = 16
LONG_THREADS = 64
WAITING_MAX = 256
"""Requests that may wait for a thread, of each kind; more are asked to try again."""
BACKLOG = 128
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 2
"""How long a listener that ends waits for what it was asked."""
_LOOK_SECONDS = 2.0
"""How often a listener looks whether it was told to end, should the word have been lost."""

_log = logging.getLogger(__name__)
_Message = MutableMapping[str, Any]


class RpcServer:
    """Serves `Verbs`. ``allowed(address)`` is asked for every request, on a thread that may wait."""

    def __init__(
        self,
        here: Address,
        verbs: Verbs,
        *,
        port: int,
        allowed: Callable[[Address], bool],
        allowed_one: Callable[[Address, str], bool] = lambda caller, verb: False,
        bind_ip: str = "",
    ) -> None:
        """``allowed_one``: who is not, may still ask this verb."""
        self.here = here
        self.verbs = verbs
        self.port = port
        self._bind_ip = bind_ip or here.ip
        self._allowed = allowed
        self._allowed_one = allowed_one
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._credentials: Credentials | None = None
        self._generation: _Generation | None = None
        self._ending: list[_Generation] = []
        self._short = _Lane("rpc", SHORT_THREADS)
        self._long = _Lane("rpc-long", LONG_THREADS)
        self._running = False

    def on(self, name: str, request_type: type[Any], handler: Callable[[Address, Any], Any], *, long: bool = False) -> None:
        """`Verbs.on`."""
        self.verbs.on(name, request_type, handler, long=long)

    def start(self, credentials: Credentials | None = None) -> None:
        """Bind, and listen if there are credentials. `Refused` ``rpc.port_taken``."""
        with self._lock:
            self._socket = self._bind()
            self._running = True
        self.reload(credentials)

    def reload(self, credentials: Credentials | None) -> None:
        """Listen with these credentials from now on; with None, not at all. May be called from a handler; the same again is nothing."""
        with self._lock:
            if not self._running or credentials == self._credentials:
                return
            context = server_context(credentials) if credentials else None
            if context is not None and self._socket is None:
                self._socket = self._bind()
            before, self._generation, self._credentials = self._generation, None, credentials
            if before is not None:
                self._ending = [old for old in self._ending if old.alive] + [before]
            if context is not None and self._socket is not None:
                self._generation = _Generation(self._serve, self._socket.dup(), context)
                self._generation.start()
            elif before is not None and self._socket is not None:
                # A socket that listens cannot be told to stop. The port is bound again with the next credentials.
                self._socket.close()
                self._socket = None
        if before is not None:
            before.end()

    def stop(self, timeout: float = 5.0) -> None:
        """Refuse new requests, give those under way `GRACE_SECONDS`, close."""
        with self._lock:
            self._running = False
            generations = [*self._ending, *([self._generation] if self._generation else [])]
            self._generation, self._ending, self._credentials = None, [], None
            if self._socket is not None:
                self._socket.close()
                self._socket = None
        for generation in generations:
            generation.end()
        for generation in generations:
            generation.join(timeout)
        self._short.stop()
        self._long.stop()

    def _bind(self) -> socket.socket:
        found = socket.socket(socket.AF_INET6 if ":" in self._bind_ip else socket.AF_INET, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((self._bind_ip, self.port))
        except OSError as error:
            found.close()
            raise Refused("rpc.port_taken", f"port {self.port} of {self._bind_ip}: {error.strerror}", hint="set another port") from error
        self.port = found.getsockname()[1]
        return found

    # One request

    async def _serve(
        self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
    ) -> None:
        headers = [(b"content-type", b"application/json")]
        try:
            caller: Address | None = scope.get("oboe.caller")
            if caller is None:
                raise Refused("rpc.no_agent", "the certificate names no agent")
            verb = self._verb(scope)
            body = await _read(receive)
            lane = self._long if verb.long else self._short
            status, answer = await lane.run(lambda: self._answer(verb, caller, body))
        except OboeError as error:
            status, answer = status_of(error), encode_error(error)
            # What is left of a request that was refused unread stays unread: the connection goes with it.
            headers.append((b"connection", b"close"))
        headers.append((b"content-length", str(len(answer)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _verb(self, scope: _Message) -> Verb:
        path = str(scope["path"])
        if scope["method"] != "POST" or not path.startswith(PATH):
            raise Refused("rpc.unknown_verb", f"agents ask with POST {PATH}<verb>")
        return self.verbs.find(path[len(PATH) :])

    def _answer(self, verb: Verb, caller: Address, body: bytes) -> tuple[int, bytes]:
        if not self._allowed(caller) and not self._allowed_one(caller, verb.name):
            hint = (
                f"was it removed? Then on its own host: oboe cluster remove {caller}; of a running cluster: oboe cluster scale-in {caller}"
            )
            refusal = Refused("agent.not_member", f"{caller} is no member of the cluster of {self.here}", hint=hint)
            return status_of(refusal), encode_error(refusal)
        return self.verbs.answer(verb, caller, body)


async def _read(receive: Callable[[], Awaitable[_Message]]) -> bytes:
    """The body; of a request that is too large, no more than that is read."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise TryAgain("rpc.gone", "the caller is gone")
        piece = message.get("body", b"")
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise Refused("rpc.too_large", f"a request has at most {BODY_BYTES_MAX} bytes")
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


class _Lane:
    """A bounded pool of threads with a bounded queue. `run` is called from event loops only, any number of them."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._room = threading.BoundedSemaphore(threads + WAITING_MAX)

    async def run(self, work: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        if not self._room.acquire(blocking=False):
            raise TryAgain("rpc.busy", "this agent is busy with other agents' requests", after_seconds=1)
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            self._room.release()
            raise TryAgain("rpc.stopping", "this agent is stopping", after_seconds=5) from error
        future.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, which puts the caller that the certificate proves into every request's scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._caller = certified_address(transport.get_extra_info("peercert"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["oboe.caller"] = self._caller  # type: ignore[typeddict-unknown-key]

    def shutdown(self) -> None:
        """An idle connection is cut: a peer that keeps it would not answer TLS's goodbye before its next call."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().shutdown()


class _Server(uvicorn.Server):
    """uvicorn's server, which ends when it is told to; uvicorn's own looks ten times a second whether it was."""

    loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._told = asyncio.Event()
        await super().startup(sockets)
        self.loop = asyncio.get_running_loop()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _LOOK_SECONDS)

    def end(self) -> None:
        """Return when nothing new is taken any more. Not to be called on its own event loop."""
        self.should_exit = True
        if self.loop is None:
            return
        closed = threading.Event()
        try:
            self.loop.call_soon_threadsafe(self._take_nothing_new, closed)
        except RuntimeError:  # its loop is closed: it has ended already
            return
        closed.wait(GRACE_SECONDS)

    def _take_nothing_new(self, closed: threading.Event) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # idle ones close now, the others after the answer that is due
        self._told.set()
        closed.set()


class _Generation:
    """One uvicorn server with one set of certificates, in one thread."""

    def __init__(self, app: Any, listener: socket.socket, context: ssl.SSLContext) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        config.ssl = context
        self._server = _Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="rpc-server", daemon=True)

    def start(self) -> None:
        self._listener.listen(BACKLOG)
        self._thread.start()

    def end(self) -> None:
        self._server.end()

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except Exception:  # noqa: BLE001 - a thread ends here
            _log.exception("the listener for agents has ended")
        finally:
            self._listener.close()
