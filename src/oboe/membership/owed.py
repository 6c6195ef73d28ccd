"""What this agent owes the cluster's tables: statuses of servers and zones that changed while the tables may have been away.

A status is noted before it is written, and forgotten once it is; so it survives this agent, and the last one noted wins.
"""

from __future__ import annotations

import logging
import threading

from oboe.domain.errors import OboeError
from oboe.domain.values import Identity
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent

__all__ = ["Owed"]

_FACT = "owed"

_log = logging.getLogger(__name__)


class Owed:
    """Thread-safe. `settle` is called whenever the tables are seen to answer."""

    def __init__(self, local: LocalAgent, link: ClusterLink) -> None:
        self._local = local
        self._link = link
        self._lock = threading.Lock()

    def server(self, status: str) -> None:
        """ACTIVE or INACTIVE: this agent's own server."""
        self._owe("server", status)

    def zone(self, zone: str, status: str) -> None:
        self._owe(f"zone {zone}", status)

    def settle(self) -> bool:
        """Write what is owed. False: the tables are away, or something is left."""
        with self._lock:
            owed = dict(self._local.value(_FACT, {}))
            if not owed or self._local.identity() is not Identity.CLUSTER_AGENT:
                return not owed
            try:
                for what, status in owed.items():
                    self._write(what, status)
            except OboeError as error:
                _log.info("the cluster's tables are told later of %s: %s", ", ".join(owed), error)
                return False
            self._local.forget(_FACT)
            return True

    def _owe(self, what: str, status: str) -> None:
        with self._lock:
            owed = dict(self._local.value(_FACT, {}))
            owed.pop(what, None)
            self._local.remember(owed=owed | {what: status})
        self.settle()

    def _write(self, what: str, status: str) -> None:
        kind, _, zone = what.partition(" ")
        if kind == "zone":
            if self._link.has_zone(zone):
                self._link.set_zone(zone, status)
            return
        own = next((row for row in self._link.servers() if row.agent == self._local.address), None)
        if own is not None and own.status in ("ACTIVE", "INACTIVE"):
            self._link.set_server(own.ip, own.rpc_port, status)
