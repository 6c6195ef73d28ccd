"""What the use cases answer: plain frozen values that every face renders in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oboe.domain.model import Dag
from oboe.domain.values import Address, HomeKind, Identity
from oboe.engine.ports import LogRecord
from oboe.membership.member import Member

__all__ = [
    "AgentView",
    "ClusterView",
    "DagView",
    "Effect",
    "Landmarks",
    "Member",
    "Preview",
    "Ref",
    "Seen",
    "ServerView",
    "StatusView",
    "WaitView",
]


@dataclass(frozen=True, slots=True)
class Ref:
    """Names a dag, node or sub-task across the cluster. ``agent`` is set for agent homes."""

    kind: Literal["dag", "node", "sub_task"]
    home: HomeKind
    agent: Address | None
    number: int


@dataclass(frozen=True, slots=True)
class DagView:
    """A dag as read: with every log record when details were asked, else None. ``index`` is the node or sub-task that was named."""

    dag: Dag
    logs: tuple[LogRecord, ...] | None
    index: int = 0
    stale_seconds: float = 0.0
    """Greater than 0: read from a copy, because the home cannot be reached."""
    start_waits_for: str = ""
    """Its time to start may have come, and somebody else holds its maintenance lock."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody who looks on has of a dag: its key, its version, and the number of the last line; nothing yet: empty and 0."""

    key: str = ""
    version: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """An agent about itself (`obshell-wire.md` §5.2 /info)."""

    pid: int
    state: int
    started_at: int
    home_path: str
    database_version: str
    architecture: str
    address: Address
    zone: str
    identity: Identity
    version: str
    secured: bool
    """An agent password is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """`obshell-wire.md` §5.2 /status."""

    agent: AgentView
    database_state: int
    sql_port: int
    under_maintenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    zone: str
    svr_ip: str
    svr_port: int
    """The database's RPC port."""
    sql_port: int
    agent_port: int
    with_rootserver: bool
    status: str
    build_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """``/ob/info``. Before initialisation id, name and version are empty and there is no topology."""

    id: int
    name: str
    version: str
    members: tuple[Member, ...]
    servers: tuple[ServerView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitView:
    """What one running sub-task waits for; times in nanoseconds, ``until`` 0: no end."""

    sub_task: int
    """Its index."""
    node: str
    agent: Address
    why: str
    since: int
    until: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """What ids and references of a cluster are made of; from memory. ``cluster_id`` 0: there is no running cluster."""

    here: Address
    numbers: Mapping[Address, int]
    """Agents by their numbers, which the cluster gives out once and for ever; an agent without a cluster is number 0."""
    cluster_id: int
    cluster_name: str


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of a dry run: what would happen to which node, where."""

    node: str
    agents: tuple[str, ...]
    action: Literal["run", "undo", "keep", "pass", "stop", "none"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What an operation or an operator would do; nothing has been touched."""

    name: str
    effects: tuple[Effect, ...]
    notes: tuple[str, ...] = ()
