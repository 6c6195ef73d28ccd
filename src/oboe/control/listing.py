"""Searching for dags in every home of the cluster: headers first, whole dags only of those that are shown.

Agents that do not answer in time, and a cluster home that cannot be read, are left out of a search: the people on call rather see the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from oboe.control.reading import ASK_SECONDS, Reading, Views
from oboe.control.views import DagView
from oboe.domain.errors import OboeError
from oboe.domain.records import Header
from oboe.domain.values import Address, State
from oboe.engine.ports import DagStore
from oboe.membership.local import LocalAgent

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Found", "Headers", "Listing", "ManyDags", "Search"]


class Search(msgspec.Struct, frozen=True):
    """``dag.headers``: what a home can tell quickly. ``name`` is part of it, in any case; times are nanoseconds."""

    states: tuple[State, ...] = tuple(State)
    name: str = ""
    since: int = 0
    before: int = 1 << 62


class Headers(msgspec.Struct):
    """An answer of headers."""

    headers: list[Header]


class ManyDags(msgspec.Struct):
    """``dag.many``: these dags of the answerer's own home, without logs."""

    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Found:
    """A header and the home that it is of; ``agent`` None: the cluster's."""

    agent: Address | None
    header: Header


class Listing:
    """Lists of dags of all homes."""

    def __init__(self, local: LocalAgent, own: DagStore, reading: Reading, peers: Callable[[], Peers]) -> None:
        self._local = local
        self._own = own
        self._reading = reading
        self._peers = peers

    def search(self, wanted: Search) -> list[Found]:
        """Every dag that fits, in no order."""
        found = [Found(self._local.address, header) for header in self.own(wanted).headers]
        others = self._local.others()
        if others:
            answers = self._peers().call_all(others, "dag.headers", wanted, Headers, timeout=ASK_SECONDS)
            for agent, answer in answers.items():
                if isinstance(answer, Headers):
                    found += [Found(agent, header) for header in answer.headers]
        try:
            headers, _ = self._reading.read_cluster(lambda home: _headers(home, wanted))
            found += [Found(None, header) for header in headers]
        except OboeError:
            pass
        return found

    def views(self, found: Sequence[Found]) -> list[DagView]:
        """The dags of these headers, in their order; what is gone since is left out."""
        by_home: dict[Address | None, list[int]] = {}
        for each in found:
            by_home.setdefault(each.agent, []).append(each.header.id)
        known = {(agent, view.dag.id): view for agent, numbers in by_home.items() for view in self._many(agent, numbers)}
        return [known[each.agent, each.header.id] for each in found if (each.agent, each.header.id) in known]

    # For other agents

    def own(self, wanted: Search) -> Headers:
        return Headers(_headers(self._own, wanted))

    def own_many(self, request: ManyDags) -> Views:
        return Views([DagView(dag, None) for dag in self._own.many(request.numbers)])

    def _many(self, agent: Address | None, numbers: list[int]) -> Sequence[DagView]:
        try:
            if agent is None:
                dags, behind = self._reading.read_cluster(lambda home: home.many(numbers))
                return [DagView(dag, None, stale_seconds=behind) for dag in dags]
            if agent == self._local.address:
                return self.own_many(ManyDags(numbers)).views
            return self._peers().call(agent, "dag.many", ManyDags(numbers), Views, timeout=ASK_SECONDS).views
        except OboeError:
            return []


def _headers(home: DagStore, wanted: Search) -> list[Header]:
    part = wanted.name.casefold()
    found = home.headers(wanted.states, wanted.since, wanted.before)
    return [header for header in found if part in header.name.casefold()] if part else found
