"""Searching for dags in every home of the cluster: headers first, whole dags only of those that are shown.

Every home answers with the first that fit and with how many there are; what is merged is never longer than what was asked for. Agents that
do not answer in time, and a cluster home that cannot be read, are left out of a search, and named: the people on call rather see the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from oboe.control.reading import ASK_SECONDS, Reading, Views
from oboe.control.views import DagView
from oboe.domain.errors import OboeError, Refused
from oboe.domain.records import Header
from oboe.domain.searching import Order, Search
from oboe.domain.values import Address, State
from oboe.engine.ports import DagStore
from oboe.membership.local import LocalAgent

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Findings", "Found", "Headers", "Listing", "ManyDags", "SearchDags", "Wanted"]


class SearchDags(msgspec.Struct):
    """``dag.search``: in the answerer's own home."""

    search: Search


class Headers(msgspec.Struct):
    """The first that fit, and how many there are of each state."""

    headers: list[Header]
    counts: list[tuple[State, int]]


class ManyDags(msgspec.Struct):
    """``dag.many``: these dags of the answerer's own home, without logs."""

    numbers: list[int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for in the homes of agents and in the cluster's; None: nothing there. Order and limit are the same in both."""

    agents: Search | None
    cluster: Search | None
    of: Callable[[Address], bool] = lambda agent: True
    """Which agents."""


@dataclass(frozen=True, slots=True)
class Found:
    """A header and the home that it is of; ``agent`` None: the cluster's."""

    agent: Address | None
    header: Header


@dataclass(frozen=True, slots=True)
class Findings:
    """The first that fit, in order; how many there are of each state; who could not be asked (None: the cluster's home)."""

    found: Sequence[Found]
    counts: Mapping[State, int]
    stale_seconds: float = 0.0
    missing: tuple[Address | None, ...] = ()


class Listing:
    """Lists of dags of all homes."""

    def __init__(self, local: LocalAgent, own: DagStore, reading: Reading, peers: Callable[[], Peers]) -> None:
        self._local = local
        self._own = own
        self._reading = reading
        self._peers = peers

    def search(self, wanted: Wanted, rank: Callable[[Found], int]) -> Findings:
        """``rank`` orders what is equal in the order that is asked for."""
        search = wanted.agents or wanted.cluster
        if search is None:
            return Findings((), {})
        answers: dict[Address | None, Headers] = {}
        missing: list[Address | None] = []
        stale = 0.0
        if wanted.agents is not None:
            self._of_agents(wanted.agents, wanted.of, answers, missing)
        if wanted.cluster is not None:
            of_cluster = wanted.cluster
            try:
                answers[None], stale = self._reading.read_cluster(lambda home: _headers(home, of_cluster))
            except Refused as refusal:
                missing += [None] if refusal.code != "cluster.none" else []
            except OboeError:
                missing.append(None)
        return Findings(_merged(answers, search, rank), _sum(answers), stale, tuple(missing))

    def views(self, found: Sequence[Found]) -> list[DagView]:
        """The dags of these headers, in their order; what is gone since is left out."""
        by_home: dict[Address | None, list[int]] = {}
        for each in found:
            by_home.setdefault(each.agent, []).append(each.header.id)
        known = {(agent, view.dag.id): view for agent, numbers in by_home.items() for view in self._many(agent, numbers)}
        return [known[each.agent, each.header.id] for each in found if (each.agent, each.header.id) in known]

    # For other agents

    def own(self, request: SearchDags) -> Headers:
        return _headers(self._own, request.search)

    def own_many(self, request: ManyDags) -> Views:
        return Views([DagView(dag, None) for dag in self._own.many(request.numbers)])

    # Inside

    def _of_agents(
        self, search: Search, of: Callable[[Address], bool], answers: dict[Address | None, Headers], missing: list[Address | None]
    ) -> None:
        if of(self._local.address):
            answers[self._local.address] = _headers(self._own, search)
        others = [agent for agent in self._local.others() if of(agent)]
        found = self._peers().call_all(others, "dag.search", SearchDags(search), Headers, timeout=ASK_SECONDS) if others else {}
        for agent in others:
            answer = found.get(agent)
            if isinstance(answer, Headers):
                answers[agent] = answer
            else:
                missing.append(agent)

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


def _headers(home: DagStore, search: Search) -> Headers:
    return Headers(home.search(search), sorted(home.count(search).items()))


def _merged(answers: Mapping[Address | None, Headers], search: Search, rank: Callable[[Found], int]) -> list[Found]:
    value: Callable[[Header], Any] = _VALUES[search.order]
    parts = [[Found(agent, header) for header in answer.headers] for agent, answer in answers.items()]
    merged = heapq.merge(*parts, key=lambda each: (value(each.header), rank(each)), reverse=search.descending)
    return [each for each, _ in zip(merged, range(search.limit), strict=False)]


_VALUES: Mapping[Order, Callable[[Header], Any]] = {
    Order.CREATED: lambda header: header.created_at,
    Order.ID: lambda header: 0,
    Order.NAME: lambda header: header.name,
    Order.ENDED: lambda header: header.ended_at,
}
"""By id it is the rank alone: numbers of homes do not compare."""


def _sum(answers: Mapping[Address | None, Headers]) -> Mapping[State, int]:
    counts: dict[State, int] = {}
    for answer in answers.values():
        for state, number in answer.counts:
            counts[state] = counts.get(state, 0) + number
    return counts
