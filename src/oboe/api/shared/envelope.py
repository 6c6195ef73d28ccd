"""The envelope around every answer, and how times are written (`obshell-wire.md` §1.1 to §1.5)."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

__all__ = ["CLUSTER_DIGITS", "LOCAL_DIGITS", "NO_DATA", "Contents", "WireError", "new_trace_id", "wire_time", "wrap"]

CLUSTER_DIGITS = 6
"""Digits of a second in the times of what the cluster keeps."""
LOCAL_DIGITS = 9

NO_DATA = msgspec.UNSET
"""The handler answers nothing: the member ``data`` is left out. ``None`` is ``null``."""


@dataclass(frozen=True, slots=True)
class WireError:
    """The ``error`` object and the status that goes with it. ``code`` 0 is left out."""

    status: int
    err_code: str
    message: str
    code: int = 0


class Contents(msgspec.Struct):
    """How a list travels."""

    contents: list[Any] | None


class _Error(msgspec.Struct, omit_defaults=True, rename={"err_code": "errCode"}):
    code: int = 0
    err_code: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


class _Envelope(msgspec.Struct, rename={"trace_id": "traceId"}):
    successful: bool
    timestamp: str
    duration: int
    status: int
    trace_id: str
    data: Any = msgspec.UNSET
    error: _Error | msgspec.UnsetType = msgspec.UNSET


def wire_time(nanoseconds: int, digits: int = LOCAL_DIGITS) -> str:
    """RFC 3339 in the zone of this process, the fraction cut to ``digits`` and its trailing zeros left out. 0 is the Unix epoch."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    stem, offset = _second(seconds)
    shown = f"{fraction:09d}"[:digits].rstrip("0")
    return f"{stem}.{shown}{offset}" if shown else f"{stem}{offset}"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> tuple[str, str]:
    """Up to the second, and the offset; a dag's times fall into few seconds."""
    local = time.localtime(seconds)
    stem = f"{local.tm_year:04d}-{local.tm_mon:02d}-{local.tm_mday:02d}T{local.tm_hour:02d}:{local.tm_min:02d}:{local.tm_sec:02d}"
    minutes = local.tm_gmtoff // 60
    if not minutes:
        return stem, "Z"
    sign, minutes = ("+", minutes) if minutes > 0 else ("-", -minutes)
    return stem, f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def new_trace_id() -> str:
    """16 hex digits."""
    # They guard nothing. The system would be asked outside the interpreter lock, which costs a busy agent more than the digits.
    return f"{random.getrandbits(64):016x}"


def wrap(data: Any, *, status: int = 200, trace_id: str, started: float, error: WireError | None = None) -> bytes:
    """The whole answer as bytes. ``started`` is the monotonic second in which the request came in."""
    envelope = _Envelope(
        successful=error is None,
        timestamp=wire_time(time.time_ns()),
        duration=int((time.monotonic() - started) * 1000),
        status=status if error is None else error.status,
        trace_id=trace_id,
        data=data,
    )
    if error is not None:
        envelope.error = _Error(code=error.code, err_code=error.err_code, message=error.message)
    return msgspec.json.encode(envelope)
