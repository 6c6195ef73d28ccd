"""Asks agents for their facts after the cluster's store went back, until each has named them and ended what the store has lost.

Two things wait for this: dags that were not settled, each for its own agents (they say so by `Recall`, for ever), and every maintenance
lock, for all members: what an orphan still does on a host must not meet a new operation. Both are given up after a while.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from oboe.domain.errors import TryAgain
from oboe.domain.messages import RecallAgent, Recollection
from oboe.domain.records import Regress
from oboe.domain.values import SECOND, Address
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from oboe.engine.ports import Courier

__all__ = ["Hearer", "Recaller"]

_log = logging.getLogger(__name__)


class Hearer(Protocol):
    """The scheduler, as far as a recall goes."""

    def recalled(self, agent: Address, recollection: Recollection) -> frozenset[str]:
        """Take up what the agent named, durably; the keys of dags that the home does not know."""

    def end_recall(self) -> None:
        """Grant maintenance locks again. `TryAgain`."""


class Recaller:
    """For one home in one epoch. Thread-safe."""

    def __init__(self, courier: Courier, limits: Limits, *, here: Address, epoch: int) -> None:
        self._courier = courier
        self._limits = limits
        self._here = here
        self._epoch = epoch
        self._lanes = Lanes("recall", limits)
        self._lock = threading.Lock()
        self._orphans: dict[Address, frozenset[str]] = {}
        self._awaited: set[Address] = set()
        """For the maintenance locks."""
        self._gate: threading.Timer | None = None
        self._closed = False
        self._hearer: Hearer | None = None

    def begin(self, hearer: Hearer, members: Iterable[Address], regress: Regress, now: int) -> None:
        """Serve; if maintenance locks wait for the agents (perhaps since an earlier maintainer's time), ask them all."""
        self._hearer = hearer
        if not regress.open_since:
            return
        left = self._limits.recall_seconds - (now - regress.open_since) / SECOND
        with self._lock:
            self._awaited = set(members)
            self._gate = threading.Timer(min(max(0.0, left), self._limits.recall_seconds), self._lose_patience)
            self._gate.daemon = True
        self._gate.start()
        for agent in tuple(self._awaited):
            self.ask(agent)

    def ask(self, agent: Address) -> None:
        """Until it has answered."""
        self._lanes.put(agent, "recall", lambda: self._recall(agent))

    def heard_of(self, agent: Address) -> None:
        """It answers again."""
        self._lanes.hurry(agent)

    def stop(self) -> None:
        self._closed = True
        if self._gate is not None:
            self._gate.cancel()
        self._lanes.stop()

    def _recall(self, agent: Address) -> None:
        assert self._hearer is not None
        orphans = self._orphans.get(agent, frozenset())
        request = RecallAgent(epoch=self._epoch, maintainer=self._here, orphans=tuple(sorted(orphans)))
        said = self._courier.recall(agent, request)
        unknown = self._hearer.recalled(agent, said)
        self._orphans[agent] = unknown
        if not unknown <= orphans or any(fact.running for key in unknown for fact in said.dags[key]):
            raise TryAgain("recall.orphans", f"{agent} has not yet ended what the store has lost")
        self._named(agent)

    def _named(self, agent: Address) -> None:
        with self._lock:
            if agent not in self._awaited:
                return
            self._awaited.discard(agent)
            over = not self._awaited
        if over:
            self._open_gate()

    def _lose_patience(self) -> None:
        with self._lock:
            silent, self._awaited = self._awaited, set()
        if silent:
            _log.warning("the store went back, and these agents are silent: %s", ", ".join(map(str, sorted(silent))))
            self._open_gate()

    def _open_gate(self) -> None:
        """Through a lane: a store that is away is tried again."""
        end: Callable[[], None] = self._hearer.end_recall  # type: ignore[union-attr]
        self._lanes.put("gate", "end", end)
