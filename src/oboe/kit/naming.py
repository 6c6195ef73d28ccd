"""How a dag is called where people read about it: the id that a log line shows."""

from __future__ import annotations

from typing import Protocol

from oboe.domain.model import Home

__all__ = ["Naming"]


class Naming(Protocol):
    """Given to steps as a service, because ids on the wire belong to the dialects."""

    def dag(self, home: Home, number: int) -> str:
        """The id of that dag, as clients use it."""
