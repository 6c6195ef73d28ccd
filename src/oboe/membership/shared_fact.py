"""A document that every agent of a cluster answers to: kept by an agent alone before there is a cluster, then by the cluster's home.

An agent of a cluster keeps a copy, for the time while there is no primary. Invariants: a change is read and written in one transaction;
what is read is at most `FRESH_SECONDS` old while the cluster's home answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from oboe.domain.errors import OboeError
from oboe.domain.values import Identity
from oboe.membership.local import LocalAgent

__all__ = ["FRESH_SECONDS", "ClusterFacts", "SharedFact"]

FRESH_SECONDS = 2.0
"""How old an agent's knowledge of what the cluster keeps may be."""


class ClusterFacts(Protocol):
    """The cluster's home, as far as this needs it."""

    def sealed_fact(self, name: str) -> Any: ...
    def change_sealed_fact(self, name: str, change: Callable[[Any], Any]) -> Any: ...


class SharedFact:
    """JSON-able but for `Secret`, which is sealed wherever it is kept. Thread-safe."""

    def __init__(self, name: str, local: LocalAgent, cluster: ClusterFacts, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._copy = name, f"{name}_copy"
        self._local = local
        self._cluster = cluster
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Any = None
        self._read_at: float | None = None

    def read(self, *, fresh: bool = False) -> Any:
        """None: nothing was ever written. ``fresh``: as the cluster's home has it now, while that answers."""
        with self._lock:
            if self._local.identity() is not Identity.CLUSTER_AGENT:
                self._read_at = None
                return self._local.value(self._name)
            if not fresh and self._read_at is not None and self._clock() - self._read_at < FRESH_SECONDS:
                return self._known
            try:
                kept = self._cluster.sealed_fact(self._name)
            except OboeError:
                return self._take(self._local.value(self._copy))
            if self._local.value(self._copy) != kept:
                self._local.remember(**{self._copy: kept})
            return self._take(kept)

    def change(self, change: Callable[[Any], Any]) -> Any:
        """Replace it by what ``change`` makes of it, with nobody in between; what it is then."""
        with self._lock:
            if self._local.identity() is Identity.CLUSTER_AGENT:
                kept = self._cluster.change_sealed_fact(self._name, change)
                self._local.remember(**{self._copy: kept})
                return self._take(kept)
            kept = change(self._local.value(self._name))
            self._local.remember(**{self._name: kept})
            self._read_at = None
            return kept

    def _take(self, kept: Any) -> Any:
        self._known, self._read_at = kept, self._clock()
        return kept
