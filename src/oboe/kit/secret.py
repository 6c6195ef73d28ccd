"""A string that must not be seen: masked in ``repr``, revealed only on purpose, sealed whenever it is written down."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret:
    """A password, key or token. ``reveal()`` gives the text; everything else shows ``***``."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
