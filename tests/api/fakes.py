"""A `Control` of plain lists, holding real dags that a test has put into some state, and a live server around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from oboe.api.app import app
from oboe.api.serve import Serving, serve
from oboe.api.shared.bounds import Bounds
from oboe.api.shared.room import Room
from oboe.control.gathering import Gathered
from oboe.control.port import Caller, ForwardedAnswer, ForwardedRequest
from oboe.control.views import AgentView, ClusterView, DagView, Effect, Landmarks, Member, Preview, Ref, Seen, StatusView, WaitView
from oboe.domain.errors import Refused
from oboe.domain.model import Dag
from oboe.domain.records import LogRecord, Page
from oboe.domain.values import Address, HomeKind, Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["HERE", "PAIR", "FakeControl", "FakeKeys", "served"]

HERE = Address("127.0.0.1", 2886)
PAIR = secrecy.new_key_pair()
NO_CLUSTER = ClusterView(id=0, name="", version="", members=(), servers=())


@dataclass
class FakeKeys:
    who: Identity = Identity.CLUSTER_AGENT
    root: str | None = "pw1"
    agent: str | None = None
    database_accepts: str | None = None

    def identity(self) -> Identity:
        return self.who

    def private_key_pem(self) -> Secret:
        return PAIR.private_pem

    def public_key(self) -> str:
        return PAIR.public_key

    def root_password(self) -> Secret | None:
        return None if self.root is None else Secret(self.root)

    def agent_password(self) -> Secret | None:
        return None if self.agent is None else Secret(self.agent)

    def root_password_holds(self) -> bool:
        return True

    def try_root_password(self, password: Secret) -> bool:
        if self.database_accepts is None or password.reveal() != self.database_accepts:
            return False
        self.root = self.database_accepts
        return True


class FakeLife:
    """Whatever is asked of it is one of the control's operations."""

    def __init__(self, control: FakeControl) -> None:
        self._control = control

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def asked(*args: Any, caller: Caller | None = None, dry_run: bool = False, **named: Any) -> Any:
            if name in ("start", "stop") and args[0].upper() not in ("GLOBAL", "ZONE", "SERVER"):
                raise Refused("scope.invalid", f"{args[0]!r} is no scope")
            return self._control._make(name, *args, *named.values(), dry_run=dry_run)

        return asked


class FakePlaybooks:
    """None."""

    def all(self) -> Sequence[Any]:
        return []

    def one(self, name: str) -> Any:
        raise Refused("playbook.unknown", f"no playbook is named {name!r}")

    def start(self, name: str, params: Mapping[str, Any], **given: Any) -> Any:
        return self.one(name)


@dataclass
class FakeControl:
    """Reads answer from ``held``; operations call what the test put into ``makes``, by name; everything asked is in ``asked``."""

    keys: FakeKeys = field(default_factory=FakeKeys)
    playbooks: FakePlaybooks = field(default_factory=FakePlaybooks)
    here: Address = HERE
    home_path: str = "/data/a1"
    held: list[tuple[Dag, tuple[LogRecord, ...]]] = field(default_factory=list)
    makes: dict[str, Callable[..., Any]] = field(default_factory=dict)
    raises: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    shown: ClusterView = NO_CLUSTER
    database_state: int = 3
    missing: tuple[Address, ...] = ()
    """Members that do not answer."""
    changed: list[str] = field(default_factory=list)
    """What changed something, or was allowed to."""
    foreseen: list[int | None] = field(default_factory=list)
    repeating: Any = None
    master: Callable[[ForwardedRequest], ForwardedAnswer] | None = None

    # This agent

    def agent(self) -> AgentView:
        return AgentView(
            pid=77,
            state=2,
            started_at=1_700_000_000_123_456_789,
            home_path=self.home_path,
            database_version="1.4.0.0",
            architecture="x86_64",
            address=self.here,
            zone="zone1",
            identity=self.keys.who,
            version="0.1.0",
            secured=self.keys.agent is not None,
        )

    def landmarks(self) -> Landmarks:
        return Landmarks(here=self.here, numbers={self.here: 0}, cluster_id=0, cluster_name="")

    def status(self, *, probe_timeout: float = 2.0) -> StatusView:
        self._ask("status", probe_timeout)
        return StatusView(agent=self.agent(), database_state=self.database_state, sql_port=2881, under_maintenance=False)

    def statuses(self, *, probe_timeout: float = 2.0) -> Mapping[Address, StatusView | None]:
        return {self.here: self.status(probe_timeout=probe_timeout), **dict.fromkeys(self.missing)}

    def set_agent_password(self, password: Secret) -> None:
        self.changed.append("set_agent_password")
        self.keys.agent = password.reveal()

    def master_address(self) -> Address | None:
        return None

    def forward_to_master(self, request: ForwardedRequest, *, seconds: float) -> ForwardedAnswer:
        self._ask("forward", request)
        assert self.master is not None
        return self.master(request)

    def ready(self) -> Mapping[str, Any]:
        return {"ready": False, "waits_for": ["the database"]}

    # Reading

    def dag(self, ref: Ref, *, details: bool = True, asked_at: float | None = None) -> DagView:
        self._ask("dag", ref)
        for dag, logs in self.held:
            if dag.home.kind is not ref.home or dag.home.agent != ref.agent:
                continue
            base = {"dag": dag.id, "node": dag.node_base, "sub_task": dag.sub_task_base}[ref.kind]
            count = {"dag": 1, "node": len(dag.plan.nodes), "sub_task": dag.plan.size}[ref.kind]
            if base <= ref.number < base + count:
                return DagView(dag, logs if details else None, ref.number - base)
        raise Refused("task.not_found", f"no {ref.kind} has this id")

    def cluster_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        self._ask("cluster_dags", page)
        self._needs_cluster()
        return self._views(HomeKind.CLUSTER, details)[::-1]

    def agent_dags(self, page: Page, *, details: bool) -> Sequence[DagView]:
        self._ask("agent_dags", page)
        return self._views(HomeKind.AGENT, details)[::-1]

    def newest_cluster_maintenance(self, *, details: bool, asked_at: float | None = None) -> DagView:
        self._ask("newest_cluster_maintenance", details)
        self._needs_cluster()
        views = self._views(HomeKind.CLUSTER, details)
        if not views:
            raise Refused("task.no_cluster_maintenance", "the cluster is not under maintenance")
        return views[-1]

    def foresee_cluster_dag(self, number: int | None, *, asked_at: float) -> None:
        self.foreseen.append(number)

    def newest_agent_maintenance(self, *, details: bool) -> DagView:
        self._ask("newest_agent_maintenance", details)
        views = self._views(HomeKind.AGENT, details)
        if not views:
            raise Refused("task.no_agent_maintenance", "the agent is not under maintenance")
        return views[-1]

    def newest_agents_maintenance(self, *, details: bool) -> Gathered:
        return Gathered(self._views(HomeKind.AGENT, details, everybody=True), self.missing)

    def unfinished(self, *, details: bool) -> Gathered:
        self._ask("unfinished", details)
        return Gathered([*self._views(HomeKind.AGENT, details), *self._views(HomeKind.CLUSTER, details)], self.missing)

    def unfinished_cluster(self, *, details: bool) -> Sequence[DagView]:
        self._ask("unfinished_cluster", details)
        self._needs_cluster()
        return self._views(HomeKind.CLUSTER, details)

    def unfinished_agent(self, *, details: bool) -> Sequence[DagView]:
        self._ask("unfinished_agent", details)
        return self._views(HomeKind.AGENT, details)

    def main_dags(self, *, details: bool) -> Gathered:
        return Gathered((), self.missing)

    def look(self, ref: Ref, seen: Seen, seconds: float) -> DagView:
        """A dag that is gone when it is looked at again."""
        if seen.key:
            raise Refused("task.not_found", "it has been forgotten")
        return self.dag(ref)

    def waits(self, ref: Ref) -> Sequence[WaitView]:
        self.dag(ref, details=False)
        return [WaitView(sub_task=0, node="a node", agent=self.here, why="it is due", since=1, until=0, tries=1)]

    # Operating

    def operate(self, ref: Ref, operator: str, caller: Caller) -> None:
        self._ask("operate", (ref, operator))
        self.dag(ref, details=False)
        if operator not in ("RETRY", "ROLLBACK", "CANCEL", "PASS", "SKIP"):
            raise Refused("operator.unknown", f"{operator!r} is no operator of a {ref.kind}")
        self._make("operate", ref, operator)

    def preview_operator(self, ref: Ref, operator: str) -> Preview:
        self._ask("preview_operator", (ref, operator))
        return Preview(f"{operator} it", (Effect("a node", ("127.0.0.1:2886",), "undo"),), ("a note",))

    def join(self, master: Address, zone: str, master_password: Secret, *, caller: Caller, dry_run: bool = False) -> Dag | Preview:
        return self._make("join", master, zone, master_password, dry_run=dry_run)

    def remove(self, agent: Address, *, caller: Caller, dry_run: bool = False) -> Dag | Preview | None:
        return self._make("remove", agent, dry_run=dry_run)

    def configure_observer(
        self, settings: Mapping[str, str], scope: str, target: Sequence[str], *, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._make("configure_observer", dict(settings), scope, list(target), dry_run=dry_run)

    def configure_cluster(
        self, cluster_id: int, name: str, root_password: Secret, *, rs_list: str = "", caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._make("configure_cluster", cluster_id, name, root_password, dry_run=dry_run)

    def init(
        self, *, create_proxyro_user: bool, proxyro_password: Secret, import_script: bool, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._make("init", create_proxyro_user, proxyro_password, import_script, dry_run=dry_run)

    def scale_out(
        self, agent: Address, zone: str, settings: Mapping[str, str], *, agent_password: Secret, caller: Caller, dry_run: bool = False
    ) -> Dag | Preview:
        return self._make("scale_out", agent, zone, dict(settings), agent_password, dry_run=dry_run)

    @property
    def life(self) -> FakeLife:
        return FakeLife(self)

    # The cluster

    def cluster(self) -> ClusterView:
        self._ask("cluster", None)
        return self.shown

    def members(self) -> Sequence[Member]:
        return self.shown.members

    # Inside

    def _ask(self, name: str, what: Any) -> None:
        self.asked.append((name, what))
        if name in self.raises:
            raise self.raises[name]

    def _make(self, name: str, *values: Any, dry_run: bool = False) -> Any:
        self._ask(name, values)
        if dry_run:
            return Preview(name, (), ())
        self.changed.append(name)
        make = self.makes.get(name)
        return make(*values) if make else None

    def _needs_cluster(self) -> None:
        if self.keys.who is not Identity.CLUSTER_AGENT:
            raise Refused("cluster.none", f"{self.here} belongs to no running cluster")

    def _views(self, kind: HomeKind, details: bool, *, everybody: bool = False) -> list[DagView]:
        found = [(dag, logs) for dag, logs in self.held if dag.home.kind is kind]
        return [
            DagView(dag, logs if details else None)
            for dag, logs in found
            if everybody or kind is HomeKind.CLUSTER or dag.home.agent == self.here
        ]


@contextmanager
def served(control: FakeControl, *, tls_only: bool = False, bounds: Bounds | None = None, **how: Any) -> Iterator[Serving]:
    """A real server on a free loopback port. ``how`` is as for `serve`."""
    api = app(control, room=Room(bounds), tls_only=tls_only)
    serving = serve(api, "127.0.0.1", 0, bounds=bounds, **how)
    try:
        yield serving
    finally:
        serving.stop(2)
        api.stop()
