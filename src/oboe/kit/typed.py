"""Typed values from JSON and from plain values, in any thread.

msgspec (0.22 and before) puts what it has found out of a type where every thread sees it, and completes it afterwards: two threads that
meet a type for the first time at the same moment can end the process. So a type is prepared by one thread at a time, and nowhere but here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

__all__ = ["PREPARING", "converted", "decoder"]

T = TypeVar("T")

Hook = Callable[[type[Any], Any], Any]

PREPARING = threading.RLock()
"""Held while msgspec finds out of a type, by whatever way."""

_made: dict[tuple[Any, Hook | None], msgspec.json.Decoder[Any]] = {}


def decoder(kind: type[T], *, dec_hook: Hook | None = None) -> msgspec.json.Decoder[T]:
    """What reads a ``kind`` from JSON, made once. Keep to types and hooks that live as long as the process."""
    made = _made.get((kind, dec_hook))
    if made is None:
        with PREPARING:
            made = _made[kind, dec_hook] = msgspec.json.Decoder(kind, dec_hook=dec_hook)
    return cast("msgspec.json.Decoder[T]", made)


def converted(value: Any, kind: type[T], *, strict: bool = True, dec_hook: Hook | None = None) -> T:
    """A ``kind`` from plain values. `msgspec.ValidationError`."""
    decoder(kind)
    return msgspec.convert(value, kind, strict=strict, dec_hook=dec_hook)
