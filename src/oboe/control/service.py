"""The use cases, put together: `Oboe` is what every face calls."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oboe.control.changing import Change
from oboe.control.gathering import Gathered
from oboe.control.hosts import Hosts
from oboe.control.listing import Findings, Found, Listing, Wanted
from oboe.control.looking import Looking
from oboe.control.operating import Operating
from oboe.control.operations import Operations
from oboe.control.playbooks import Playbooks
from oboe.control.port import Caller, ForwardedAnswer, ForwardedRequest, Keys, Life
from oboe.control.reading import GATHER_SECONDS, Reading
from oboe.control.repeating import Repeating
from oboe.control.users import Users
from oboe.control.views import AgentView, ClusterView, DagView, Landmarks, Preview, Ref, Seen, ServerView, StatusView, WaitView
from oboe.control.waits import Waits
from oboe.database.port import DatabaseState, Driver
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.engine.ports import DagStore, Page
from oboe.kit.secret import Secret
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import Member
from oboe.membership.own_database import own_database
from oboe.membership.verbs import AskStatus

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Oboe"]

RUNNING = 2
"""OBShell's service state of an agent that answers."""

STATUS_PROBE_SECONDS = 1.0
"""How long one database may take to be looked at where all agents are asked."""

_READY_SECONDS = 1.0


class Oboe:
    """Implements `oboe.control.port.Control`."""

    def __init__(
        self,
        *,
        keys: Keys,
        local: LocalAgent,
        driver: Driver,
        link: ClusterLink,
        own: DagStore,
        peers: Callable[[], Peers],
        reading: Reading,
        operating: Operating,
        operations: Operations,
        waits: Waits,
        looking: Looking,
        listing: Listing,
        users: Users,
        repeating: Repeating,
        life: Life,
        hosts: Hosts,
        troubles: Callable[[], Sequence[str]],
        running: Callable[[], int],
        playbooks: Playbooks,
    ) -> None:
        self.keys = keys
        self._local = local
        self._driver = driver
        self._link = link
        self._own = own
        self._peers = peers
        self._reading = reading
        self._operating = operating
        self._operations = operations
        self._waits = waits
        self._looking = looking
        self._listing = listing
        self.users = users
        self.repeating = repeating
        self.life = life
        self.hosts = hosts
        self._troubles = troubles
        self._running = running
        self.playbooks = playbooks
        self._started_at = time.time_ns()

    # This agent

    def agent(self) -> AgentView:
        local = self._local
        return AgentView(
            pid=local.pid,
            state=RUNNING,
            started_at=self._started_at,
            home_path=str(local.home),
            database_version=local.database_version,
            architecture=platform.machine(),
            address=local.address,
            zone=local.zone(),
            identity=local.identity(),
            version=local.version,
            secured=local.secret("agent_password") is not None,
        )

    def status(self, *, probe_timeout: float = 2.0) -> StatusView:
        instance = self._local.instance()
        state, sql_port = DatabaseState.ABSENT, 0
        if instance is not None:
            sql_port = instance.mysql_port
            state = own_database(self._local, self._driver, timeout=probe_timeout).state
        return StatusView(agent=self.agent(), database_state=int(state), sql_port=sql_port, under_maintenance=self._own.under_maintenance())

    def set_agent_password(self, password: Secret) -> None:
        self._local.remember(agent_password=password)

    def master_address(self) -> Address | None:
        master = self._local.master()
        return None if master is None else master.address

    def forward_to_master(self, request: ForwardedRequest, *, seconds: float) -> ForwardedAnswer:
        master = self.master_address()
        if master is None:
            raise Refused("forward.no_master", "this FOLLOWER knows no MASTER")
        try:
            return self._peers().call(master, "http.forward", request, ForwardedAnswer, timeout=seconds)
        except Unreachable as error:
            if error.code != "agent.unreachable":
                raise
            hint = "is it running? What a FOLLOWER is asked, its MASTER answers"
            raise Unreachable("forward.silent", f"the MASTER {error.message}", hint=hint) from error

    def ready(self) -> Mapping[str, Any]:
        waits = list(self._troubles())
        instance = self._local.instance()
        if instance is not None and self._local.identity() is Identity.CLUSTER_AGENT:
            seen = own_database(self._local, self._driver, timeout=_READY_SECONDS)
            if seen.state is not DatabaseState.AVAILABLE:
                waits.insert(0, f"this host's database: {seen.reason}")
        told = [str(one) for one in self.playbooks.unloaded()]
        return {"ready": not waits, "waits_for": waits, "running": self._running(), **({"playbooks": told} if told else {})}

    # Reading

    def dag(self, ref: Ref, *, details: bool = True, asked_at: float | None = None) -> DagView:
        return self._reading.dag(ref, details=details, asked_at=asked_at)

    def cluster_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        return self._reading.cluster_dags(page, details=details)

    def agent_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        return self._reading.agent_dags(page, details=details)

    def newest_cluster_maintenance(self, *, details: bool, asked_at: float | None = None) -> DagView:
        return self._reading.newest_cluster_maintenance(details=details, asked_at=asked_at)

    def foresee_cluster_dag(self, number: int | None, *, asked_at: float) -> None:
        self._reading.foresee_cluster_dag(number, asked_at)

    def newest_agent_maintenance(self, *, details: bool) -> DagView:
        return self._reading.newest_agent_maintenance(details=details)

    def newest_agents_maintenance(self, *, details: bool) -> Gathered:
        return self._reading.newest_agents_maintenance(details=details)

    def unfinished(self, *, details: bool) -> Gathered:
        return self._reading.unfinished(details=details)

    def unfinished_cluster(self, *, details: bool) -> Sequence[DagView]:
        return self._reading.unfinished_cluster(details=details)

    def unfinished_agent(self, *, details: bool) -> Sequence[DagView]:
        return self._reading.unfinished_agent(details=details)

    def waits(self, ref: Ref) -> Sequence[WaitView]:
        return self._waits.of(ref)

    def look(self, ref: Ref, seen: Seen, seconds: float) -> DagView:
        return self._looking.look(ref, seen, seconds)

    def main_dags(self, *, details: bool) -> Gathered:
        return self._reading.main_dags(details=details)

    def search(self, wanted: Wanted, rank: Callable[[Found], int]) -> Findings:
        return self._listing.search(wanted, rank)

    def found(self, headers: Sequence[Found]) -> Sequence[DagView]:
        return self._listing.views(headers)

    # Operating

    def operate(self, ref: Ref, operator: str, caller: Caller) -> None:
        self._operating.operate(ref, operator, caller)

    def preview_operator(self, ref: Ref, operator: str) -> Preview:
        return self._operating.preview(ref, operator)

    def change(self, ref: Ref, change: Change, caller: Caller) -> None:
        self._operating.change(ref, change, caller)

    def preview_change(self, ref: Ref, change: Change) -> Preview:
        return self._operating.preview_change(ref, change)

    # Operations

    def join(self, master: Address, zone: str, master_password: Secret, *, caller: Caller, dry_run: bool = False) -> Dag | Preview:
        return self._operations.join(master, zone, master_password, caller=caller, dry_run=dry_run)

    def remove(self, agent: Address, *, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        return self._operations.remove(agent, caller=caller, dry_run=dry_run)

    def configure_observer(
        self, settings: Mapping[str, str], scope: str, target: Sequence[str], *, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._operations.configure_observer(settings, scope, target, caller=caller, dry_run=dry_run)

    def configure_cluster(
        self, cluster_id: int, name: str, root_password: Secret, *, rs_list: str = "", caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._operations.configure_cluster(cluster_id, name, root_password, rs_list=rs_list, caller=caller, dry_run=dry_run)

    def init(
        self, *, create_proxyro_user: bool, proxyro_password: Secret, import_script: bool, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._operations.init(
            create_proxyro_user=create_proxyro_user,
            proxyro_password=proxyro_password,
            import_script=import_script,
            caller=caller,
            dry_run=dry_run,
        )

    def scale_out(
        self, agent: Address, zone: str, settings: Mapping[str, str], *, agent_password: Secret, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._operations.scale_out(agent, zone, settings, agent_password=agent_password, caller=caller, dry_run=dry_run)

    # The cluster

    def cluster(self) -> ClusterView:
        local = self._local
        if local.identity() is not Identity.CLUSTER_AGENT:
            return ClusterView(id=local.cluster_id(), name=local.cluster_name(), version="", members=self._members(), servers=())
        rows, members = self._link.roll()
        servers = tuple(
            ServerView(
                zone=row.zone,
                svr_ip=row.ip,
                svr_port=row.rpc_port,
                sql_port=row.sql_port,
                agent_port=row.agent.port,
                with_rootserver=row.with_rootserver,
                status=row.status,
                build_version=row.build_version,
            )
            for row in rows
        )
        return ClusterView(
            id=local.cluster_id(), name=local.cluster_name(), version=local.database_version, members=tuple(members), servers=servers
        )

    def landmarks(self) -> Landmarks:
        local = self._local
        numbers = {member.address: member.number for member in local.members() if member.number}
        numbers[local.address] = local.number()
        in_cluster = local.identity() in (Identity.CLUSTER_AGENT, Identity.SCALING_IN)
        return Landmarks(
            here=local.address,
            numbers=numbers,
            cluster_id=local.cluster_id() if in_cluster else 0,
            cluster_name=local.cluster_name(),
        )

    def members(self) -> Sequence[Member]:
        if self._local.identity() is Identity.CLUSTER_AGENT:
            try:
                return self._link.members()
            except OboeError:
                return self._local.members()
        return self._members()

    def statuses(self, *, probe_timeout: float = 2.0) -> Mapping[Address, StatusView | None]:
        """Every database is looked at for a second at most, so that an agent over one that hangs still answers in time."""
        request = AskStatus(min(probe_timeout, STATUS_PROBE_SECONDS))
        agents = [self._local.address, *(member.address for member in self.members() if member.address != self._local.address)]
        answers = self._peers().call_all(agents, "agent.status", request, StatusView, timeout=GATHER_SECONDS)
        return {agent: answer if isinstance(answer, StatusView) else None for agent, answer in answers.items()}

    def _members(self) -> tuple[Member, ...]:
        if self._local.identity() in (Identity.SINGLE, Identity.SCALING_OUT):
            return (self._local.as_member(),)
        return tuple(self._local.members())
