"""The dags that were read last, each good for as long as its home says that it is the same edition: clients ask for one dag many times."""

from __future__ import annotations

import threading
from collections.abc import Callable

from oboe.control.views import DagView
from oboe.domain.holds import held_back
from oboe.domain.records import Edition

__all__ = ["Recent"]

VIEWS_MAX = 8
SIZE_MAX = 50_000
"""Sub-tasks and lines of all that is kept."""


class Recent:
    """Thread-safe. The same edition gives the very same view, so that who renders it may keep what he made of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._views: dict[tuple[Edition, bool], DagView] = {}
        """The latest used last."""

    def view(self, edition: Edition, details: bool, read: Callable[[], DagView]) -> DagView:
        """What ``read`` gives, after ``edition`` was seen: should the dag have gone on in between, that edition is never seen again."""
        key = edition, details
        with self._lock:
            known = self._views.pop(key, None)
            if known is not None:
                self._views[key] = known
                return known
        view = read()
        if not _waits_for_others(view) and _size(view) <= SIZE_MAX:
            with self._lock:
                self._views[key] = view
                while len(self._views) > VIEWS_MAX or sum(map(_size, self._views.values())) > SIZE_MAX:
                    del self._views[next(iter(self._views))]
        return view


def _waits_for_others(view: DagView) -> bool:
    """What it waits for is no part of the dag, and changes without it."""
    return bool(view.start_waits_for) or bool(view.dag.not_before and held_back(view.dag))


def _size(view: DagView) -> int:
    return len(view.dag.sub_tasks) + len(view.logs or ())
