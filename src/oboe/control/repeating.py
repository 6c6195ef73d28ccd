"""Requests that are carried out once: a repetition by the same key is answered as the first was, by any agent of the cluster.

::

    key unknown                        carry out, keep the answer for a day
    known, of another request          `Refused` request.key_reused
    known, nothing answered yet        `Refused` request.key_busy; after `UNDER_WAY_SECONDS` request.key_unfinished: whoever carried it
                                       out is gone, and what came of it is not known, so it is not carried out again
    known, answered                    that answer

Keys are kept in the cluster's home, so that every agent knows them; by an agent that belongs to no cluster, or cannot reach the home, in
its own. What was asked is kept as a keyed digest, because it may hold passwords.
"""

from __future__ import annotations

import hmac
import logging
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import SECOND, Identity
from oboe.kit.typed import decoder
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.store.request_keys import KeyRow, RequestKeys

__all__ = ["Kept", "Repeating"]

UNDER_WAY_SECONDS = 120
"""Longer than any request takes."""
ANSWER_BYTES_MAX = 256 << 10
"""A longer answer, compressed, is not kept: the repetition is told so."""
KEY_LENGTH_MAX = 255
_LEVEL = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, as it went over the wire."""

    status: int
    content_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Packed(msgspec.Struct):
    content_type: str
    headers: list[tuple[str, str]]
    body: str


class Repeating:
    """Thread-safe."""

    def __init__(self, local: LocalAgent, own: RequestKeys, link: ClusterLink, *, clock: Callable[[], int]) -> None:
        self._local = local
        self._own = own
        self._link = link
        self._clock = clock

    def once(self, who: str, key: str, asked: bytes, carry_out: Callable[[], Kept]) -> Kept:
        """Carry it out unless it was; ``asked`` is all that makes the request. An answer of status 500 and more is not kept.

        `Refused` ``request.query`` ``request.key_reused`` ``request.key_busy`` ``request.key_unfinished``; `TryAgain` when no key can be
        written down."""
        if len(key) > KEY_LENGTH_MAX:
            raise Refused("request.query", f"an Idempotency-Key has at most {KEY_LENGTH_MAX} characters")
        name = sha256(f"{who}\0{key}".encode()).hexdigest()
        keys, row = self._begin(name, asked)
        if row is not None:
            return self._again(row, self._digest(asked, keys is self._own))
        try:
            answer = carry_out()
        except BaseException:
            self._end(keys, name, None)
            raise
        self._end(keys, name, answer)
        return answer

    def _begin(self, name: str, asked: bytes) -> tuple[RequestKeys, KeyRow | None]:
        now = self._clock()
        if self._local.identity() in (Identity.CLUSTER_AGENT, Identity.SCALING_IN):
            try:
                keys = self._link.request_keys()
                return keys, keys.begin(name, self._digest(asked, own=False), now)
            except (Unreachable, TryAgain):
                pass  # what needs no primary is asked all the same
        return self._own, self._own.begin(name, self._digest(asked, own=True), now)

    def _again(self, row: KeyRow, digest: str) -> Kept:
        if not hmac.compare_digest(row.asked, digest):
            raise Refused("request.key_reused", "this Idempotency-Key was used for another request", hint="a new request has a new key")
        if row.status:
            if not row.answer:
                raise Refused("request.key_unfinished", f"it was answered {row.status}; the answer was too long to be kept")
            return _unpacked(row)
        if self._clock() - row.begun_at < UNDER_WAY_SECONDS * SECOND:
            raise Refused("request.key_busy", "the request with this Idempotency-Key is under way", hint="try again in a moment")
        raise Refused(
            "request.key_unfinished",
            "the agent that carried this request out ended before it answered",
            hint="look what became of it; another key asks again",
        )

    def _end(self, keys: RequestKeys, name: str, answer: Kept | None) -> None:
        """What cannot be written down is told to the log: the request itself is done."""
        try:
            if answer is None or answer.status >= 500:
                keys.drop(name)
            else:
                keys.end(name, answer.status, _packed(answer))
        except OboeError as error:
            _log.warning("the answer to a request with an Idempotency-Key is not kept: %s", error)

    def _digest(self, asked: bytes, own: bool) -> str:
        secret = self._local.secret("private_key" if own else "cluster_key")
        key = sha256(b"request keys\0" + (secret.reveal().encode() if secret else b"")).digest()
        return hmac.new(key, asked, sha256).hexdigest()


def _packed(answer: Kept) -> str:
    body = zlib.compress(answer.body, _LEVEL)
    if len(body) > ANSWER_BYTES_MAX:
        return ""
    return msgspec.json.encode(_Packed(answer.content_type, list(answer.headers), b64encode(body).decode())).decode()


def _unpacked(row: KeyRow) -> Kept:
    packed = decoder(_Packed).decode(row.answer)
    return Kept(row.status, packed.content_type, tuple(packed.headers), zlib.decompress(b64decode(packed.body)))
