"""The use cases, as every face sees them. Faces call this and nothing below it.

Every method is synchronous, bounded in time and raises errors of `oboe.domain.errors`. ``Refused.code`` is one of the neutral codes
listed at each method; a dialect maps them to its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from oboe.control.changing import Change
from oboe.control.gathering import Gathered
from oboe.control.listing import Findings, Found, Wanted
from oboe.control.repeating import Repeating
from oboe.control.users import Users
from oboe.control.views import AgentView, ClusterView, DagView, Landmarks, Member, Preview, Ref, Seen, StatusView, WaitView
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.engine.ports import Page
from oboe.kit.secret import Secret

if TYPE_CHECKING:
    from oboe.control.hosts import Hosts
    from oboe.control.playbooks import Playbooks

__all__ = ["Caller", "Control", "ForwardedAnswer", "ForwardedRequest", "Keys", "Life"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: for the record of operators."""

    name: str = "obshell"
    source: str = ""


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """A decrypted request on its way to the MASTER (from a FOLLOWER). The header says which password it came with."""

    method: str
    target: str
    """Raw request target, as on the request line."""
    body: bytes = field(repr=False)
    header: str
    """``X-OCS-Header``, ``X-OCS-Agent-Header`` or empty."""
    password: Secret
    from_agent: Address
    language: str = ""
    trace_id: str = ""
    """The caller's own, if it sent one."""
    keys: bytes = field(default=b"", repr=False)
    """AES key ‖ IV, for the few answers that are encrypted."""
    local: bool = False
    """It came over the FOLLOWER's unix socket, from somebody who may do everything there: it needs no password."""


@dataclass(frozen=True, slots=True)
class ForwardedAnswer:
    status: int
    content_type: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()


class Keys(Protocol):
    """What authentication needs to know of this agent."""

    def identity(self) -> Identity: ...
    def private_key_pem(self) -> Secret: ...
    def public_key(self) -> str:
        """base64 of the PKCS#1 DER, as on OBShell's wire."""

    def root_password(self) -> Secret | None:
        """None: not known here."""

    def root_password_holds(self) -> bool:
        """False: the database was seen to refuse the one that is known here. It is asked now and then, not on the caller's time."""

    def agent_password(self) -> Secret | None: ...
    def try_root_password(self, password: Secret) -> bool:
        """Log in to the database with it; success makes it the known one. False when refused or when there is no database."""


class Life(Protocol):
    """What is done with a running cluster; each returns the dag just created, a preview when ``dry_run``, or None: nothing to do (204)."""

    def scale_in(self, agent: Address, *, force_kill: bool, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        """``server.is_self`` ``server.is_primary`` ``cluster.no_quorum`` ``agent.wrong_identity`` ``maintenance.held``; `Unreachable`."""

    def delete_zone(self, zone: str, *, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        """``zone.is_own`` ``zone.not_empty`` ``server.stopped_elsewhere``."""

    def rebuild(self, agent: Address, *, caller: Caller, dry_run: bool = False) -> Dag | Preview:
        """``agent.unknown`` ``server.is_primary`` ``agent.wrong_identity`` ``maintenance.held``; `Unreachable` ``cluster.no_primary``."""

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
        """``scope`` GLOBAL, ZONE or SERVER. ``force_pass``: earlier main dags, whatever they still hold is let go first. ``emergency``:
        asked by this host's administrator; an agent that is no working member starts its own database alone.

        ``scope.invalid`` ``scope.empty`` ``zone.unknown`` ``agent.unknown`` ``cluster.not_initialized`` ``agent.wrong_identity``."""

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
        """As `start`, and ``stop.mode_conflict`` ``stop.all`` ``stop.primary`` ``stop.force_required`` ``server.stopped_elsewhere``."""

    def stop_zone(
        self, zone: str, *, freeze: bool = False, force_pass: Sequence[Ref] = (), caller: Caller, dry_run: bool = False
    ) -> Dag | Preview: ...
    def check_zone_stop(self, zone: str) -> Any:
        """What `stop_zone` would refuse."""


class Control(Protocol):
    """The use cases."""

    keys: Keys
    users: Users
    """The accounts of the faces that have users."""
    repeating: Repeating
    """Requests that are carried out once."""
    playbooks: Playbooks
    """Every registered playbook by its name."""
    life: Life
    """What is done with a running cluster."""
    hosts: Hosts
    """The machines, and the agents on them."""

    # This agent
    def agent(self) -> AgentView: ...
    def status(self, *, probe_timeout: float = 2.0) -> StatusView: ...
    def set_agent_password(self, password: Secret) -> None: ...
    def master_address(self) -> Address | None:
        """Of a FOLLOWER; None: it knows none."""

    def forward_to_master(self, request: ForwardedRequest, *, seconds: float) -> ForwardedAnswer:
        """FOLLOWER only. `Refused` ``forward.no_master``; `Unreachable` ``forward.silent`` after so many seconds."""

    # Reading tasks
    def dag(self, ref: Ref, *, details: bool = True, asked_at: float | None = None) -> DagView:
        """Any dag, node or sub-task of any agent of the cluster, or of an agent named by a live dag.

        ``asked_at`` is the monotonic second in which the request came: a read for others that began later may answer it, too.

        `Refused` ``task.not_found``; ``agent.unknown`` for a home that is no member's; `Unreachable` for a dead owner;
        ``cluster.no_database`` when the cluster home cannot be read."""

    def cluster_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        """`Refused` ``cluster.none`` on an agent without a cluster."""

    def agent_dags(self, page: Page, *, details: bool) -> Sequence[DagView]: ...
    def newest_cluster_maintenance(self, *, details: bool, asked_at: float | None = None) -> DagView:
        """``asked_at`` as in `dag`. `Refused` ``task.no_cluster_maintenance``; ``cluster.none``; ``cluster.no_database``."""

    def foresee_cluster_dag(self, number: int | None, *, asked_at: float) -> None:
        """Read what `dag`, or with None `newest_cluster_maintenance`, with that ``asked_at`` will want; it waits for this read.

        What goes wrong here goes wrong there."""

    def newest_agent_maintenance(self, *, details: bool) -> DagView:
        """`Refused` ``task.no_agent_maintenance``."""

    def newest_agents_maintenance(self, *, details: bool) -> Gathered:
        """Own first, then every other agent's that answers within the bound; who does not is named."""

    def unfinished(self, *, details: bool) -> Gathered:
        """All agents' local ones, then the cluster's (CLUSTER AGENT); own local ones otherwise.
        `Refused` ``agent.identity_unknown`` for SCALING OUT, SCALING IN, UNIDENTIFIED."""

    def unfinished_cluster(self, *, details: bool) -> Sequence[DagView]: ...
    def unfinished_agent(self, *, details: bool) -> Sequence[DagView]: ...
    def waits(self, ref: Ref) -> Sequence[WaitView]:
        """What the running sub-tasks of a dag wait for, asked of the agents that run them; one that does not answer is left out."""

    def look(self, ref: Ref, seen: Seen, seconds: float) -> DagView:
        """A dag with its lines after ``seen.line``, once anything of it is new; after ``seconds`` (at most 5) as it stands.

        Refuses as `dag` does."""

    def main_dags(self, *, details: bool) -> Gathered: ...

    def search(self, wanted: Wanted, rank: Callable[[Found], int]) -> Findings:
        """Dags of every home that can be read now, as headers; ``rank`` orders what is equal in the order that is asked for."""

    def found(self, headers: Sequence[Found]) -> Sequence[DagView]:
        """The dags of these headers, in their order; what is gone since is left out."""

    # Operating tasks
    def operate(self, ref: Ref, operator: str, caller: Caller) -> None:
        """``RETRY``, ``ROLLBACK``, ``CANCEL``, ``PASS`` of a dag; ``PASS`` of a node (``ref.kind``).

        The state has changed when it returns. `Refused` ``retry.not_failed`` ``retry.not_allowed`` ``rollback.not_failed``
        ``rollback.not_allowed`` ``cancel.finished`` ``cancel.not_allowed`` ``pass.not_failed`` ``pass.not_allowed``
        ``node_pass.dag_not_failed`` ``node_pass.node_not_failed`` ``node_pass.not_allowed`` ``maintenance.held`` ``task.lost_race``."""

    def preview_operator(self, ref: Ref, operator: str) -> Preview: ...
    def change(self, ref: Ref, change: Change, caller: Caller) -> None:
        """Change what a dag waits for (`oboe.control.changing`); durable when it returns.

        `Refused` ``pause.*`` ``resume.*`` ``approve.*`` ``extend.*`` ``retries.*``, as `oboe.domain.guards` says."""

    def preview_change(self, ref: Ref, change: Change) -> Preview: ...

    # Membership and cluster operations; each returns the dag just created, or a preview when ``dry_run``
    def join(self, master: Address, zone: str, master_password: Secret, *, caller: Caller, dry_run: bool = False) -> Dag | Preview:
        """``agent.wrong_identity`` ``agent.version_differs`` ``agent.database_version_differs`` ``maintenance.held``; `Unreachable`."""

    def remove(self, agent: Address, *, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        """None: nothing to do (204)."""

    def configure_observer(
        self, settings: Mapping[str, str], scope: str, target: Sequence[str], *, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        """``scope`` GLOBAL, ZONE or SERVER. ``config.empty`` ``config.denied`` ``config.conflict`` ``config.below_floor``
        ``scope.invalid`` ``zone.unknown`` ``agent.unknown`` ``cluster.already_initialized`` ``agent.wrong_identity``."""

    def configure_cluster(
        self, cluster_id: int, name: str, root_password: Secret, *, rs_list: str = "", caller: Caller, dry_run: bool = False
    ) -> Dag | Preview: ...
    def init(
        self, *, create_proxyro_user: bool, proxyro_password: Secret, import_script: bool, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview: ...
    def scale_out(
        self, agent: Address, zone: str, settings: Mapping[str, str], *, agent_password: Secret, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        """``agent.already_member`` ``agent.not_single`` ``agent.version_higher`` ``agent.version_lower``
        ``agent.database_version_differs`` ``agent.wrong_identity`` ``maintenance.held`` and what `configure_observer` refuses."""

    # The cluster
    def cluster(self) -> ClusterView: ...
    def landmarks(self) -> Landmarks: ...
    def members(self) -> Sequence[Member]: ...
    def statuses(self, *, probe_timeout: float = 2.0) -> Mapping[Address, StatusView | None]:
        """Of every member; None: it did not answer within the bound."""

    def ready(self) -> Mapping[str, Any]:
        """``{"ready": bool, "waits_for": [text, …], "running": sub-tasks}`` for ``GET /oboe/v1/ready``;
        ``playbooks`` lists those that did not load, if any."""
