"""OCP's envelope: keys in alphabetical order, nothing that is null, times with an offset and no more digits than they need (§1.1, §1.3)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

__all__ = ["new_trace_id", "ocp_second", "ocp_time", "present", "wrap"]

_ENCODER = msgspec.json.Encoder(order="sorted")
_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000


def ocp_time(nanoseconds: int) -> str:
    """ISO 8601 with a numeric offset, cut to milliseconds, zeros at the end left out."""
    seconds, fraction = divmod(nanoseconds, _SECOND)
    stem, offset = _at(seconds)
    digits = f"{fraction // _MILLISECOND:03d}".rstrip("0")
    return f"{stem}.{digits}{offset}" if digits else f"{stem}{offset}"


def ocp_second(nanoseconds: int) -> str:
    """`ocp_time`, cut to seconds."""
    return ocp_time(nanoseconds - nanoseconds % _SECOND)


@lru_cache(maxsize=4096)
def _at(seconds: int) -> tuple[str, str]:
    local = datetime.fromtimestamp(seconds, UTC).astimezone()
    text = local.isoformat(timespec="seconds")
    return text[:19], text[19:25]


def present(**members: Any) -> dict[str, Any]:
    """Those members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def new_trace_id() -> str:
    """16 hex digits."""
    return secrets.token_hex(8)


def wrap(
    data: Any, *, status: int, server: str, started: float, trace_id: str, error: Mapping[str, Any] | None = None, omit: bool = False
) -> bytes:
    """The whole answer. ``started`` is monotonic; ``omit``: the operation returns nothing, there is no ``data``."""
    envelope: dict[str, Any] = {
        "duration": int((time.monotonic() - started) * 1000),
        "server": server,
        "status": status,
        "successful": error is None,
        "timestamp": ocp_time(time.time_ns()),
        "traceId": trace_id,
    }
    if error is not None:
        envelope["error"] = error
    elif not omit:
        envelope["data"] = data
    return _ENCODER.encode(envelope)
