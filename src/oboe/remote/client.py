"""Calls to other agents over mutual TLS, on connections that are kept.

The standard library's ``http.client`` with a pool of our own, because calls are many and small, and it costs the least of time, memory
and import beside urllib3 and httpx.

A peer is who its certificate says: issued by the cluster's authority, for the ip that was dialled, in the name of the agent that was
called. Every call is bounded by its timeout, connecting included. A kept connection that turns out to be closed is replaced once, unless
any of the answer had arrived: a call may so reach its agent twice, and verbs are made to be repeated.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

from oboe.domain.errors import Bug, OboeError, Unreachable
from oboe.domain.values import Address
from oboe.remote.messages import decode, decode_error, encode
from oboe.remote.tls import Credentials, certified_address, client_context

__all__ = ["Peers"]

T = TypeVar("T")

PATH = "/rpc/v1/"
IDLE_SECONDS_MAX = 50.0
"""Kept connections older than this are not used again; listeners close theirs after 75 s."""
IDLE_CONNECTIONS_MAX = 4
"""Kept for each agent; more are closed after use."""
ANSWER_BYTES_MAX = 256 << 20
PIECE_BYTES = 256 << 10
PARALLEL_MAX = 64
"""Calls of `Peers.call_all` at the same time."""


class Peers:
    """The other agents, to be called. Thread-safe. ``locate`` gives the port where an agent listens for agents.

    ``local`` answers calls of this agent to itself (`Verbs.carry_out`); without it they go over the network too."""

    def __init__(
        self,
        here: Address,
        locate: Callable[[Address], int],
        credentials: Credentials | None = None,
        *,
        local: Callable[[str, Address, Any], Any] | None = None,
    ) -> None:
        self.here = here
        self._locate = locate
        self._local = local
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._context: ssl.SSLContext | None = None
        self._idle: dict[tuple[Address, int], list[_Connection]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.reload(credentials)

    def reload(self, credentials: Credentials | None) -> None:
        """Use these from the next call on; with None, every call but those to itself is `Unreachable`. The same again is nothing."""
        if credentials == self._credentials:
            return
        context = client_context(credentials) if credentials else None
        with self._lock:
            self._credentials, self._context = credentials, context
            dropped, self._idle = self._idle, {}
        _close(dropped)

    def close(self) -> None:
        """Drop kept connections and refuse further calls; those under way end within their timeouts."""
        self.reload(None)
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def call(self, agent: Address, verb: str, request: Any, answer_type: type[T], *, timeout: float = 5.0) -> T:
        """Ask ``agent``. `Unreachable` ``agent.unreachable`` after at most ``timeout`` seconds; what it raised is raised here again."""
        if agent == self.here and self._local is not None:
            answer: T = self._local(verb, self.here, request)
            return answer
        deadline = time.monotonic() + timeout
        status, body = self._exchange(agent, verb, encode(request), deadline)
        if status == 200:
            return decode(body, answer_type)
        raise _error(agent, status, body)

    def call_all(
        self, agents: Sequence[Address], verb: str, request: Any, answer_type: type[T], *, timeout: float = 5.0
    ) -> dict[Address, T | OboeError]:
        """Ask all of them at once: what each answered, or why it did not. Returns after ``timeout`` seconds at the latest."""
        deadline = time.monotonic() + timeout

        def ask(agent: Address) -> T | OboeError:
            left = deadline - time.monotonic()
            if left <= 0:
                return _silent(agent, timeout)
            try:
                return self.call(agent, verb, request, answer_type, timeout=left)
            except OboeError as error:
                return error

        pool = self._threads()
        futures = {agent: pool.submit(ask, agent) for agent in dict.fromkeys(agents)}
        wait(futures.values(), timeout=timeout)
        return {agent: future.result() if future.done() else _silent(agent, timeout) for agent, future in futures.items()}

    # One exchange

    def _exchange(self, agent: Address, verb: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        port = self._locate(agent)
        kept = self._take(agent, port)
        while True:
            connection = kept or self._open(agent, port)
            try:
                connection.prepare(deadline)
                status, answer = connection.exchange(PATH + verb, body, deadline)
            except _Closed as error:
                connection.close()
                if kept is None:
                    raise _unreachable(agent, error) from error
                kept = None
            except TimeoutError as error:
                connection.close()
                raise _unreachable(agent, "it does not answer in time") from error
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                raise _unreachable(agent, error) from error
            except BaseException:
                connection.close()
                raise
            else:
                self._keep(agent, port, connection)
                return status, answer

    def _open(self, agent: Address, port: int) -> _Connection:
        context = self._context
        if context is None:
            raise Unreachable("agent.no_certificate", f"{agent} cannot be reached: this agent has no certificate of a cluster")
        return _Connection(agent, port, context)

    def _take(self, agent: Address, port: int) -> _Connection | None:
        while True:
            with self._lock:
                idle = self._idle.get((agent, port))
                if not idle:
                    return None
                connection = idle.pop()
            if connection.usable():
                return connection
            connection.close()

    def _keep(self, agent: Address, port: int, connection: _Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault((agent, port), [])
            if connection.sock is not None and connection.context is self._context and len(idle) < IDLE_CONNECTIONS_MAX:
                idle.append(connection)
                return
        connection.close()

    def _threads(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(PARALLEL_MAX, thread_name_prefix="peers")
            return self._pool


class _Closed(Exception):
    """The connection was closed before any of the answer arrived."""


class _Connection(http.client.HTTPSConnection):
    """One connection to one agent, with a deadline for everything that it does."""

    def __init__(self, agent: Address, port: int, context: ssl.SSLContext) -> None:
        super().__init__(agent.ip, port, context=context)
        self.agent = agent
        self.context = context
        self.idle_since = 0.0

    def usable(self) -> bool:
        """Young, and nothing to read: an idle connection that is readable has been closed by the other side."""
        if self.sock is None or time.monotonic() - self.idle_since > IDLE_SECONDS_MAX:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def prepare(self, deadline: float) -> None:
        """Connect if that is not done, and see who is there."""
        if self.sock is not None:
            return
        plain = socket.create_connection((self.host, self.port), timeout=_left(deadline))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(deadline))
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        there = certified_address(self.sock.getpeercert())
        if there != self.agent:
            raise ssl.SSLCertVerificationError(f"port {self.port} is answered by {there or 'no agent'}")

    def exchange(self, path: str, body: bytes, deadline: float) -> tuple[int, bytes]:
        try:
            self.sock.settimeout(_left(deadline))
            self.request("POST", path, body, {"Content-Type": "application/json"})
            response = self.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError) as error:
            raise _Closed(f"{error}") from error
        pieces, size = [], 0
        while piece := self._read(response, deadline):
            size += len(piece)
            if size > ANSWER_BYTES_MAX:
                raise http.client.HTTPException(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
            pieces.append(piece)
        if response.length:
            raise http.client.HTTPException("its answer ended too early")
        response.close()  # read1 does not notice the end of a body of known length, and the next request would be refused
        return response.status, b"".join(pieces)

    def _read(self, response: http.client.HTTPResponse, deadline: float) -> bytes:
        if self.sock is not None:  # http.client gives the socket away with the last answer
            self.sock.settimeout(_left(deadline))
        return response.read1(PIECE_BYTES)


def _left(deadline: float) -> float:
    """Seconds until the deadline; `TimeoutError` once it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _unreachable(agent: Address, why: object) -> Unreachable:
    return Unreachable("agent.unreachable", f"{agent} cannot be reached: {why}", hint="is it running, and a member of this cluster?")


def _silent(agent: Address, timeout: float) -> Unreachable:
    return _unreachable(agent, f"it does not answer within {timeout:g} s")


def _error(agent: Address, status: int, body: bytes) -> OboeError:
    try:
        return decode_error(body)
    except OboeError:
        return Bug("rpc.unreadable", f"{agent} answered {status} with {len(body)} bytes that are no error of ours")


def _close(idle: dict[tuple[Address, int], list[_Connection]]) -> None:
    for connections in idle.values():
        for connection in connections:
            connection.close()
