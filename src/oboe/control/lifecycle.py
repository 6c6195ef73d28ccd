"""Life of a running cluster: scale in, delete zone, start, stop. What is checked before a dag is created, and which dag that is.

Start and stop are dags of the asked agent's home and read its own list of members, so they work while the cluster's store is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oboe.control.port import Caller
from oboe.control.starting import Starter
from oboe.control.views import Preview
from oboe.database.port import Driver
from oboe.domain.errors import Refused, TryAgain, Unreachable
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.membership.link import ClusterLink, ServerRow
from oboe.membership.local import LocalAgent
from oboe.membership.member import Member, member_row
from oboe.playbooks.agent.kill_observer import KillObserverParams
from oboe.playbooks.cluster.scale_in import ScaleInParams
from oboe.playbooks.departing import Departing

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Lifecycle"]


class Lifecycle:
    """The checks and the start of each operation. Each returns the dag just created, a preview, or None: there is nothing to do."""

    def __init__(self, local: LocalAgent, driver: Driver, link: ClusterLink, starter: Starter) -> None:
        self._local = local
        self._driver = driver
        self._link = link
        self._starter = starter

    # Leaving

    def scale_in(self, agent: Address, *, force_kill: bool, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        identity = self._local.identity()
        if agent == self._local.address:
            return self._leave(identity, caller, dry_run)
        self._require_cluster_agent()
        servers, members = self._link.servers(), self._link.members()
        found = departing_of(agent, servers, members)
        if found is None:
            return None
        self._refuse_primary(found, force=force_kill)
        notes = (f"{agent}: its database at {found.name} is removed, the agent becomes SINGLE",)
        return self._start("Cluster scale in", ScaleInParams(str(agent), found, force_kill), caller, dry_run, notes)

    def _leave(self, identity: Identity, caller: Caller, dry_run: bool) -> Dag | Preview | None:
        """Only by another member's hand; but one that was let go while it was away cleans up by itself."""
        if identity is Identity.SINGLE:
            return None
        own = self._local.address
        if identity in (Identity.CLUSTER_AGENT, Identity.SCALING_IN) and all(one.address != own for one in self._link.members()):
            notes = (f"the cluster let {own} go while it was away: its database is removed, the agent becomes SINGLE",)
            return self._start("Kill observer", KillObserverParams(), caller, dry_run, notes)
        raise Refused("server.is_self", f"{own} cannot remove itself", hint="ask another member of the cluster")

    def _refuse_primary(self, server: Departing, *, force: bool) -> None:
        try:
            primary = self._link.primary()
        except (Unreachable, TryAgain) as error:
            if force:
                raise Refused("cluster.no_quorum", f"without a primary nothing can be removed: {error.message}", hint=error.hint) from error
            raise
        if (primary.ip, primary.rpc_port) == (server.ip, server.rpc_port):
            raise Refused("server.is_primary", f"{server.name} is the primary", hint="switch over to a standby first")

    # Inside

    def _start(self, playbook: str, params: object, caller: Caller, dry_run: bool, notes: tuple[str, ...] = ()) -> Dag | Preview:
        if dry_run:
            return self._starter.preview(playbook, params, notes=notes)
        return self._starter.start(playbook, params, caller=caller)

    def _require_cluster_agent(self) -> None:
        identity = self._local.identity()
        if identity is not Identity.CLUSTER_AGENT:
            words = f"'{self._local.address}' is '{identity.name.replace('_', ' ')}', instead of 'CLUSTER AGENT'"
            raise Refused("agent.wrong_identity", f"{words}, does not support this operation")


def departing_of(agent: Address, servers: Sequence[ServerRow], members: Sequence[Member]) -> Departing | None:
    """What the cluster knows of that agent and its server; None: nothing."""
    row = next((one for one in servers if one.agent == agent), None)
    member = next((one for one in members if one.address == agent), None)
    if row is None and member is None:
        return None
    return Departing(
        agent=str(agent),
        member=member_row(member) if member else {},
        ip=row.ip if row else agent.ip,
        rpc_port=row.rpc_port if row else member.database_rpc_port if member else 0,
        sql_port=row.sql_port if row else member.mysql_port if member else 0,
        zone=row.zone if row else member.zone if member else "",
        build_version=row.build_version if row else "",
        listed=row is not None,
    )
