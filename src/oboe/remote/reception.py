"""The answering side of the handshake: routes for the public port that open what was sealed for this agent, and seal what it answers.

In this order, and nothing is carried out before all of it: the request is whole, its sender knows the password or the shared secret, it is
in time, and it was not carried out before. Only a request that cannot be opened is answered in clear, with a code and no reason.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oboe.domain.errors import OboeError, Refused
from oboe.kit.secret import Secret
from oboe.remote.handshake import (
    ACCEPT,
    DISMISS,
    JOIN,
    LEAVE,
    NOTHING_SHARED,
    OFFER,
    Acceptance,
    Dismissal,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Offer,
    OfferRequest,
)
from oboe.remote.messages import Nothing, decode, encode_error
from oboe.remote.sealing import HEADER, SEAL, Opener
from oboe.remote.verbs import answered

__all__ = ["HandshakeHandlers", "handshake_routes"]

REQUEST_BYTES_MAX = 4 << 20


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


def handshake_routes(handlers: HandshakeHandlers, *, clock: Callable[[], float] = time.time) -> list[Route]:
    """Routes for the public app; they check their callers themselves."""
    reception = _Reception(handlers, Opener(handlers.private_key, clock=clock))
    exchanges = (
        _Exchange(JOIN, JoinRequest, handlers.join),
        _Exchange(OFFER, OfferRequest, handlers.offer),
        _Exchange(ACCEPT, Acceptance, handlers.accept),
        _Exchange(LEAVE, LeaveRequest, handlers.leave, handlers.cluster_key),
        _Exchange(DISMISS, Dismissal, handlers.dismiss, handlers.dismissal_token),
    )
    return [Route(exchange.path, reception.endpoint(exchange), methods=["POST"]) for exchange in exchanges]


class _Reception:
    def __init__(self, handlers: HandshakeHandlers, opener: Opener) -> None:
        self._handlers = handlers
        self._opener = opener

    def endpoint(self, exchange: _Exchange) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            pieces, size = [], 0
            async for piece in request.stream():
                size += len(piece)
                if size > REQUEST_BYTES_MAX:
                    return _in_clear(Refused("handshake.too_large", f"a request has at most {REQUEST_BYTES_MAX} bytes"), 413)
                pieces.append(piece)
            return await run_in_threadpool(self._answer, exchange, request, b"".join(pieces))

        return endpoint

    def _answer(self, exchange: _Exchange, request: Request, body: bytes) -> Response:
        header, seal = request.headers.get(HEADER, ""), request.headers.get(SEAL, "")
        try:
            shared = exchange.shared() if exchange.shared else None
            if exchange.shared and not shared:
                raise Refused(NOTHING_SHARED, "this agent shares no secret with anybody")
            opened, expires = self._opener.open(_target(request), header, seal, body, shared=shared)
        except OboeError as error:
            return _in_clear(error, 401)

        def carry_out() -> Any:
            if exchange.shared is None:
                self._handlers.authenticate(opened.password)
            asked = decode(opened.body, exchange.request_type)
            self._opener.admit(seal, expires)
            answer = exchange.handler(asked)
            return Nothing() if answer is None else answer

        status, plain = answered(exchange.path, carry_out)
        answer_seal, sealed = opened.seal_answer(status, plain)
        return Response(sealed, status, {SEAL: answer_seal}, media_type="application/octet-stream")


def _target(request: Request) -> str:
    """The request target as it stood on the request line."""
    path, query = bytes(request.scope["raw_path"]), bytes(request.scope["query_string"])
    return (path + b"?" + query if query else path).decode("latin-1")


def _in_clear(error: OboeError, status: int) -> Response:
    return Response(encode_error(error), status, {"connection": "close"}, media_type="application/json")
