"""The objects of OCP's wire (`ocp-task.md` §2.2, §3.1, §3.2): what is unset is left out, members are sent in alphabetical order.

They answer and they describe: the interface's description is made of them, and says what they promise.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from oboe.api.ocp.names import SUB_TASK_OPERATIONS, SUB_TASK_STATES, TASK_OPERATIONS, TASK_STATES, TASK_TYPES

__all__ = [
    "BasicSubTask",
    "BasicTask",
    "Cluster",
    "Context",
    "Counts",
    "HostIds",
    "LogPart",
    "Login",
    "Named",
    "OfPackage",
    "PageOf",
    "Profile",
    "SubTask",
    "SubmittedSubTask",
    "SubmittedTask",
    "Task",
    "TaskPage",
    "Tenant",
    "Told",
]

ID_MAX = (1 << 53) - 1
Id = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 1, "maximum": ID_MAX})]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
TaskStatus = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(TASK_STATES)})]
TaskOperation = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(TASK_OPERATIONS)})]
TaskType = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(TASK_TYPES)})]
SubTaskStatus = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(SUB_TASK_STATES)})]
SubTaskOperation = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(SUB_TASK_OPERATIONS)})]


class Named(msgspec.Struct):
    """A user. ``id`` 0: whoever asked over OBShell; -1: a user who is there no more."""

    id: int
    name: str


class Cluster(msgspec.Struct, rename="camel"):
    id: int
    name: str
    ob_cluster_id: int
    type: str = "PRIMARY"


class Tenant(msgspec.Struct):
    name: str


class Told(msgspec.Struct, rename="camel", kw_only=True):
    """What OCP has no word for."""

    halted: str | UnsetType = UNSET
    """Why it stands still though nobody asked for that."""
    paused_by: str | UnsetType = UNSET
    paused_for: str | UnsetType = UNSET
    skipped_undo: bool | UnsetType = UNSET
    waits_for: list[str] | UnsetType = UNSET


class BasicSubTask(msgspec.Struct, rename="camel", kw_only=True):
    id: Id
    name: str
    description: str
    status: SubTaskStatus
    operation: SubTaskOperation


class SubTask(BasicSubTask, rename="camel", kw_only=True):
    """``upstreams`` and ``downstreams`` are ids; ``timeout`` is in seconds; ``parallel_idx`` -1: alone in its node."""

    create_time: Time
    start_time: Time | UnsetType = UNSET
    finish_time: Time | UnsetType = UNSET
    executor: str | UnsetType = UNSET
    node_type: str
    parallel_idx: int
    prohibit_rollback: bool
    run_time: int
    series_id: int
    timeout: int
    upstreams: list[Id]
    downstreams: list[Id]


class _TaskHead(msgspec.Struct, rename="camel", kw_only=True):
    id: Id
    name: str
    status: TaskStatus
    operation: TaskOperation
    """Not in OCP's list: without it a rolled back task looks like a completed one."""
    start_time: Time
    finish_time: Time | UnsetType = UNSET
    creator: Named
    cluster: Cluster | UnsetType = UNSET
    tenant: Tenant | UnsetType = UNSET


class BasicTask(_TaskHead, rename="camel", kw_only=True):
    subtasks: list[BasicSubTask]


class Task(_TaskHead, rename="camel", kw_only=True):
    """With its graph. ``allowed_operations``: the operators on the whole task that would not be refused now."""

    type: TaskType
    task_definition_id: int
    executor: str
    create_time: Time
    prohibit_rollback: bool
    allowed_operations: list[TaskOperation] | UnsetType = UNSET
    oboe: Told | UnsetType = UNSET
    subtasks: list[SubTask]


class SubmittedSubTask(BasicSubTask, rename="camel", kw_only=True):
    """A sub-task of a `SubmittedTask`; ``class_name`` is the step that carries it out."""

    class_name: str
    node_type: str
    parallel_idx: int
    prohibit_rollback: bool
    run_time: int
    series_id: int
    timeout: int
    upstreams: list[Id]
    downstreams: list[Id]


class Context(msgspec.Struct, rename="camel", kw_only=True):
    """What was asked for, and nothing else: never a secret."""

    list_map: dict[str, list[str]]
    parallel: bool = False
    parallel_idx: int = -1
    string_map: dict[str, str]


class SubmittedTask(msgspec.Struct, rename="camel", kw_only=True):
    """TaskInstance: the flat form that routes answer with which have made a task (`ocp-task.md` §2.8)."""

    id: Id
    name: str
    type: TaskType
    status: TaskStatus
    operation: TaskOperation
    creator: str
    executor: str
    start_time: Time
    task_definition_id: int = -1
    context: Context
    host_id: int | UnsetType = UNSET
    subtasks: list[SubmittedSubTask]


class HostIds(msgspec.Struct, rename="camel"):
    """Numbers of hosts; the vendor's page also writes ``hostids``."""

    host_ids: list[int]


class OfPackage(msgspec.Struct):
    """``package`` is a directory on the agent that is asked; empty: it packs what it runs."""

    package: str = ""


class PageOf(msgspec.Struct, rename="camel"):
    """``number`` counts from 1."""

    number: int
    size: int
    total_elements: int
    total_pages: int


class TaskPage(msgspec.Struct):
    contents: list[BasicTask]
    page: PageOf


class Counts(msgspec.Struct, rename="upper"):
    """How many tasks there are of each status."""

    running: int
    failed: int
    successful: int


class LogPart(msgspec.Struct, rename="camel"):
    """``next_offset`` begins the next part; ``eof``: there is no more, and none comes in this attempt."""

    log: str
    next_offset: int
    eof: bool


class Login(msgspec.Struct):
    username: Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1})]
    password: str


class Profile(msgspec.Struct):
    id: int
    username: str
    grants: list[str]
