"""What several agents were asked for: their dags together, and the agents that did not answer in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from oboe.control.views import DagView
from oboe.domain.values import Address

__all__ = ["Gathered"]


class Gathered(Sequence[DagView]):
    """Dags of several agents. ``missing`` are the agents whose dags would be here too, had they answered."""

    def __init__(self, views: Iterable[DagView] = (), missing: Iterable[Address] = ()) -> None:
        self._views = tuple(views)
        self.missing = tuple(missing)

    @overload
    def __getitem__(self, index: int) -> DagView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[DagView]: ...
    def __getitem__(self, index: int | slice) -> DagView | Sequence[DagView]:
        return self._views[index]

    def __len__(self) -> int:
        return len(self._views)
