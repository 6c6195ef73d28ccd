"""How an agent without a certificate becomes one of a cluster: sealed exchanges over the public port.

::

    may join  joiner → MASTER          is this your password? → nothing                                         its agent password
    join      joiner → MASTER          member row, certificate request → certificate, cluster key, members     its agent password
    leave     joiner → MASTER          take me off the list                                                   the cluster key
    offer     coordinator → target     who asks → member row, certificate request                             the target's agent password
    accept    coordinator → target     certificate, cluster key, members, a token → nothing                   the target's agent password
    dismiss   coordinator → target     undo accept                                                            that token

The last column is what proves that the caller may ask. Secrets shared already (cluster key, token) are not sent: they salt the seal.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import msgspec

from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote.messages import Nothing, decode, decode_error, encode
from oboe.remote.sealing import HEADER, SEAL, seal

__all__ = [
    "ACCEPT",
    "DISMISS",
    "JOIN",
    "LEAVE",
    "MAY_JOIN",
    "NOTHING_SHARED",
    "OFFER",
    "Acceptance",
    "Dismissal",
    "Enlister",
    "JoinAnswer",
    "JoinRequest",
    "Joiner",
    "LeaveRequest",
    "MayJoinRequest",
    "Offer",
    "OfferRequest",
    "ask_public",
]

T = TypeVar("T")

MAY_JOIN, JOIN, LEAVE = "/rpc/v1/join/may", "/rpc/v1/join", "/rpc/v1/leave"
OFFER, ACCEPT, DISMISS = "/rpc/v1/enlist/offer", "/rpc/v1/enlist/accept", "/rpc/v1/enlist/dismiss"
NOTHING_SHARED = "handshake.nothing_shared"
"""Code of the refusal of a request that needs a shared secret, by an agent that has none (any more)."""
ANSWER_BYTES_MAX = 16 << 20
TIMEOUT_SECONDS = 10.0
"""For one exchange, fetching the public key included."""


class MayJoinRequest(msgspec.Struct):
    """``join/may``: would you let me in?"""

    agent: Address


class JoinRequest(msgspec.Struct):
    """``join``: let me in."""

    member: dict[str, Any]
    """The joiner as a member row: ip, port, rpc_port, zone, version, database_version, os, architecture, home_path, public_key."""
    csr: str
    zone: str = ""

    @property
    def address(self) -> Address:
        return _address(self.member)


class JoinAnswer(msgspec.Struct):
    """You are in."""

    authority_certificate: str
    certificate: str
    cluster_key: str
    members: list[dict[str, Any]]
    """Member rows, the MASTER's first."""
    master: str = ""

    def __repr__(self) -> str:
        return f"JoinAnswer(members={len(self.members)})"


class LeaveRequest(msgspec.Struct):
    """``leave``: take me off the list."""

    agent: Address


class OfferRequest(msgspec.Struct):
    """``enlist/offer``: would you join my cluster?"""

    coordinator: Address
    version: str = ""


class Offer(msgspec.Struct):
    """The target as a member row, and a request for its certificate, whose key it keeps."""

    member: dict[str, Any]
    csr: str

    @property
    def address(self) -> Address:
        return _address(self.member)


class Acceptance(msgspec.Struct):
    """``enlist/accept``: you are one of us, led by ``leader``. Whoever knows ``token`` may dismiss you."""

    authority_certificate: str
    certificate: str
    cluster_key: Secret
    members: list[dict[str, Any]]
    leader: Address
    token: Secret


class Dismissal(msgspec.Struct):
    """``enlist/dismiss``: forget the cluster that accepted you."""

    leader: Address


class Joiner:
    """Asks a MASTER, on its public port. Every call is bounded; `Unreachable` names who did not answer."""

    def ask(self, master: Address, agent: Address, password: Secret, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Whether that is its password, and it is a MASTER; what it refuses with is raised here."""
        _exchange(master, MAY_JOIN, MayJoinRequest(agent), Nothing, password=password, timeout=timeout)

    def join(self, master: Address, request: JoinRequest, password: Secret, *, timeout: float = TIMEOUT_SECONDS) -> JoinAnswer:
        return _exchange(master, JOIN, request, JoinAnswer, password=password, timeout=timeout)

    def leave(self, master: Address, agent: Address, cluster_key: Secret | None, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Undo `join`; again is harmless. Without the cluster's key there is nothing to undo."""
        if cluster_key:
            _undo(master, LEAVE, LeaveRequest(agent), cluster_key, timeout)


class Enlister:
    """Asks a SINGLE agent, on its public port, to become one of the cluster of the caller."""

    def offer(self, target: Address, request: OfferRequest, password: Secret, *, timeout: float = TIMEOUT_SECONDS) -> Offer:
        return _exchange(target, OFFER, request, Offer, password=password, timeout=timeout)

    def accept(self, target: Address, request: Acceptance, password: Secret, *, timeout: float = TIMEOUT_SECONDS) -> None:
        _exchange(target, ACCEPT, request, Nothing, password=password, timeout=timeout)

    def dismiss(self, target: Address, leader: Address, token: Secret, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """Undo `accept`; again is harmless."""
        _undo(target, DISMISS, Dismissal(leader), token, timeout)


def _undo(agent: Address, path: str, request: Any, shared: Secret, timeout: float) -> None:
    """Who shares nothing with us any more has forgotten us already."""
    try:
        _exchange(agent, path, request, Nothing, shared=shared, timeout=timeout)
    except Refused as refused:
        if refused.code != NOTHING_SHARED:
            raise


def ask_public(agent: Address, path: str, *, timeout: float = 5.0) -> Any:
    """``data`` of an unprotected route of OBShell's interface: ``/api/v1/info``, ``/api/v1/secret``. `Unreachable`."""
    status, _, body = _http(agent, "GET", path, {}, b"", time.monotonic() + timeout)
    try:
        return json.loads(body)["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise _unreachable(agent, f"it answered {status}, not what an agent says to GET {path}") from error


def _exchange(
    agent: Address,
    path: str,
    request: Any,
    answer_type: type[T],
    *,
    password: Secret | None = None,
    shared: Secret | None = None,
    timeout: float,
) -> T:
    deadline = time.monotonic() + timeout
    said = ask_public(agent, "/api/v1/secret", timeout=timeout)
    public_key = said.get("public_key") if isinstance(said, dict) else None
    if not isinstance(public_key, str):
        raise _unreachable(agent, "it shows no public key")
    sealed = seal(public_key, path, encode(request), password=password or Secret(""), shared=shared)
    headers = {HEADER: sealed.header, SEAL: sealed.seal, "Content-Type": "application/octet-stream"}
    status, answered, body = _http(agent, "POST", path, headers, sealed.body, deadline)
    if answered is None:
        raise _unsealed(agent, status, body)
    plain = sealed.open_answer(status, answered, body)
    if status == 200:
        return decode(plain, answer_type)
    raise decode_error(plain)


def _http(agent: Address, method: str, path: str, headers: dict[str, str], body: bytes, deadline: float) -> tuple[int, str | None, bytes]:
    """Status, seal and body of the answer."""
    connection = http.client.HTTPConnection(agent.ip, agent.port)
    try:
        connection.timeout = _left(deadline)
        connection.connect()
        with _cut_off(connection.sock, deadline):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX + 1)
    except (OSError, http.client.HTTPException) as error:
        late = isinstance(error, TimeoutError) or time.monotonic() >= deadline
        raise _unreachable(agent, "it does not answer in time" if late else error) from error
    finally:
        connection.close()
    if len(answer) > ANSWER_BYTES_MAX:
        raise _unreachable(agent, f"its answer has more than {ANSWER_BYTES_MAX} bytes")
    return response.status, response.headers.get(SEAL), answer


@contextmanager
def _cut_off(connected: socket.socket, deadline: float) -> Iterator[None]:
    """End the connection then: timeouts of a socket begin anew with every byte, and somebody may send them one by one."""

    def cut() -> None:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(deadline), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if time.monotonic() >= deadline:
        raise TimeoutError


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _address(member: dict[str, Any]) -> Address:
    return Address(member["ip"], member["port"])


def _unreachable(agent: Address, why: object) -> Unreachable:
    return Unreachable("agent.unreachable", f"{agent} cannot be reached: {why}", hint="is it running, and is the address right?")


def _unsealed(agent: Address, status: int, body: bytes) -> OboeError:
    """Anybody could have said it, so nothing of its text is repeated but a code of our own."""
    try:
        code = decode_error(body).code
    except Refused:
        code = ""
    if code == NOTHING_SHARED:
        return Refused(NOTHING_SHARED, f"{agent} shares no secret with this cluster")
    if code == "secrecy.undecipherable":
        return Refused("handshake.not_understood", f"{agent} cannot open what was sealed for it", hint="try again; is somebody in between?")
    return Unreachable("handshake.unsealed", f"{agent} answered {status} without a seal", hint="does it run oboe?")
