"""Secrets at rest: AES-256-GCM under a key that never leaves its file.

A sealed text is ``1:`` and the base64 of nonce and ciphertext; in JSON it stands as ``{"$sealed": "1:…"}``.
"""

from __future__ import annotations

import logging
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.kit.typed import converted

__all__ = ["Sealer", "open_params", "resealed", "seal_params", "sealed_json", "unsealed"]

T = TypeVar("T")

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORM = "1:"
_MEMBER = "$sealed"

_log = logging.getLogger(__name__)


class Sealer:
    """Seals and unseals under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) != KEY_BYTES:
            raise Refused("key.wrong_size", f"a sealing key has {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)

    @classmethod
    def at(cls, home: Path) -> Sealer:
        """The key file ``key`` of an agent's home, made with mode 0600 if there is none; one that others could read is theirs no more.

        `Refused` ``key.damaged`` ``key.unreadable``."""
        path = home / "key"
        home.mkdir(parents=True, exist_ok=True)
        try:
            key = path.read_bytes()
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
                _log.warning("%s could be read by others, and cannot any more: did anybody see it?", path)
        except FileNotFoundError:
            key = _make_key(path)
        except OSError as error:
            raise Refused("key.unreadable", f"{path}: {error.strerror}", hint="the agent's user must be able to read it") from error
        if len(key) != KEY_BYTES:
            raise Refused("key.damaged", f"{path} is no key", hint="restore it from a backup: nothing sealed under it can be read without")
        return cls(key)

    def seal(self, text: str) -> str:
        """Another text each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORM + b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), None)).decode()

    def unseal(self, text: str) -> Secret:
        """`Refused` ``secret.unreadable`` for what this key did not seal."""
        from cryptography.exceptions import InvalidTag

        try:
            if not text.startswith(_FORM):
                raise ValueError(text[:2])
            raw = b64decode(text[len(_FORM) :], validate=True)
            return Secret(self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None).decode())
        except (ValueError, InvalidTag) as error:
            raise Refused("secret.unreadable", "a secret was sealed under another key", hint="restore the key file of this home") from error


def _make_key(path: Path) -> bytes:
    """Write a new key whole or not at all; when two processes do so at once, both get the one that stays."""
    key = secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f".key.{secrets.token_hex(8)}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, key)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return key


def sealed_json(value: Any, sealer: Sealer) -> Any:
    """The value as plain JSON, every `Secret` in it sealed."""

    def seal(one: Any) -> Any:
        if isinstance(one, Secret):
            return {_MEMBER: sealer.seal(one.reveal())}
        raise TypeError(f"{type(one).__name__} is not JSON-able")

    return msgspec.to_builtins(value, enc_hook=seal, str_keys=True)


def unsealed(value: Any, sealer: Sealer) -> Any:
    """Plain JSON with its sealed members as `Secret`."""
    if isinstance(value, dict):
        if value.keys() == {_MEMBER}:
            return sealer.unseal(value[_MEMBER])
        return {name: unsealed(member, sealer) for name, member in value.items()}
    if isinstance(value, list):
        return [unsealed(member, sealer) for member in value]
    return value


def resealed(value: Any, opens: Callable[[], Sealer], seals: Callable[[], Sealer]) -> Any:
    """Plain JSON whose sealed members are sealed under another key. The keys are not asked for where nothing is sealed."""
    if isinstance(value, dict):
        if value.keys() == {_MEMBER}:
            return {_MEMBER: seals().seal(opens().unseal(value[_MEMBER]).reveal())}
        return {name: resealed(member, opens, seals) for name, member in value.items()}
    if isinstance(value, list):
        return [resealed(member, opens, seals) for member in value]
    return value


def seal_params(params: Any, sealer: Sealer) -> dict[str, Any]:
    """A playbook's params (a ``msgspec.Struct``) as a dag keeps them."""
    sealed = sealed_json(params, sealer)
    return sealed if isinstance(sealed, dict) else {}


def open_params(kind: type[T], data: Mapping[str, Any], sealer: Sealer) -> T:
    """The inverse of `seal_params`. `Refused` ``params.unreadable`` when they do not fit the type."""

    def unseal(wanted: type[Any], one: Any) -> Any:
        if wanted is Secret and isinstance(one, dict) and one.keys() == {_MEMBER}:
            return sealer.unseal(one[_MEMBER])
        raise TypeError(f"{wanted.__name__} cannot be read from this")

    try:
        return converted(data, kind, dec_hook=unseal)
    except msgspec.ValidationError as error:
        raise Refused("params.unreadable", f"the params do not fit {kind.__name__}: {error}") from error
