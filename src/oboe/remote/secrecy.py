"""The hybrid encryption of OBShell's interface, both sides: a request's header under RSA, its body under AES.

The header (`obshell-wire.md` §4.1 to §4.4) is JSON, cut into pieces of 53 bytes, each one PKCS#1 v1.5 block; it carries the AES key and
IV of the body. Answers are not encrypted. Whatever cannot be opened raises one `Refused` with one text: why is nobody's business.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from cryptography.hazmat.primitives import padding as paddings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = [
    "KEYS_BYTES",
    "KEY_BITS",
    "KeyPair",
    "OpenBlocks",
    "Opened",
    "PrivateKey",
    "RequestHeader",
    "SealedRequest",
    "load_private_key",
    "load_public_key",
    "looks_sealed",
    "new_key_pair",
    "open_block",
    "open_blocks",
    "open_body",
    "open_header",
    "open_text",
    "seal_body",
    "seal_request",
    "seal_text",
]

KEY_BITS = 2048
PIECE_BYTES = 53
"""What one block holds, whatever the key's length: so an older peer's 512-bit key takes it too."""
BLOCKS_MAX = 48
"""As many as fit into a header of 16 kB; decrypting one costs half a millisecond before anybody has proven anything."""
AES_KEY_BYTES = 16
KEYS_BYTES = 2 * AES_KEY_BYTES
"""An AES key, then an IV."""

PrivateKey = rsa.RSAPrivateKey
Opened = tuple[bytes, ...]
"""What was in a block; empty: it cannot be decrypted."""
OpenBlocks = Callable[[PrivateKey, Sequence[bytes]], list[Opened]]
"""Decrypts every block, whatever comes of the others."""

_PKCS1 = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An agent's RSA key. ``private_pem`` is PKCS#8; ``public_key`` the base64 of the PKCS#1 DER, as on the wire."""

    private_pem: Secret
    public_key: str


@dataclass(frozen=True, slots=True)
class SealedRequest:
    """What to send: the value of the header, and the body as it goes out (empty when there is none)."""

    header: str
    body: bytes
    keys: bytes = field(repr=False)
    """AES key ‖ IV, for the few answers that come encrypted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeader:
    """A header as opened. Members that were not sent are empty."""

    password: Secret
    expires: str
    """Decimal Unix seconds, unchecked."""
    uri: str
    keys: bytes = field(repr=False)
    session_id: Secret
    sso_token: Secret


def new_key_pair() -> KeyPair:
    """Draw one; takes some 50 ms."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    return KeyPair(Secret(pem.decode()), base64.b64encode(der).decode())


@lru_cache(maxsize=8)
def load_private_key(private_pem: Secret) -> PrivateKey:
    """The key of a `KeyPair`, parsed once."""
    return cast(PrivateKey, serialization.load_pem_private_key(private_pem.reveal().encode(), password=None))


@lru_cache(maxsize=64)
def load_public_key(public_key: str) -> rsa.RSAPublicKey:
    """A peer's public key. `Refused` ``secrecy.bad_key``."""
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, binascii.Error) as error:
        raise Refused("secrecy.bad_key", "the agent's public key is not the base64 of a PKCS#1 RSA key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused("secrecy.bad_key", "the agent's public key is not an RSA key")
    return key


# RSA


def seal_text(public_key: str, text: bytes) -> str:
    """Encrypt for the holder of that key: base64 of one block for each 53 bytes; no text is one block."""
    key = load_public_key(public_key)
    pieces = [text[at : at + PIECE_BYTES] for at in range(0, len(text), PIECE_BYTES)] or [b""]
    return base64.b64encode(b"".join(key.encrypt(piece, _PKCS1) for piece in pieces)).decode()


def open_block(private_key: PrivateKey, block: bytes) -> Opened:
    try:
        return (private_key.decrypt(block, _PKCS1),)
    except ValueError:
        return ()


def open_blocks(private_key: PrivateKey, blocks: Sequence[bytes]) -> list[Opened]:
    """`OpenBlocks`, one after another."""
    return [open_block(private_key, block) for block in blocks]


def open_text(private_key: PrivateKey, sealed: str, *, open_blocks: OpenBlocks = open_blocks) -> bytes:
    """The inverse of `seal_text`, for pieces of any length. Every block is decrypted, even after one that fails."""
    try:
        blocks = _from_base64(sealed.encode())
    except (ValueError, binascii.Error):
        raise _undecipherable() from None
    size = private_key.key_size // 8
    if not blocks or len(blocks) % size or len(blocks) > size * BLOCKS_MAX:
        raise _undecipherable()
    opened = open_blocks(private_key, [blocks[at : at + size] for at in range(0, len(blocks), size)])
    if not all(opened):
        raise _undecipherable()
    return b"".join(piece for (piece,) in opened)


def looks_sealed(text: str) -> bool:
    """Whether it may be what `seal_text` makes for some agent of oboe: whole blocks of its keys, as base64."""
    try:
        sealed = _from_base64(text.encode())
    except (ValueError, binascii.Error):
        return False
    return bool(sealed) and len(sealed) % (KEY_BITS // 8) == 0


# Requests


def seal_request(
    public_key: str, *, password: Secret, uri: str, body: bytes = b"", valid_seconds: int = 60, now: float | None = None
) -> SealedRequest:
    """What a client sends. ``uri`` is the request target exactly as on the request line, query included."""
    keys = secrets.token_bytes(2 * AES_KEY_BYTES)
    expires = int(time.time() if now is None else now) + valid_seconds
    members = {"auth": password.reveal(), "ts": str(expires), "uri": uri, "keys": base64.b64encode(keys).decode()}
    text = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return SealedRequest(seal_text(public_key, text), seal_body(keys, body) if body else b"", keys)


def open_header(private_key: PrivateKey, value: str, *, open_blocks: OpenBlocks = open_blocks) -> RequestHeader:
    """Open a request's header. Names of members are matched whatever their case, unknown ones ignored.

    `Refused` ``secrecy.undecipherable``."""
    text = open_text(private_key, value, open_blocks=open_blocks)
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise _undecipherable() from None
    if not isinstance(members, dict):
        raise _undecipherable()
    said = {name.lower(): member for name, member in members.items()}
    try:
        keys = _from_base64(_text(said, "keys").encode())
    except (ValueError, binascii.Error):
        raise _undecipherable() from None
    return RequestHeader(
        password=Secret(_text(said, "auth")),
        expires=_text(said, "ts"),
        uri=_text(said, "uri"),
        keys=keys,
        session_id=Secret(_text(said, "session_id")),
        sso_token=Secret(_text(said, "ssotoken")),
    )


# AES


def seal_body(keys: bytes, body: bytes) -> bytes:
    """AES-128-CBC with PKCS#7 padding, as base64; ``keys`` is key ‖ IV."""
    padder = paddings.PKCS7(128).padder()
    encryptor = _cipher(keys).encryptor()
    return base64.b64encode(encryptor.update(padder.update(body) + padder.finalize()) + encryptor.finalize())


def open_body(keys: bytes, body: bytes) -> bytes:
    """The inverse of `seal_body`. `Refused` ``secrecy.undecipherable``, whatever is wrong."""
    if len(keys) != KEYS_BYTES:
        raise _undecipherable()
    try:
        sealed = _from_base64(body)
        decryptor = _cipher(keys).decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        unpadder = paddings.PKCS7(128).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except (ValueError, binascii.Error):
        raise _undecipherable() from None


def _from_base64(text: bytes) -> bytes:
    """Line ends inside are no part of it: encoders of many languages put them there, and Go's decoder, the original's, skips them."""
    return base64.b64decode(text.translate(None, b"\r\n"), validate=True)


def _cipher(keys: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES(keys[:AES_KEY_BYTES]), modes.CBC(keys[AES_KEY_BYTES:]))


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _undecipherable()
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        raise _undecipherable() from None
    return value


def _undecipherable() -> Refused:
    return Refused("secrecy.undecipherable", "it cannot be decrypted", hint="fetch the public key again: GET /api/v1/secret")
