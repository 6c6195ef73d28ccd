"""Agents that were on their way into the cluster, died, and were given up: what they have not undone is remembered until they are back.

The undo of a step that finds such an agent gone notes it in the cluster's home, in the same breath in which it fails for a person to
decide. Once the dag that led it has settled, whoever maintains the cluster looks for the agent now and then: one that is back learns that
its own dag was given up, undoes it, and forgets the cluster.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from oboe.domain import fold
from oboe.domain.errors import OboeError, TryAgain
from oboe.domain.values import Address
from oboe.kit.run import ChildStatus
from oboe.membership.enlisting import Enlisting
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.verbs import AskDag, FollowDag, LedBy, LedDags
from oboe.remote.messages import Nothing

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["GivenUp", "give_up", "take_back"]

_FACT = "given_up"
_EVERY_SECONDS = 30.0
_ASK_SECONDS = 5.0
_UNDO_SECONDS = 70.0

_log = logging.getLogger(__name__)


def give_up(link: ClusterLink, agent: Address, *, rpc_port: int, dag_key: str) -> None:
    """Remember that this agent still has to undo what that dag led it to do."""
    entry = {"dag_key": dag_key, "rpc_port": rpc_port}
    link.change_sealed_fact(_FACT, lambda kept: {**(kept or {}), str(agent): entry})


def take_back(link: ClusterLink, agent: Address) -> None:
    """It is there after all, or has undone everything."""
    if str(agent) in (link.sealed_fact(_FACT) or {}):
        link.change_sealed_fact(_FACT, lambda kept: {name: entry for name, entry in (kept or {}).items() if name != str(agent)})


class GivenUp:
    """The maintainer's duty. `look` is called often, and seldom does something."""

    def __init__(self, local: LocalAgent, link: ClusterLink, enlisting: Enlisting, peers: Callable[[], Peers]) -> None:
        self._local = local
        self._link = link
        self._enlisting = enlisting
        self._peers = peers
        self._looked_at = 0.0
        self._looking = threading.Lock()

    def look(self) -> None:
        """Not on the caller's thread."""
        if time.monotonic() - self._looked_at > _EVERY_SECONDS and not self._looking.locked():
            self._looked_at = time.monotonic()
            threading.Thread(target=self._settle_quietly, name="given-up", daemon=True).start()

    def _settle_quietly(self) -> None:
        with self._looking:
            try:
                self.settle()
            except OboeError as error:
                _log.info("agents that were given up are looked for later: %s", error)

    def settle(self) -> None:
        """Have those that are back undo what they were led to do."""
        for name, entry in dict(self._link.sealed_fact(_FACT) or {}).items():
            dag = self._link.home().load(entry["dag_key"])
            if dag is not None and not fold.settled(dag):
                continue  # the dag that leads it still tries
            agent = Address.parse(name)
            try:
                self._clean(agent, entry)
            except OboeError as error:
                _log.info("%s was given up, and has not undone everything: %s", agent, error)
                continue
            take_back(self._link, agent)
            _log.info("%s was given up, came back, and is clean", agent)

    def _clean(self, agent: Address, entry: dict[str, Any]) -> None:
        if self._enlisting.info(agent).identity != "SINGLE":
            self._local.take_in(agent, int(entry["rpc_port"]))
            self._release(agent, entry["dag_key"])
        self._enlisting.dismiss(agent)

    def _release(self, agent: Address, dag_key: str) -> None:
        peers = self._peers()
        for child in peers.call(agent, "dag.led_by", LedBy(dag_key), LedDags, timeout=_ASK_SECONDS).children:
            peers.call(agent, "dag.ask", AskDag(child.dag_key, "RELEASE"), Nothing, timeout=_UNDO_SECONDS)
            status = peers.call(agent, "dag.follow", FollowDag(child.dag_key, 0, 1.0), ChildStatus, timeout=_ASK_SECONDS)
            if status.state != "SUCCEEDED":
                raise TryAgain("given_up.busy", f"dag {child.dag_id} of {agent} is being undone")
