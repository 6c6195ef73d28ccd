"""The cluster's dags as this agent last read them: what is left to show when neither the primary nor a replica can be read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from oboe.control.views import DagView
from oboe.domain import fold
from oboe.domain.errors import TryAgain
from oboe.domain.model import Dag
from oboe.domain.records import Edition, Header, LogRecord, Page
from oboe.domain.searching import Search, among, counted
from oboe.domain.values import MaintenanceKind, State

__all__ = ["Copied", "Copier", "Copies", "Copy"]

_NEWEST = 50


class Copy(Protocol):
    """A dag as it was at ``copied_at`` (nanoseconds)."""

    @property
    def dag(self) -> Dag: ...
    @property
    def logs(self) -> Sequence[LogRecord]: ...
    @property
    def copied_at(self) -> int: ...


class Copies(Protocol):
    """Where they are kept."""

    def put(self, dag: Dag, logs: Sequence[LogRecord]) -> None: ...
    def newest(self, count: int) -> Sequence[Copy]:
        """Newest first."""

    def clear(self) -> None: ...


class Copied:
    """A home to read from, for want of a better one. What it does not have may exist all the same."""

    def __init__(self, copies: Sequence[Copy]) -> None:
        self._copies = copies

    @property
    def stale_seconds(self) -> float:
        """Of the oldest thing it can answer with."""
        return max(0.1, (time.time_ns() - min(copy.copied_at for copy in self._copies)) / 1e9)

    def find(self, kind: str, number: int) -> tuple[Dag, int] | None:
        for copy in self._copies:
            dag = copy.dag
            base, size = {
                "dag": (dag.id, 1),
                "node": (dag.node_base, len(dag.plan.nodes)),
                "sub_task": (dag.sub_task_base, dag.plan.size),
            }[kind]
            if base <= number < base + size:
                return dag, number - base
        raise TryAgain("cluster.no_copy", "this agent has no copy of that task", after_seconds=5)

    def load(self, key: str) -> Dag | None:
        return next((copy.dag for copy in self._copies if copy.dag.key == key), None)

    def unsettled(self) -> list[Dag]:
        return sorted((copy.dag for copy in self._copies if not fold.settled(copy.dag)), key=lambda dag: dag.id)

    def newest_maintenance(self) -> Dag | None:
        return next((copy.dag for copy in self._copies if copy.dag.maintenance.kind is not MaintenanceKind.NONE), None)

    def edition(self, number: int) -> Edition | None:
        copy = next((copy for copy in self._copies if copy.dag.id == number), None)
        if copy is None:
            raise TryAgain("cluster.no_copy", "this agent has no copy of that task", after_seconds=5)
        return _edition(copy)

    def newest_maintenance_edition(self) -> Edition | None:
        newest = self.newest_maintenance()
        return None if newest is None else self.edition(newest.id)

    def page(self, page: Page) -> list[Dag]:
        found = [copy.dag for copy in self._copies if not page.names or copy.dag.name in page.names]
        found = [dag for dag in found if page.settled is None or fold.settled(dag) is page.settled]
        if page.oldest_first:
            found = [dag for dag in reversed(found) if dag.id > page.before_id]
        elif page.before_id:
            found = [dag for dag in found if dag.id < page.before_id]
        return found[: page.limit]

    def search(self, search: Search) -> list[Header]:
        return among((copy.dag for copy in self._copies), search)

    def count(self, search: Search) -> Mapping[State, int]:
        return counted((copy.dag for copy in self._copies), search)

    def many(self, numbers: Sequence[int]) -> list[Dag]:
        return sorted((copy.dag for copy in self._copies if copy.dag.id in numbers), key=lambda dag: dag.id)

    def lock_in_the_way(self, dag: Dag) -> str:
        """Copies hold no locks: nobody is known to be in the way."""
        return ""

    def logs(self, dag: Dag, sub_tasks: Sequence[int] | None = None, *, after: int = 0) -> list[LogRecord]:
        logs = next((copy.logs for copy in self._copies if copy.dag.key == dag.key), ())
        return [record for record in logs if record.id > after and (sub_tasks is None or record.sub_task in sub_tasks)]


def _edition(copy: Copy) -> Edition:
    """Below 0, so that no home has the same."""
    return Edition(copy.dag.id, copy.dag.key, copy.dag.version, -1 - len(copy.logs))


class Copier:
    """Keeps a copy of what was read with its logs, once for each version."""

    def __init__(self, copies: Copies) -> None:
        self._copies = copies
        self._kept: dict[str, tuple[int, int]] = {}

    def keep(self, views: Iterable[DagView]) -> None:
        for view in views:
            if view.logs is None:
                continue
            mark = (view.dag.version, len(view.logs))
            if self._kept.get(view.dag.key) != mark:
                self._copies.put(view.dag, view.logs)
                if len(self._kept) > _NEWEST:
                    self._kept.clear()
                self._kept[view.dag.key] = mark

    def home(self) -> Copied | None:
        copies = self._copies.newest(_NEWEST)
        return Copied(copies) if copies else None
