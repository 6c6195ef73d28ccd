"""What a step returns, notes or says, as every store and every client can take it: JSON, and text that is valid UTF-8."""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.domain.errors import StepFailed
from oboe.kit.typed import decoder

__all__ = ["DEPTH_MAX", "plain", "sayable"]

DEPTH_MAX = 64
"""Levels; what is nested more deeply can be written, and may not be read again."""

_plain = decoder(object)


def plain(value: Any, *, what: str = "result", bytes_max: int | None = None) -> Any:
    """The value as a store will give it back: what JSON makes of it, so that nobody sees another one after a restart.

    `StepFailed` ``WHAT.not_plain`` and ``WHAT.too_large`` (in UTF-8, as JSON)."""
    if value is None:
        return None
    try:
        body = msgspec.json.encode(value)
        if bytes_max is not None and len(body) > bytes_max:
            raise StepFailed(f"{what}.too_large", f"the {what} has {len(body)} bytes, more than {bytes_max}")
        found = _plain.decode(body)
        _check_depth(found, DEPTH_MAX)
        return found
    except (TypeError, ValueError, OverflowError, NotImplementedError, RecursionError) as error:
        raise StepFailed(f"{what}.not_plain", f"the {what} cannot be kept: {sayable(str(error))}") from error


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError(f"it is nested more than {DEPTH_MAX} levels deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def sayable(text: str) -> str:
    """The text with an escape for each half character: names of files and arguments may hold such, and no store can."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
