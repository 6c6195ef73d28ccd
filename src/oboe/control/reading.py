"""Reading tasks: any dag of any home, from any agent.

A dag of this agent's own home comes from its engine or store; a cluster's from the cluster home, or while there is no primary from the
copies this agent keeps; another agent's from that agent, if it is a member or a live dag names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from oboe.control.copied import Copier, Copies
from oboe.control.gathering import Gathered
from oboe.control.recent import Recent
from oboe.control.shared import SharedReads
from oboe.control.views import DagView, Ref
from oboe.domain import fold
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.holds import held_back
from oboe.domain.model import Dag
from oboe.domain.records import Edition
from oboe.domain.values import Address, HomeKind, Identity, MaintenanceKind
from oboe.engine.ports import DagStore, Page
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["FIND", "FindDag", "ListDags", "Reading", "Views"]

T = TypeVar("T")

ASK_SECONDS = 2.0
"""How long another agent may take to answer a read; one that hangs is left out after that."""

GATHER_SECONDS = 1.3
"""How long all others together may take where they are only part of an answer, which is due within 2 s."""

JOINING_SECONDS = 2.0
"""How long an agent may take from the answer to its join until the MASTER knows it and it listens."""

_NEEDS_CLUSTER = (Identity.CLUSTER_AGENT, Identity.SCALING_IN)


FIND = "dag.find"
"""The one verb that agents may ask who were let go: clients wait at them for the dag that did it."""


class FindDag(msgspec.Struct):
    """`FIND`: a dag, node or sub-task. ``home`` is the number of `HomeKind`; an agent home is the answerer's own."""

    kind: str
    home: int
    number: int
    details: bool


class ListDags(msgspec.Struct):
    """``dag.list``: the answerer's own ``unfinished`` dags, or its ``newest`` maintenance dag (none or one)."""

    which: str
    details: bool


class Views(msgspec.Struct):
    """An answer of dags."""

    views: list[DagView]


class Reading:
    """Every read of every face goes through here."""

    def __init__(self, local: LocalAgent, own: DagStore, link: ClusterLink, peers: Callable[[], Peers], copies: Copies) -> None:
        self._local = local
        self._own = own
        self._link = link
        self._peers = peers
        self._copier = Copier(copies)
        self._recent = Recent()
        self._editions: SharedReads[Edition | None] = SharedReads()

    # One

    def dag(self, ref: Ref, *, details: bool = True, asked_at: float | None = None) -> DagView:
        """``asked_at``: the monotonic second in which the request came: what was read for others since then will do."""
        if ref.home is HomeKind.CLUSTER:
            return self._cluster_dag(ref, details, asked_at)
        if ref.agent == self._local.address:
            return self.own_dag(ref.kind, ref.number, details)
        assert ref.agent is not None
        return self._asked_of(ref.agent, FindDag(ref.kind, int(HomeKind.AGENT), ref.number, details))

    def _asked_of(self, agent: Address, request: FindDag) -> DagView:
        """From another agent. Clients ask the MASTER for the dag of an agent that was just told to join: a moment before it is known,
        and listens."""
        deadline = time.monotonic() + (JOINING_SECONDS if self._local.identity() is Identity.MASTER else 0.0)
        known = False
        while True:
            try:
                self.check_owner(agent)
                known = True
                return self._peers().call(agent, FIND, request, DagView, timeout=ASK_SECONDS)
            except (Refused, Unreachable) as error:
                if time.monotonic() >= deadline or (known and isinstance(error, Refused)):
                    raise
            time.sleep(0.02)

    def own_dag(self, kind: str, number: int, details: bool) -> DagView:
        return self._view(self._own, self._find(self._own, kind, number), details, alone=kind == "sub_task")

    def cluster_dag(self, kind: str, number: int, details: bool, asked_at: float | None = None) -> DagView:
        def view(home: DagStore, edition: Edition | None) -> list[DagView]:
            def found() -> DagView:
                return self._view(home, self._find(home, kind, number), details, alone=kind == "sub_task")

            return [found() if edition is None else self._recent.view(edition, details, found)]

        if kind != "dag":
            return self._of_cluster(lambda home: view(home, None))[0]
        return self._of_edition(number, asked_at, view)

    def foresee_cluster_dag(self, number: int | None, asked_at: float) -> None:
        """Read its edition, of the newest maintenance if None, for somebody who asked then and will meet himself what goes wrong."""
        with suppress(OboeError):
            self._editions.read(number, asked_at, lambda: _edition(self.cluster_home(), number))

    def since(self, home: HomeKind, number: int, line: int) -> DagView:
        """A dag of this agent's own home or of the cluster's, with the lines whose number is greater than ``line`` only."""

        def read(store: DagStore) -> DagView:
            dag, index = self._find(store, "dag", number)
            return replace(self._view(store, (dag, index), details=False), logs=tuple(store.logs(dag, after=line)))

        if home is HomeKind.AGENT:
            return read(self._own)
        view, behind = self.read_cluster(read)
        return replace(view, stale_seconds=behind) if behind else view

    # Lists

    def cluster_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        return self._of_cluster(lambda home: [self._view(home, (dag, 0), details) for dag in home.page(page)])

    def agent_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        return [self._view(self._own, (dag, 0), details) for dag in self._own.page(page)]

    def newest_cluster_maintenance(self, *, details: bool, asked_at: float | None = None) -> DagView:
        """``asked_at`` as in `dag`."""

        def view(home: DagStore, edition: Edition | None) -> list[DagView]:
            if edition is None:
                raise Refused("task.no_cluster_maintenance", "the cluster is not under maintenance")

            def found() -> DagView:
                return self._view(home, self._find(home, "dag", edition.dag_id), details)

            return [self._recent.view(edition, details, found)]

        return self._of_edition(None, asked_at, view)

    def newest_agent_maintenance(self, *, details: bool) -> DagView:
        newest = self._own.newest_maintenance()
        if newest is None:
            raise Refused("task.no_agent_maintenance", "the agent is not under maintenance")
        return self._view(self._own, (newest, 0), details)

    def newest_agents_maintenance(self, *, details: bool) -> Gathered:
        newest = self._own.newest_maintenance()
        own = [] if newest is None else [self._view(self._own, (newest, 0), details)]
        others = self._from_others(ListDags("newest", details))
        return Gathered([*own, *others], others.missing)

    def unfinished(self, *, details: bool) -> Gathered:
        identity = self._local.identity()
        if identity in (Identity.SCALING_OUT, Identity.SCALING_IN, Identity.UNIDENTIFIED):
            raise Refused("agent.identity_unknown", f"an agent that is {identity.name.replace('_', ' ')} has no list of unfinished tasks")
        own = self.unfinished_agent(details=details)
        if identity is not Identity.CLUSTER_AGENT:
            master = self._local.master() if identity is Identity.FOLLOWER else None  # its list it is, and it did not answer
            return Gathered(own, [] if master is None else [master.address])
        others = self._from_others(ListDags("unfinished", details))
        try:
            cluster = self.unfinished_cluster(details=details)
        except OboeError:
            cluster = []
        local = sorted([*own, *others], key=lambda view: self._place(view.dag.home.agent))
        return Gathered([*local, *cluster], others.missing)

    def _place(self, agent: Address | None) -> int:
        """Of an agent among the members: the original lists them in this order, the one that is asked in its turn."""
        return next((at for at, member in enumerate(self._local.members()) if member.address == agent), -1)

    def unfinished_cluster(self, *, details: bool) -> Sequence[DagView]:
        return self._of_cluster(lambda home: [self._view(home, (dag, 0), details) for dag in home.unsettled() if _unfinished(dag)])

    def unfinished_agent(self, *, details: bool) -> Sequence[DagView]:
        return [self._view(self._own, (dag, 0), details) for dag in self._own.unsettled() if _unfinished(dag)]

    def main_dags(self, *, details: bool) -> Gathered:
        """The dags that lead those which still hold agents."""
        found: dict[str, DagView] = {}
        led = self.newest_agents_maintenance(details=False)
        for view in led:
            leader = view.dag.leader
            if leader is None or fold.settled(view.dag) or leader.dag_key in found or leader.agent in led.missing:
                continue  # nobody is waited for twice
            main = self._by_key(leader.home, leader.agent, leader.dag_key, details)
            if main is not None:
                found[leader.dag_key] = main
        return Gathered(found.values(), led.missing)

    # For other agents

    def found_for(self, caller: Address, request: FindDag) -> DagView:
        """What `FindDag` asks for. Who was let go is shown only what this agent did with it. `Refused` ``task.not_found``."""
        if HomeKind(request.home) is HomeKind.AGENT:
            view = self.own_dag(request.kind, request.number, request.details)
            if self._local.answers(caller) or _names(view.dag, caller):
                return view
        elif self._local.answers(caller):
            return self.cluster_dag(request.kind, request.number, request.details)
        raise Refused("task.not_found", f"{caller} is no member of this cluster")

    def listed(self, which: str, details: bool) -> Sequence[DagView]:
        """What `ListDags` asks for."""
        if which == "unfinished":
            return self.unfinished_agent(details=details)
        newest = self._own.newest_maintenance()
        return [] if newest is None else [self._view(self._own, (newest, 0), details)]

    def by_key(self, key: str, details: bool) -> DagView | None:
        """A dag of this agent's own home by its key."""
        dag = self._own.load(key)
        return None if dag is None else self._view(self._own, (dag, 0), details)

    # Inside

    def cluster_home(self) -> DagStore:
        """`Refused` ``cluster.none`` on an agent that belongs to no running cluster."""
        if self._local.identity() not in _NEEDS_CLUSTER:
            identity = self._local.identity().name.replace("_", " ")
            raise Refused("cluster.none", f"{self._local.address} is {identity} and belongs to no running cluster")
        return self._link.home()

    def _of_edition(
        self,
        number: int | None,
        asked_at: float | None,
        view: Callable[[DagStore, Edition | None], list[DagView]],
    ) -> DagView:
        """The dag of an edition that the primary names after ``asked_at``; at a replica, or in a copy, it is read anew."""

        def read(home: DagStore) -> list[DagView]:
            return view(home, _edition(home, number))

        def shared(home: DagStore) -> list[DagView]:
            since = time.monotonic() if asked_at is None else asked_at
            return view(home, self._editions.read(number, since, lambda: _edition(home, number)))

        return self._of_cluster(read, at_primary=shared)[0]

    def _of_cluster(
        self, read: Callable[[DagStore], list[DagView]], at_primary: Callable[[DagStore], list[DagView]] | None = None
    ) -> list[DagView]:
        views, behind = self.read_cluster(read, at_primary)
        if not behind:
            self._copier.keep(views)
        return [replace(view, stale_seconds=behind) for view in views] if behind else views

    def read_cluster(self, read: Callable[[DagStore], T], at_primary: Callable[[DagStore], T] | None = None) -> tuple[T, float]:
        """Read the cluster's home at the primary; while there is none, this host's own replica of it, else what this agent last read.

        ``at_primary`` is how to read there, where that differs.
        With it, how old that may be: 0, or seconds. `Refused` ``cluster.none``; ``cluster.no_database`` when nothing can be read."""
        home = self.cluster_home()
        try:
            return (at_primary or read)(home), 0.0
        except (Unreachable, TryAgain) as error:
            trouble = error
        try:
            with self._link.replica() as (replica, behind):
                return read(replica), max(behind, 0.1)
        except Refused as refusal:
            if refusal.code.startswith("task."):
                raise
        except OboeError:
            pass
        copied = self._copier.home()
        if copied is not None:
            try:
                return read(cast(DagStore, copied)), copied.stale_seconds
            except TryAgain:
                pass
        raise Refused("cluster.no_database", f"the cluster's home cannot be read: {trouble}", hint=trouble.hint) from trouble

    def _cluster_dag(self, ref: Ref, details: bool, asked_at: float | None) -> DagView:
        if self._local.identity() in _NEEDS_CLUSTER:
            return self.cluster_dag(ref.kind, ref.number, details, asked_at)
        leader = self._local.value("answers_to", "")
        if leader and self._local.identity() is Identity.SCALING_OUT:
            request = FindDag(ref.kind, int(HomeKind.CLUSTER), ref.number, details)
            return self._peers().call(Address.parse(leader), FIND, request, DagView, timeout=ASK_SECONDS)
        raise Refused("cluster.none", f"{self._local.address} belongs to no running cluster")

    def check_owner(self, agent: Address) -> None:
        """Only members, and agents that a live dag names, are asked: an id is no way to reach strangers."""
        if self._local.member(agent) is not None:
            return
        if self._local.identity() in _NEEDS_CLUSTER:
            try:
                for dag in self._link.home().unsettled():
                    if _names(dag, agent):
                        self._note_port(agent, dag)
                        return
                if any(member.address == agent for member in self._link.members()):
                    return
            except (Unreachable, TryAgain):
                pass
        if self._local.value("answers_to", "") == str(agent):
            return
        raise Refused("task.not_found", f"{agent} is no member of this cluster")

    def _note_port(self, agent: Address, dag: Dag) -> None:
        """A scale-out knows where the agent that it adds listens, which no list of members says yet."""
        port = dag.params.get("target", {}).get("rpc_port")
        if port and self._local.rpc_port_of(agent) != port:
            self._local.note_port(agent, int(port))

    def _by_key(self, home: HomeKind, agent: Address, key: str, details: bool) -> DagView | None:
        try:
            if home is HomeKind.CLUSTER:
                store = self.cluster_home()
                dag = store.load(key)
                return None if dag is None else self._view(store, (dag, 0), details)
            if agent == self._local.address:
                return self.by_key(key, details)
            views = self._peers().call(agent, "dag.by_key", ListDags(key, details), Views, timeout=ASK_SECONDS).views
        except OboeError:
            return None
        return views[0] if views else None

    def _from_others(self, request: ListDags) -> Gathered:
        others = self._local.others()
        if not others:
            return Gathered()
        answers = self._peers().call_all(others, "dag.list", request, Views, timeout=GATHER_SECONDS)
        found = {agent: answers.get(agent) for agent in others}
        views = [view for answer in found.values() if isinstance(answer, Views) for view in answer.views]
        return Gathered(views, [agent for agent, answer in found.items() if not isinstance(answer, Views)])

    @staticmethod
    def _find(home: DagStore, kind: str, number: int) -> tuple[Dag, int]:
        found = home.find(kind, number) if number > 0 else None  # type: ignore[arg-type]
        if found is None:
            raise Refused("task.not_found", f"no {kind.replace('_', '-')} has this id")
        return found

    @staticmethod
    def _view(home: DagStore, found: tuple[Dag, int], details: bool, *, alone: bool = False) -> DagView:
        """With its log records if ``details``; ``alone``: those of the sub-task that was asked for are enough."""
        dag, index = found
        waits = dag.not_before and dag.maintenance.kind is not MaintenanceKind.NONE and held_back(dag)
        logs = tuple(home.logs(dag, [index] if alone else None)) if details else None
        return DagView(dag, logs, index, start_waits_for=home.lock_in_the_way(dag) if waits else "")


def _edition(home: DagStore, number: int | None) -> Edition | None:
    """Of that dag; None: of the newest maintenance."""
    return home.newest_maintenance_edition() if number is None else home.edition(number)


def _unfinished(dag: Dag) -> bool:
    """OBShell's flag: a FAILED dag without maintenance is finished (`obshell-wire.md` §2.4.8)."""
    if dag.maintenance.kind is not MaintenanceKind.NONE:
        return True
    return fold.dag_state(dag).name in ("READY", "RUNNING")


def _names(dag: Dag, agent: Address) -> bool:
    text = str(agent)
    if dag.params.get("agent") == text:
        return True
    return any(isinstance(one.result, dict) and one.result.get("agent") == text for one in dag.sub_tasks)
