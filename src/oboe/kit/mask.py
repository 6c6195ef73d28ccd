"""What a step tells people shows ``***`` where a secret of its params would stand: a driver's error may repeat what it was given.

It covers the secret as it is, and as it stands in base64, in hex, in a URL and in JSON. Secrets of less than `LENGTH_MIN` characters
are left: they are parts of words, and tell more by their absence.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from oboe.kit.secret import Secret

__all__ = ["LENGTH_MIN", "Mask", "forms_of"]

LENGTH_MIN = 4
_HIDDEN = "***"
_LINE_MIN = 16


class Mask:
    """The secrets of one attempt. Thread-safe: what is known is replaced whole."""

    __slots__ = ("_known", "_pattern")

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, params: Any) -> None:
        """Every `Secret` in there."""
        found = self._known | {part for each in _secrets(params) for part in _parts(each.reveal())}
        if found == self._known:
            return
        forms = {form for each in found for form in forms_of(each)}
        self._pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
        self._known = found

    def __bool__(self) -> bool:
        """Whether there is anything to hide."""
        return bool(self._known)

    def hide(self, text: str) -> str:
        pattern = self._pattern
        return text if pattern is None else pattern.sub(_HIDDEN, text)

    def hide_in(self, value: Any) -> Any:
        """JSON-able; every text in it, names of members included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, Mapping):
            return {self.hide_in(name): self.hide_in(member) for name, member in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.hide_in(member) for member in value]
        return value


def forms_of(secret: str) -> Iterator[str]:
    """How a text may stand in another one. In base64 it has three forms, by where it begins; their first and last letters depend on
    the neighbours and are left out."""
    raw = secret.encode()
    yield from (secret, raw.hex(), raw.hex().upper(), quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1])
    yield repr(secret)[1:-1]
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(raw).decode()
        for skipped in range(3):
            whole = encode(bytes(skipped) + raw).decode().rstrip("=")
            inner = whole[(0, 2, 3)[skipped] : len(whole) - 1]
            if len(inner) >= LENGTH_MIN:
                yield inner


def _parts(secret: str) -> Iterator[str]:
    """A key of many lines is told by any of them."""
    lines = secret.splitlines()
    whole = [secret] if len(secret) >= LENGTH_MIN else []
    yield from whole + [line for line in lines if len(lines) > 1 and len(line) >= _LINE_MIN and not line.startswith("---")]


def _secrets(value: Any) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _secrets(member)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for member in value:
            yield from _secrets(member)
