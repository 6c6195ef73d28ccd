"""``Idempotency-Key``: a change that is asked again with the same key is answered again and not carried out again.

Kept in this agent's memory for a day. A repetition that goes to another agent, or comes after a restart, meets the guards of the machine:
it is refused, because the state has changed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from oboe.api.shared.exchange import Answer, Request
from oboe.domain.errors import Refused

__all__ = ["Repeats"]

KEPT_SECONDS = 86400.0
KEPT_MAX = 5000
KEY_LENGTH_MAX = 255


class Repeats:
    """Answers by user and key. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes, Answer | None]] = OrderedDict()

    def answer(self, user: str, request: Request, carry_out: Callable[[], Answer]) -> Answer:
        """Carry it out once. `Refused` ``request.query`` ``request.key_reused`` ``request.key_busy``.

        What the server could not do (status 500 and more) is not kept: it may be asked again."""
        key = request.headers.get("idempotency-key", "")
        if not key:
            return carry_out()
        if len(key) > KEY_LENGTH_MAX:
            raise Refused("request.query", f"an Idempotency-Key has at most {KEY_LENGTH_MAX} characters")
        kept = self._begin((user, key), request)
        if kept is not None:
            return kept
        answer: Answer | None = None
        try:
            answer = carry_out()
        finally:
            self._end((user, key), answer)
        return answer

    def _begin(self, name: tuple[str, str], request: Request) -> Answer | None:
        asked = sha256(f"{request.method} {request.target}\0".encode() + request.body).digest()
        with self._lock:
            known = self._kept.get(name)
            if known is not None and request.received_at - known[0] <= KEPT_SECONDS:
                _, before, answer = known
                if before != asked:
                    raise Refused("request.key_reused", "this Idempotency-Key was used for another request")
                if answer is None:
                    raise Refused("request.key_busy", "the request with this Idempotency-Key is under way")
                return answer
            self._kept[name] = (request.received_at, asked, None)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return None

    def _end(self, name: tuple[str, str], answer: Answer | None) -> None:
        with self._lock:
            known = self._kept.pop(name, None)
            if known is not None and answer is not None and answer.status < 500:
                self._kept[name] = (known[0], known[1], answer)
