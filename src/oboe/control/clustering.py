"""The agent as one of a running cluster: it tries for the lease, creates dags in the cluster's home, hears of new members."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from oboe.control.candidacy import Candidacy
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.model import Dag
from oboe.domain.records import Draft
from oboe.domain.values import Address, HomeKind, Identity
from oboe.engine.server import Engine
from oboe.membership.enlisting import Enlisting
from oboe.membership.given_up import GivenUp
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.marks import Marks, contradicts
from oboe.membership.owed import Owed
from oboe.membership.verbs import StoreMark, WakeDag
from oboe.remote.messages import Nothing

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Clustering"]

_ASK_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Clustering:
    """Follows the agent's identity: joins in while it is a CLUSTER AGENT with a way to the cluster's home, leaves when it is not."""

    def __init__(
        self,
        local: LocalAgent,
        link: ClusterLink,
        engine: Engine,
        peers: Peers,
        *,
        owed: Owed,
        enlisting: Enlisting,
        left: Callable[[], None] = lambda: None,
    ) -> None:
        self._local = local
        self._link = link
        self._engine = engine
        self._peers = peers
        self._owed = owed
        self._given_up = GivenUp(local, link, enlisting, lambda: peers)
        self._marks = Marks(local)
        self._left = left
        """Called when this agent is in no cluster any more."""
        self._lock = threading.Lock()
        self._joined = False

    def follow(self) -> None:
        """Called at start and after every change of what the agent is. Quick: nothing here waits for a database."""
        wanted = self._local.identity() is Identity.CLUSTER_AGENT and self._local.secret("store_password") is not None
        with self._lock:
            changed, self._joined = wanted is not self._joined, wanted
        if not changed:
            if wanted and self._engine.maintainer() is None:
                self._engine.nudge_lease()  # perhaps what has changed is what kept this agent from seeing it
            return
        if wanted:
            _log.info("taking part in the cluster")
            candidacy = Candidacy(self._link.lease(), self._link, self._owed, self._given_up, self._marks, lambda: self._peers)
            self._engine.watch_lease(candidacy, candidacy.home)
        else:
            _log.info("not taking part in a cluster any more")
            self._engine.leave_lease()
            self._engine.unserve_cluster()
            self._link.close()
            self._left()

    def stop(self) -> None:
        with self._lock:
            self._joined = False
        self._marks.write_down()

    def submit(self, draft: Draft) -> Dag:
        """Create a dag in its home and have it begun: an own one by the engine, a cluster's by whoever maintains it."""
        if draft.home.kind is HomeKind.AGENT or self._engine.serves_cluster():
            return self._engine.submit(draft)
        if self._marks.own().seat not in ("", self._link.seat()):
            raise TryAgain("cluster.primary_moved", "the cluster has another primary, and its maintainer has not taken it up yet")
        dag = self._link.home().create(draft)
        self._tell_maintainer(dag.key)
        return dag

    def begin(self, key: str) -> Nothing:
        """Another agent created a dag in the cluster home that this one serves."""
        self._engine.nudge(HomeKind.CLUSTER, key)
        return Nothing()

    def compare(self, seen: StoreMark) -> StoreMark:
        """How far another member has seen the store go, against how far this one has; the answer is this one's.

        If this one maintains it, and the store cannot have come here from there without a loss, it takes it up anew."""
        own = self._marks.own()
        if self._engine.serves_cluster() and contradicts(seen, own):
            self._engine.distrust(f"a member has seen it at {seen}, and it is at {own}", seen.epoch)
        return own

    def maintainer(self) -> Address | None:
        """Who maintains the cluster; asked of the cluster's home when this agent has not seen it yet. None also when that is away."""
        found = self._engine.maintainer()
        if found is not None or not self._joined:
            return None if found is None else found.agent
        try:
            row = self._link.lease().holder()
        except OboeError as error:
            _log.warning("the maintainer could not be looked up: %s", error)
            return None
        return row[0] if row is not None and row[2] > 0 else None

    def announce_members(self) -> None:
        """Have every other member read the list again. Who does not answer reads it when it comes back."""
        try:
            members = self._link.members()
        except OboeError as error:
            _log.warning("the members could not be read: %s", error)
            return
        self._local.replace_members(members)
        others = [member.address for member in members if member.address != self._local.address]
        if others:
            self._peers.call_all(others, "members.refresh", Nothing(), Nothing, timeout=_ASK_SECONDS)

    def troubles(self) -> list[str]:
        """What the cluster side waits for, for people."""
        if not self._joined or not self._link.trouble:
            return []
        return [f"the cluster's home: {self._link.trouble}"]

    def _tell_maintainer(self, key: str) -> None:
        """Losing this costs a wait: the maintainer reads its home again by itself."""
        agent = self.maintainer()
        if agent is None:
            self._engine.nudge_lease()
            return
        try:
            self._peers.call(agent, "cluster.begin", WakeDag(key), Nothing, timeout=_ASK_SECONDS)
        except (Unreachable, TryAgain, Refused) as error:
            _log.warning("the maintainer %s could not be told of dag %s: %s", agent, key, error)
