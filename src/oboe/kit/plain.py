"""What a step returns, notes or says, as every store and every client can take it: JSON, and text that is valid UTF-8."""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.domain.errors import StepFailed

__all__ = ["plain", "sayable"]


def plain(value: Any, *, what: str = "result", bytes_max: int | None = None) -> Any:
    """The value as JSON-able builtins. `StepFailed` ``WHAT.not_plain`` and ``WHAT.too_large`` (in UTF-8, as JSON)."""
    if value is None:
        return None
    try:
        found = msgspec.to_builtins(value)
        size = len(msgspec.json.encode(found))
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
        raise StepFailed(f"{what}.not_plain", f"the {what} cannot be kept: {sayable(str(error))}") from error
    if bytes_max is not None and size > bytes_max:
        raise StepFailed(f"{what}.too_large", f"the {what} has {size} bytes, more than {bytes_max}")
    return found


def sayable(text: str) -> str:
    """The text with an escape for each half character: names of files and arguments may hold such, and no store can."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
