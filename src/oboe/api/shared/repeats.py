"""``Idempotency-Key``: a request that is sent again is answered again and not carried out again (`oboe.control.repeating`).

Named by draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

from collections.abc import Callable

from oboe.api.shared.exchange import Answer, Request
from oboe.control.repeating import Kept, Repeating

__all__ = ["HEADER", "once"]

HEADER = "Idempotency-Key"


def once(repeating: Repeating, who: str, request: Request, body: bytes, carry_out: Callable[[], Answer]) -> Answer:
    """The answer of ``carry_out``, or that of the first request with this key. ``body`` is the opened one. Raises as `Repeating.once`."""
    key = request.headers.get(HEADER.lower(), "")
    if not key:
        return carry_out()

    def kept() -> Kept:
        answer = carry_out()
        return Kept(answer.status, answer.content_type, answer.headers, answer.body)

    found = repeating.once(who, key, f"{request.method} {request.target}\0".encode() + body, kept)
    return Answer(status=found.status, content_type=found.content_type, headers=found.headers, body=found.body)
