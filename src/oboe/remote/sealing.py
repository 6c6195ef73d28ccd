"""Sealed exchanges over a public port: OBShell's hybrid encryption, made whole with a seal on both ways.

The request is encrypted as every request of OBShell's interface is (`oboe.remote.secrecy`): its header under the other side's RSA key, its
body under the AES keys in the header. That alone can be altered and repeated, and its answers are readable, so beside it::

    Keys ──HKDF-SHA256──► mac key of the request, AES keys of the answer, mac key of the answer
    X-Oboe-Seal of the request = HMAC(method, target, header, body)
    X-Oboe-Seal of the answer  = HMAC(seal of the request, status, body), the body encrypted

Where both sides share a secret already (a cluster key, a token), it salts the derivation: only who knows it can ask, or answer. What it
does not give is proof of whose RSA key it is: who can alter the traffic of the first request for it can put another in its place.
"""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from oboe.domain.errors import Refused, TryAgain
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["HEADER", "SEAL", "Opened", "Opener", "Replays", "Sealed", "seal"]

HEADER = "X-OCS-Agent-Header"
SEAL = "X-Oboe-Seal"
VALID_SECONDS = 60
"""How long a request is good for."""
AHEAD_SECONDS_MAX = 180
"""A request that claims to be good for longer is refused: it is `VALID_SECONDS`, and clocks may differ by two minutes."""
REPLAYS_MAX = 10_000
_KEYS_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Derived:
    request_mac: bytes = field(repr=False)
    answer_keys: bytes = field(repr=False)
    answer_mac: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A request as it goes out, and what opens its answer."""

    header: str
    seal: str
    body: bytes
    _derived: _Derived

    def open_answer(self, status: int, seal: str, body: bytes) -> bytes:
        """The answer's plain body. `Refused` ``handshake.altered``: it is not of the agent that the request was sealed for."""
        if not hmac.compare_digest(_answer_seal(self._derived, self.seal, status, body).encode(), seal.encode()):
            raise Refused("handshake.altered", "the answer is not of the agent that was asked, or was altered under way")
        return secrecy.open_body(self._derived.answer_keys, body)


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that is whole, in time and new; its password is not checked."""

    password: Secret
    body: bytes
    _derived: _Derived
    _seal: str

    def seal_answer(self, status: int, body: bytes) -> tuple[str, bytes]:
        """Seal and encrypted body of the answer."""
        sealed = secrecy.seal_body(self._derived.answer_keys, body)
        return _answer_seal(self._derived, self._seal, status, sealed), sealed


def seal(public_key: str, target: str, body: bytes, *, password: Secret, shared: Secret | None = None, now: float | None = None) -> Sealed:
    """A ``POST`` of ``body`` to ``target`` for the holder of ``public_key``."""
    sealed = secrecy.seal_request(public_key, password=password, uri=target, body=body, valid_seconds=VALID_SECONDS, now=now)
    derived = _derive(sealed.keys, shared)
    return Sealed(sealed.header, _request_seal(derived, target, sealed.header, sealed.body), sealed.body, derived)


class Replays:
    """The requests that were carried out and are still good, so that none is carried out twice. Bounded; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, int] = {}

    def note(self, seal: str, until: int, now: float) -> None:
        """Remember it. `Refused` ``handshake.replayed`` for one that is known; `TryAgain` when there are too many."""
        with self._lock:
            if seal in self._until:
                raise Refused("handshake.replayed", "this request has been carried out already")
            if len(self._until) >= REPLAYS_MAX:
                self._until = {known: end for known, end in self._until.items() if end >= now}
                if len(self._until) >= REPLAYS_MAX:
                    raise TryAgain("handshake.busy", "too many agents ask to be let in", after_seconds=VALID_SECONDS)
            self._until[seal] = until


class Opener:
    """Opens requests for the holder of a private key."""

    def __init__(self, private_key: Callable[[], Secret], *, clock: Callable[[], float] = time.time) -> None:
        self._private_key = private_key
        self._clock = clock
        self._replays = Replays()

    def open(self, target: str, header: str, seal: str, body: bytes, *, shared: Secret | None = None) -> tuple[Opened, int]:
        """The request, and when it expires (Unix seconds, for `admit`). `Refused` ``secrecy.undecipherable``: it is not whole."""
        said = secrecy.open_header(secrecy.load_private_key(self._private_key()), header)
        # The seal covers the target, so what the header says of it (`uri`) adds nothing.
        derived = _derive(said.keys, shared) if len(said.keys) == _KEYS_BYTES else None
        expected = _request_seal(derived, target, header, body) if derived else ""
        whole = derived is not None and hmac.compare_digest(expected.encode(), seal.encode())
        if derived is None or not whole or not (said.expires.isascii() and said.expires.isdigit()):
            raise Refused("secrecy.undecipherable", "it cannot be decrypted", hint="fetch the public key again: GET /api/v1/secret")
        return Opened(said.password, secrecy.open_body(said.keys, body), derived, seal), int(said.expires)

    def admit(self, seal: str, expires: int) -> None:
        """The last question before a request is carried out, once its sender is known to be entitled: is it in time, and new?"""
        now = self._clock()
        if not now <= expires <= now + AHEAD_SECONDS_MAX:
            raise Refused(
                "handshake.expired", f"the request was good until {expires}, here it is {int(now)}", hint="compare the hosts' clocks"
            )
        self._replays.note(seal, expires, now)


def _derive(keys: bytes, shared: Secret | None) -> _Derived:
    salt = shared.reveal().encode() if shared is not None else None
    derived = HKDF(hashes.SHA256(), 96, salt, b"oboe handshake 1").derive(keys)
    return _Derived(derived[:32], derived[32:64], derived[64:])


def _request_seal(derived: _Derived, target: str, header: str, body: bytes) -> str:
    return _mac(derived.request_mac, b"POST", target.encode(), header.encode(), body)


def _answer_seal(derived: _Derived, request_seal: str, status: int, body: bytes) -> str:
    return _mac(derived.answer_mac, request_seal.encode(), str(status).encode(), body)


def _mac(key: bytes, *parts: bytes) -> str:
    """Every part goes in with its length before it, so that none can be shifted into its neighbour."""
    mac = hmac.new(key, digestmod="sha256")
    for part in parts:
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return base64.b64encode(mac.digest()).decode()
