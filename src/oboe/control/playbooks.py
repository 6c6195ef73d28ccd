"""Starting any registered playbook by its name, with params that were checked against its type.

Some have an operation of their own, which looks at the cluster before it makes a dag, or are led by another playbook: they are shown and
previewed here, and started there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oboe.control.port import Caller
from oboe.control.starting import Starter
from oboe.control.views import Preview
from oboe.domain.errors import OboeError, Refused
from oboe.domain.model import Dag
from oboe.domain.values import HomeKind
from oboe.kit.params import read_params, schema_of
from oboe.kit.playbook import Playbook
from oboe.kit.registry import BUILT_IN, Registry, Unloaded

__all__ = ["PlaybookView", "Playbooks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookView:
    """One playbook, for people. ``schema`` is JSON Schema of its params; ``plan`` is None where some param has no default."""

    name: str
    doc: str
    source: str
    home: HomeKind
    maintenance: str
    started_by: str
    schema: Mapping[str, Any]
    plan: Preview | None


class Playbooks:
    """The use cases."""

    def __init__(self, registry: Registry, starter: Starter, cluster_home: Callable[[], object]) -> None:
        self._registry = registry
        self._starter = starter
        self._cluster_home = cluster_home

    def all(self) -> Sequence[PlaybookView]:
        """By name; third-party ones first."""
        books = sorted(self._registry.playbooks, key=lambda book: (self._registry.source(book.name) == BUILT_IN, book.name))
        return [self._view(book) for book in books]

    def one(self, name: str) -> PlaybookView:
        """`Refused` ``playbook.unknown``."""
        return self._view(self._registry.playbook(name))

    def unloaded(self) -> Sequence[Unloaded]:
        """What did not load, and why."""
        return self._registry.unloaded

    def start(self, name: str, params: Mapping[str, Any], *, caller: Caller, not_before: int = 0, dry_run: bool = False) -> Dag | Preview:
        """`Refused` ``playbook.unknown`` ``playbook.params`` ``playbook.plan`` ``playbook.not_by_name`` ``plan.*`` ``cluster.none``
        ``maintenance.held``."""
        book = self._registry.playbook(name)
        filled = read_params(book.params, params)
        preview = self._starter.preview(name, filled)
        if dry_run:
            return preview
        if book.started_by:
            hint = f"{book.started_by}; --dry-run shows its plan"
            raise Refused(
                "playbook.not_by_name", f"{name} is not started by its name: what starts it looks at the cluster first", hint=hint
            )
        if book.home is HomeKind.CLUSTER:
            self._cluster_home()
        return self._starter.start(name, filled, caller=caller, not_before=not_before)

    def _view(self, book: Playbook) -> PlaybookView:
        try:
            plan = self._starter.preview(book.name, read_params(book.params, {}))
        except OboeError:
            plan = None
        return PlaybookView(
            name=book.name,
            doc=book.doc,
            source=self._registry.source(book.name),
            home=book.home,
            maintenance=book.maintenance.kind.name,
            started_by=book.started_by,
            schema=schema_of(book.params),
            plan=plan,
        )
