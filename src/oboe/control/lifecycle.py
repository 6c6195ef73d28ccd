"""Life of a running cluster: scale in, delete zone, rebuild a standby, start, stop. What is checked before a dag is
created, and which dag that is.

Start and stop are dags of the asked agent's home, and take its own list of members while the cluster's tables are away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from oboe.control.port import Caller
from oboe.control.reading import Reading
from oboe.control.starting import Starter
from oboe.control.views import Preview, Ref, StatusView
from oboe.database.port import DatabaseState, Driver
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import Member, member_row
from oboe.membership.own_database import own_database
from oboe.membership.primary import Primary
from oboe.membership.server_row import ServerRow
from oboe.membership.verbs import AskStatus
from oboe.playbooks.agent.kill_observer import KillObserverParams
from oboe.playbooks.agent.local_observer import LocalObserverParams
from oboe.playbooks.cluster.delete_zone import DeleteZoneParams
from oboe.playbooks.cluster.rebuild_standby import RebuildStandbyParams
from oboe.playbooks.cluster.scale_in import ScaleInParams
from oboe.playbooks.cluster.stop import StopParams
from oboe.playbooks.departing import Departing
from oboe.playbooks.gathering import GatheringParams

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Lifecycle", "targets_of"]

_LOOK_SECONDS = 1.0
_ANSWER_SECONDS = 2.0


class Lifecycle:
    """The checks and the start of each operation. Each returns the dag just created, a preview, or None: there is nothing to do."""

    def __init__(
        self, local: LocalAgent, driver: Driver, link: ClusterLink, starter: Starter, reading: Reading, peers: Callable[[], Peers]
    ) -> None:
        self._local = local
        self._driver = driver
        self._link = link
        self._starter = starter
        self._reading = reading
        self._peers = peers

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
        notes = (f"{agent}: its database at {found.endpoint} is removed, the agent becomes SINGLE",)
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
        if primary.endpoint == server.endpoint:
            raise Refused("server.is_primary", f"{server.endpoint} is the primary", hint="switch over to a standby first")

    def delete_zone(self, zone: str, *, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        self._require_cluster_agent()
        zones, servers, members = self._link.zones(), self._link.servers(), self._link.members()
        if zone not in zones:
            return None
        if zone == self._local.zone():
            raise Refused("zone.is_own", f"{self._local.address} is in zone {zone}", hint="ask an agent of another zone")
        agents = [row.agent for row in servers if row.zone == zone] + [one.address for one in members if one.zone == zone]
        going = [found for agent in dict.fromkeys(agents) if (found := departing_of(agent, servers, members))]
        primary = self._link.primary()
        if primary.endpoint in [one.endpoint for one in going]:
            raise Refused("zone.not_empty", f"the primary is in zone {zone}", hint="switch over to a standby of another zone first")
        stopped = [name for name, status in zones.items() if name != zone and status == "INACTIVE"]
        stopped += [row.zone for row in servers if row.zone != zone and row.status == "INACTIVE"]
        if stopped:
            raise Refused("server.stopped_elsewhere", f"zone {stopped[0]} is stopped, or a server in it", hint="start it first")
        notes = tuple(f"{one.agent}: its database at {one.endpoint} is removed, the agent becomes SINGLE" for one in going)
        return self._start("Delete zone", DeleteZoneParams(zone, going), caller, dry_run, notes)

    # What cannot go on

    def rebuild(self, agent: Address, *, caller: Caller, dry_run: bool = False) -> Dag | Preview:
        """Wipe that agent's standby and clone it anew. Without a primary nothing is wiped: what is left may be the only copy."""
        self._require_cluster_agent()
        server = next((row for row in self._link.servers() if row.agent == agent), None)
        if server is None:
            raise Refused("agent.unknown", f"the cluster has no server of {agent}")
        self._link.lost()
        primary = self._link.primary()
        if primary.endpoint == server.endpoint:
            hint = "switch over to a standby first"
            raise Refused("server.is_primary", f"{server.endpoint} is the primary: it is never wiped", hint=hint)
        notes = (
            f"{agent}: everything that its database at {server.endpoint} holds is removed",
            f"it is cloned anew from the primary at {primary.endpoint}",
        )
        return self._start("Rebuild standby", RebuildStandbyParams(str(agent)), caller, dry_run, notes)

    # Starting and stopping

    def start(
        self,
        scope: str,
        target: Sequence[str],
        *,
        force_pass: Sequence[Ref] = (),
        emergency: bool = False,
        caller: Caller,
        dry_run: bool = False,
    ) -> Dag | Preview:
        members, store_answers = self._members()
        targets = targets_of(members, scope, target)
        alone = emergency and self._alone(targets, store_answers)
        if self._local.instance() is None:
            if alone:
                raise _never_started(self._local.address)
            raise Refused("cluster.not_initialized", "this agent has no database yet", hint="POST /api/v1/ob/init, or scale it out")
        if alone:
            return self._start("Start local observer", LocalObserverParams(), caller, dry_run)
        self._require_cluster_agent()
        zones = _zones_of(members, targets) if scope.upper() != "SERVER" else []
        params = GatheringParams(_texts(members), _texts(targets), zones, self._keys_of(force_pass))
        return self._start("Start OB", params, caller, dry_run)

    def stop(
        self,
        scope: str,
        target: Sequence[str],
        *,
        force: bool = False,
        terminate: bool = False,
        force_pass: Sequence[Ref] = (),
        emergency: bool = False,
        caller: Caller,
        dry_run: bool = False,
    ) -> Dag | Preview:
        members, store_answers = self._members()
        targets = targets_of(members, scope, target)
        if emergency and force and not terminate and self._alone(targets, store_answers):
            if self._local.instance() is None:
                raise _never_started(self._local.address)
            return self._start("Stop local observer", LocalObserverParams(), caller, dry_run)
        self._require_cluster_agent()
        if force and terminate:
            raise Refused("stop.mode_conflict", "force and terminate exclude each other")
        plain, scope = not force and not terminate, scope.upper()
        if plain and len(targets) == len(members):
            raise Refused("stop.all", "stopping everything needs force or terminate")
        seen = own_database(self._local, self._driver, timeout=_LOOK_SECONDS)
        if seen.state is not DatabaseState.AVAILABLE and not (force and scope != "ZONE"):
            text = f"this agent's database is not available: {seen.reason}"
            raise Refused("stop.force_required", text, hint="stop by force, server by server; or ask an agent whose database is")
        if plain:
            self._refuse_outage(members, targets)
        params = StopParams(
            _texts(members),
            _texts(targets),
            _zones_of(members, targets) if plain and scope == "ZONE" else [],
            self._keys_of(force_pass),
            by_word=plain,
            graceful=plain,
            freeze=terminate,
        )
        return self._start("Stop OB", params, caller, dry_run)

    def stop_zone(
        self, zone: str, *, freeze: bool = False, force_pass: Sequence[Ref] = (), caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        """The zone's form: its row first, then its databases, gracefully."""
        members, targets = self.check_zone_stop(zone)
        params = StopParams(
            _texts(members), _texts(targets), [zone], self._keys_of(force_pass), graceful=True, freeze=freeze, zone_form=True
        )
        return self._start("Stop OB", params, caller, dry_run)

    def check_zone_stop(self, zone: str) -> tuple[list[Member], list[Member]]:
        """All members, and those of the zone, which may stop."""
        self._require_cluster_agent()
        members, _ = self._members()
        targets = targets_of(members, "ZONE", [zone])
        if len(targets) == len(members):
            raise Refused("stop.all", f"zone {zone} is the whole cluster: stopping it needs force or terminate")
        self._refuse_outage(members, targets)
        return members, targets

    def _refuse_outage(self, members: Sequence[Member], targets: Sequence[Member]) -> None:
        """A plain stop leaves the cluster serving: one zone at a time, and not the primary."""
        zones = _zones_of(members, targets)
        if len(zones) > 1:
            raise Refused("server.stopped_elsewhere", f"zones {', '.join(zones)} cannot be stopped together", hint="use force or terminate")
        primary = self._primary()
        if primary is not None and any(one.address == primary.agent for one in targets):
            hint = "switch over to a standby first, or use force or terminate"
            raise Refused("stop.primary", f"{primary.agent} has the primary: without it the cluster takes no writes", hint=hint)
        others = [one.address for one in members if one.zone not in zones]
        answers = self._peers().call_all(others, "agent.status", AskStatus(_LOOK_SECONDS), StatusView, timeout=_ANSWER_SECONDS)
        for agent, said in answers.items():
            if isinstance(said, StatusView) and said.database_state == DatabaseState.ABSENT:
                raise Refused("server.stopped_elsewhere", f"{agent} in another zone is stopped", hint="start it first, or use force")

    def _members(self) -> tuple[list[Member], bool]:
        """As the cluster's tables have them, while those are away as this agent last heard; and whether the tables answered."""
        if self._local.identity() is Identity.CLUSTER_AGENT:
            try:
                return self._link.members(), True
            except OboeError:
                pass
        return self._local.members() or [self._local.as_member()], False

    def _primary(self) -> Primary | None:
        try:
            return self._link.primary()
        except OboeError:
            return None

    def _alone(self, targets: Sequence[Member], store_answers: bool) -> bool:
        """Exactly this server, and no cluster that could do it: this agent is no working member, or the cluster's store is away."""
        return [one.address for one in targets] == [self._local.address] and not store_answers

    def _keys_of(self, refs: Sequence[Ref]) -> list[str]:
        return [self._reading.dag(ref, details=False).dag.key for ref in refs]

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


def targets_of(members: Sequence[Member], scope: str, target: Sequence[str]) -> list[Member]:
    """The members that a scope means. `Refused` ``scope.invalid``, ``scope.empty``, ``zone.unknown``, ``agent.unknown``."""
    kind, wanted = scope.upper(), list(dict.fromkeys(target))
    if kind not in ("GLOBAL", "ZONE", "SERVER"):
        raise Refused("scope.invalid", f"scope {scope!r} is none of GLOBAL, ZONE, SERVER")
    if kind == "GLOBAL":
        return list(members)
    if not wanted:
        raise Refused("scope.empty", f"scope {scope} names no target")
    known = {one.zone if kind == "ZONE" else str(one.address) for one in members}
    for name in wanted:
        if name not in known:
            code, what = ("zone.unknown", "zone") if kind == "ZONE" else ("agent.unknown", "server")
            raise Refused(code, f"there is no {what} {name}")
    return [one for one in members if (one.zone if kind == "ZONE" else str(one.address)) in wanted]


def _never_started(agent: Address) -> Refused:
    return Refused(
        "server.never_started", f"the agent {agent} has no database that could be started or stopped", hint="it belongs to no cluster yet"
    )


def _zones_of(members: Sequence[Member], targets: Sequence[Member]) -> list[str]:
    meant = {one.zone for one in targets}
    return list(dict.fromkeys(one.zone for one in members if one.zone in meant))


def _texts(members: Sequence[Member]) -> list[str]:
    return [str(one.address) for one in members]
