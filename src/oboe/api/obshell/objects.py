"""The objects of OBShell's wire: every member, in the order in which it is sent (`obshell-wire.md` §2.1, §5.2)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

__all__ = [
    "TASK_ID",
    "AgentAddress",
    "AgentInfo",
    "AgentStatus",
    "ClusterInfo",
    "ClusterMember",
    "ClusterSummary",
    "ClusterTopology",
    "DagObject",
    "GitInfo",
    "Ip",
    "LogObject",
    "MemberIdentity",
    "Named",
    "NodeObject",
    "ObserverInfo",
    "Port",
    "PreviewEffect",
    "PreviewObject",
    "PublicKey",
    "ServerStats",
    "SubTaskObject",
    "TaskId",
]


Ip = Annotated[str, msgspec.Meta(extra_json_schema={"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})]
Port = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": 65535})]
_PORT = "(0[1-9][0-9]{3}|[1-5][0-9]{4})"
_NUMBER = "[1-9][0-9]{0,14}"
TASK_ID = f"^(1{_NUMBER}|2[0-3][0-9]{{9}}{_PORT}{_NUMBER}|3[0-2][0-9]{{38}}{_PORT}{_NUMBER})$"
"""Ids that are given out (`oboe.api.obshell.ids`), a little narrower than what is read."""
TaskId = Annotated[str, msgspec.Meta(extra_json_schema={"pattern": TASK_ID})]
Named = Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1})]
"""These only describe: a handler refuses what they forbid, with a code of its own."""


class AgentAddress(msgspec.Struct, frozen=True):
    ip: Ip
    port: Port


class SubTaskObject(msgspec.Struct):
    id: str
    task_id: int
    name: str
    state: str
    operator: str
    start_time: str
    end_time: str
    additional_data: dict[str, Any] | None
    execute_times: int
    execute_agent: AgentAddress
    task_logs: list[str] | None


class NodeObject(msgspec.Struct):
    id: str
    node_id: int
    name: str
    state: str
    operator: str
    start_time: str
    end_time: str
    additional_data: dict[str, Any] | None
    sub_tasks: list[SubTaskObject] | None


class DagObject(msgspec.Struct):
    id: str
    dag_id: int
    name: str
    stage: int
    max_stage: int
    maintenance_type: int
    maintenance_key: str
    state: str
    operator: str
    start_time: str
    end_time: str
    additional_data: dict[str, Any] | None
    nodes: list[NodeObject] | None


class LogObject(msgspec.Struct):
    """One log line of ``GET sub_task/:id/logs``."""

    id: int
    sub_task_id: int
    execute_times: int
    log_content: str
    is_sync: bool
    create_time: str
    update_time: str


class AgentInfo(msgspec.Struct, rename="camel"):
    """``/info``."""

    pid: int
    state: int
    start_at: int
    """Nanoseconds since the Unix epoch."""
    home_path: str
    ob_version: str
    architecture: str
    ip: str
    port: int
    zone: str
    identity: str
    version: str
    is_obproxy_agent: bool
    security: bool
    """An agent password is set."""
    supported_auth: tuple[str, ...]


class MemberIdentity(msgspec.Struct):
    ip: str
    port: int
    identity: str


class AgentStatus(msgspec.Struct, rename="camel", kw_only=True):
    """``/status``; ``sqlPort`` is left out when there is none."""

    agent: MemberIdentity
    state: int
    version: str
    pid: int
    start_at: int
    port: int
    ob_state: int
    sql_port: int | msgspec.UnsetType = msgspec.UNSET
    under_maintenance: bool


class GitInfo(msgspec.Struct, rename="camel"):
    branch: str = ""
    commit_id: str = ""
    short_commit_id: str = ""
    commit_time: str = ""


class PublicKey(msgspec.Struct):
    """``/secret``."""

    ip: str
    port: int
    public_key: str


class ClusterMember(msgspec.Struct):
    ip: str
    port: int
    zone: str
    identity: str
    version: str


class ClusterTopology(msgspec.Struct):
    """A server of a zone in ``/ob/info``."""

    svr_ip: str
    svr_port: int
    sql_port: int
    agent_port: int
    with_rootserver: str
    status: str
    build_version: str


class ClusterSummary(msgspec.Struct):
    id: int
    name: str
    version: str
    topology: dict[str, list[ClusterTopology]] | None
    is_shared_storage: bool = False


class ClusterInfo(msgspec.Struct):
    """``/ob/info``."""

    agent_info: list[ClusterMember]
    obcluster_info: ClusterSummary


class PreviewEffect(msgspec.Struct):
    node: str
    agents: tuple[str, ...]
    action: str
    detail: str


class PreviewObject(msgspec.Struct):
    """What a dry run answers; an addition of oboe's."""

    name: str
    effects: list[PreviewEffect]
    notes: tuple[str, ...]


class ServerStats(msgspec.Struct, frozen=True):
    """Resources of a server; oboe does not measure them."""

    cpu_core_total: int = 0
    cpu_core_assigned: int = 0
    cpu_core_assigned_percent: int = 0
    memory_total: str = ""
    memory_assigned: str = ""
    memory_in_bytes_total: int = 0
    memory_in_bytes_assigned: int = 0
    memory_assigned_percent: int = 0
    disk_total: str = ""
    disk_assigned: str = ""
    disk_in_bytes_total: int = 0
    disk_in_bytes_assigned: int = 0
    disk_assigned_percent: int = 0
    disk_used: str = ""
    disk_free: str = ""
    disk_in_bytes_used: int = 0
    disk_in_bytes_free: int = 0
    disk_used_percent: int = 0
    ip: str = ""
    port: int = 0
    zone: str = ""


_NEVER = "0001-01-01T00:00:00Z"


class ObserverInfo(msgspec.Struct):
    """``/observer/info``."""

    id: int = 0
    ip: str = ""
    svr_port: int = 0
    sql_port: int = 0
    version: str = ""
    with_rootserver: bool = False
    ob_status: int = 0
    inner_status: str = ""
    start_time: str = _NEVER
    stop_time: str = _NEVER
    stats: ServerStats = ServerStats()
    architecture: str = ""
    data_dir: str = ""
    redo_dir: str = ""
    log_dir: str = ""
    obshell_port: int = 0
