"""How values and errors travel between agents: JSON, dataclasses and structs as they are, enums as numbers.

Decoding ignores members it does not know and takes defaults for those that are missing, so that two neighbouring releases understand
each other: a new member of a message needs a default, and a new number of an enum waits until every agent knows it. `Secret` values
travel as text: nothing but mutual TLS, or a sealed handshake, carries these messages.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from oboe.domain.errors import Bug, OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.domain.messages import Report
from oboe.domain.model import Home
from oboe.kit.secret import Secret
from oboe.kit.typed import decoder

__all__ = ["ErrorMessage", "Nothing", "ReportRequest", "Settled", "decode", "decode_error", "encode", "encode_error"]

T = TypeVar("T")

_CLASSES: dict[str, type[OboeError]] = {kind.__name__: kind for kind in (Bug, OboeError, Refused, StepFailed, TryAgain, Unreachable)}
_RESERVED = frozenset({"code", "message", "hint", "args", "with_traceback", "add_note"})


class Nothing(msgspec.Struct):
    """An empty request or answer."""


class ReportRequest(msgspec.Struct):
    """``report``: what an agent knows of an attempt, for that home."""

    home: Home
    report: Report


class Settled(msgspec.Struct):
    """``settled``: you may forget what you did for that dag, some time from now."""

    dag_key: str


class ErrorMessage(msgspec.Struct):
    """An `OboeError` under way. ``kinds`` are its class and those above it, so that an older release finds one that it knows."""

    kinds: list[str]
    code: str
    message: str
    hint: str = ""
    extra: dict[str, str | int | float | bool | None] = {}
    """Plain attributes beside those: ``after_seconds``, ``holder_id``, …"""


def encode(value: Any) -> bytes:
    """Any value of the domain, a struct, or JSON-able builtins."""
    return _ENCODER.encode(value)


def decode(text: bytes, kind: type[T]) -> T:
    """The inverse, checked against ``kind``. `Refused` ``rpc.unreadable`` says which member is wrong."""
    try:
        return decoder(kind, dec_hook=_from_plain).decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        name = getattr(kind, "__name__", str(kind))
        raise Refused("rpc.unreadable", f"this is no {name}: {error}", hint="do both agents run the same release?") from error


def encode_error(error: OboeError) -> bytes:
    """Its class, code, message, hint, and plain attributes; nothing of its cause or its traceback."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, OboeError)]
    extra = {
        name: value
        for name, value in vars(error).items()
        if name not in _RESERVED and not name.startswith("_") and isinstance(value, str | int | float | bool | None)
    }
    return encode(ErrorMessage(kinds, error.code, error.message, error.hint, extra))


def decode_error(text: bytes) -> OboeError:
    """The error as this release knows it, to be raised. `Refused` ``rpc.unreadable``."""
    said = decode(text, ErrorMessage)
    kind = next((_CLASSES[name] for name in said.kinds if name in _CLASSES), OboeError)
    error = kind(said.code, said.message, hint=said.hint)
    for name, value in said.extra.items():
        if name not in _RESERVED and name.isidentifier() and not name.startswith("_"):
            setattr(error, name, value)
    return error


def _to_plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"a {type(value).__name__} cannot travel")


def _from_plain(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise NotImplementedError(f"a {kind.__name__} cannot travel")


_ENCODER = msgspec.json.Encoder(enc_hook=_to_plain)
