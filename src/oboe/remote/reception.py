"""The answering side of the handshake: routes for the public port that open what was sealed for this agent, and seal what it answers.

In this order, and nothing is carried out before all of it: the request is whole, its sender knows the password or the shared secret, it is
in time, and it was not carried out before. Only a request that cannot be opened is answered in clear, with a code and no reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from oboe.domain.errors import OboeError, Refused
from oboe.kit.secret import Secret
from oboe.remote.handshake import (
    ACCEPT,
    DISMISS,
    JOIN,
    LEAVE,
    MAY_JOIN,
    NOTHING_SHARED,
    OFFER,
    Acceptance,
    Dismissal,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    MayJoinRequest,
    Offer,
    OfferRequest,
)
from oboe.remote.messages import Nothing, decode, encode_error
from oboe.remote.sealing import HEADER, SEAL, Opener
from oboe.remote.verbs import answered

__all__ = ["HandshakeHandlers", "handshake_routes"]

REQUEST_BYTES_MAX = 4 << 20
BODY_SECONDS_MAX = 30.0
"""How long a body may take to arrive."""
THREADS_MAX = 8
"""Handshakes at the same time: each costs some RSA before its sender has proven anything."""
GUESS_SECONDS = 1.0
"""How long the answer to a wrong password waits, unless told otherwise."""


class HandshakeHandlers(Protocol):
    """Who answers. Each may raise any `OboeError`; it is sealed like an answer. Called on threads that may wait."""

    def private_key(self) -> Secret:
        """PEM of the key whose public half is at ``/api/v1/secret``."""

    def authenticate(self, password: Secret) -> None:
        """`Refused` when that is not this agent's password."""

    def cluster_key(self) -> Secret | None:
        """None: this agent belongs to no cluster."""

    def dismissal_token(self) -> Secret | None:
        """The token of the last `accept`, until it is dismissed."""

    def may_join(self, request: MayJoinRequest) -> None: ...
    def join(self, request: JoinRequest) -> JoinAnswer: ...
    def leave(self, request: LeaveRequest) -> None: ...
    def offer(self, request: OfferRequest) -> Offer: ...
    def accept(self, request: Acceptance) -> None: ...
    def dismiss(self, request: Dismissal) -> None: ...


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One kind of exchange. ``shared`` gives the secret that proves the caller; None: the password does."""

    path: str
    request_type: type[Any]
    handler: Callable[[Any], Any]
    shared: Callable[[], Secret | None] | None = None


def handshake_routes(
    handlers: HandshakeHandlers, *, clock: Callable[[], float] = time.time, guessed: Callable[[str], float] = lambda source: GUESS_SECONDS
) -> list[Route]:
    """Routes for the public app; they check their callers themselves. ``guessed(source)`` is asked, on the event loop, how many seconds
    the answer to a wrong password waits."""
    reception = _Reception(handlers, Opener(handlers.private_key, clock=clock), guessed)
    exchanges = (
        _Exchange(MAY_JOIN, MayJoinRequest, handlers.may_join),
        _Exchange(JOIN, JoinRequest, handlers.join),
        _Exchange(OFFER, OfferRequest, handlers.offer),
        _Exchange(ACCEPT, Acceptance, handlers.accept),
        _Exchange(LEAVE, LeaveRequest, handlers.leave, handlers.cluster_key),
        _Exchange(DISMISS, Dismissal, handlers.dismiss, handlers.dismissal_token),
    )
    return [Route(exchange.path, reception.endpoint(exchange), methods=["POST"]) for exchange in exchanges]


class _Reception:
    def __init__(self, handlers: HandshakeHandlers, opener: Opener, guessed: Callable[[str], float]) -> None:
        self._handlers = handlers
        self._opener = opener
        self._guessed = guessed
        self._threads = CapacityLimiter(THREADS_MAX)

    def endpoint(self, exchange: _Exchange) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                async with asyncio.timeout(BODY_SECONDS_MAX):
                    body = await _read(request)
            except (TimeoutError, ClientDisconnect, Refused):
                return _in_clear(Refused("handshake.unread", f"a request has at most {REQUEST_BYTES_MAX} bytes"), 413)
            response, guess = await to_thread.run_sync(self._answer, exchange, request, body, limiter=self._threads)
            if guess:
                await asyncio.sleep(self._guessed(request.client.host if request.client else ""))
            return response

        return endpoint

    def _answer(self, exchange: _Exchange, request: Request, body: bytes) -> tuple[Response, bool]:
        """The response, and whether it refuses a guess."""
        header, seal = request.headers.get(HEADER, ""), request.headers.get(SEAL, "")
        try:
            shared = exchange.shared() if exchange.shared else None
            if exchange.shared and not shared:
                raise Refused(NOTHING_SHARED, "this agent shares no secret with anybody")
            opened, expires = self._opener.open(_target(request), header, seal, body, shared=shared)
        except OboeError as error:
            return _in_clear(error, 401), False
        entitled = exchange.shared is not None

        def carry_out() -> Any:
            nonlocal entitled
            if not entitled:
                self._handlers.authenticate(opened.password)
                entitled = True
            asked = decode(opened.body, exchange.request_type)
            self._opener.admit(seal, expires)
            answer = exchange.handler(asked)
            return Nothing() if answer is None else answer

        status, plain = answered(exchange.path, carry_out)
        answer_seal, sealed = opened.seal_answer(status, plain)
        return Response(sealed, status, {SEAL: answer_seal}, media_type="application/octet-stream"), not entitled


async def _read(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > REQUEST_BYTES_MAX:
            raise Refused("handshake.unread", "the request is too large")
        pieces.append(piece)
    return b"".join(pieces)


def _target(request: Request) -> str:
    """The request target as it stood on the request line."""
    path, query = bytes(request.scope["raw_path"]), bytes(request.scope["query_string"])
    return (path + b"?" + query if query else path).decode("latin-1")


def _in_clear(error: OboeError, status: int) -> Response:
    return Response(encode_error(error), status, {"connection": "close"}, media_type="application/json")
