"""The task routes (`obshell-wire.md` §2.4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import wraps
from typing import Annotated, Any, Literal, cast

import msgspec

from oboe.api.obshell import codec, ids
from oboe.api.obshell.names import DAG_OPERATORS, NODE_OPERATORS
from oboe.api.obshell.objects import DagObject, LogObject, NodeObject, PreviewObject, SubTaskObject
from oboe.api.obshell.route import Call, Handler, Route
from oboe.api.shared.envelope import NO_DATA, Contents
from oboe.control.gathering import Gathered
from oboe.control.views import DagView, Ref, WaitView
from oboe.domain.errors import OboeError, Refused
from oboe.domain.records import Page
from oboe.domain.values import HomeKind, Identity

__all__ = ["ROUTES"]

LIST_MAX = 1000
"""The most dags in one answer; ``before_id`` leads to the older ones."""
_PROBE_SECONDS = 0.5
"""For a look at the own database, on the way to an error."""


class Operate(msgspec.Struct):
    """The body of an operator. ``id``, where given, must be the path's."""

    operator: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(DAG_OPERATORS)})]
    id: str | None = None


class OperateNode(msgspec.Struct):
    """The same, of a node."""

    operator: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(NODE_OPERATORS)})]
    id: str | None = None


def _names_the_process(handler: Handler) -> Handler:
    """When nobody can read the cluster's home, and this host's database does not even run, that is the reason."""

    @wraps(handler)
    def named(call: Call) -> Any:
        try:
            return handler(call)
        except Refused as error:
            if error.code == "cluster.no_database" and call.control.status(probe_timeout=_PROBE_SECONDS).database_state == 0:
                call.lookup[error.code] = "server.no_process"
            raise

    return named


# One dag, node or sub-task


@_names_the_process
def get_dag(call: Call) -> DagObject:
    """One dag."""
    details = call.details()
    return _dag(call, call.control.dag(_ref(call, "dag"), details=details, asked_at=call.asked_at), details)


def _foresee_dag(call: Call) -> None:
    with suppress(Refused):  # an id of nothing: the handler says so
        ref = _ref(call, "dag")
        if ref.home is HomeKind.CLUSTER:
            call.control.foresee_cluster_dag(ref.number, asked_at=call.asked_at)


@_names_the_process
def get_node(call: Call) -> NodeObject:
    """One node with its sub-tasks."""
    details = call.details()
    view = call.control.dag(_ref(call, "node"), details=details)
    call.note_stale(view)
    return codec.node_object(view, details=details)


@_names_the_process
def get_sub_task(call: Call) -> SubTaskObject:
    """One sub-task; of a step that tells how far it is, also what it waits for."""
    ref = _ref(call, "sub_task")
    view = call.control.dag(ref, details=True)
    call.note_stale(view)
    return codec.sub_task_object(view, _waits(call, ref) if codec.tells_progress(view) else ())


def _waits(call: Call, ref: Ref) -> Sequence[WaitView]:
    try:
        return call.control.waits(ref)
    except OboeError:  # what it waits for is not known just now; the sub-task is
        return ()


@_names_the_process
def get_logs(call: Call) -> Contents:
    """Every log line of a sub-task; none of one that does not exist."""
    try:
        view = call.control.dag(_ref(call, "sub_task"), details=True)
    except Refused as error:
        if error.code == "task.not_found":
            return Contents([])
        raise
    call.note_stale(view)
    return Contents(codec.log_objects(view))


def operate_dag(call: Call) -> Any:
    """Ask RETRY, ROLLBACK, CANCEL or PASS of a dag; its state has changed when the answer comes."""
    ref = _ref(call, "dag")
    return _operate(call, ref, _operator(call))


def operate_node(call: Call) -> Any:
    """Ask PASS of a node of a FAILED dag."""
    ref = _ref(call, "node")
    operator = _operator(call)
    if operator not in NODE_OPERATORS:
        raise Refused("node_operator.unknown", f"{operator!r} is no operator of a node", hint=", ".join(NODE_OPERATORS))
    return _operate(call, ref, operator)


# The newest maintenance


@_names_the_process
def get_cluster_maintenance(call: Call) -> DagObject:
    """The newest maintenance dag of the cluster."""
    details = call.details()
    return _dag(call, call.control.newest_cluster_maintenance(details=details, asked_at=call.asked_at), details)


def get_agent_maintenance(call: Call) -> DagObject:
    """The newest maintenance dag of this agent; of the FOLLOWER that passed the request on."""
    details = call.details()
    if call.forwarded_by is None:
        return _dag(call, call.control.newest_agent_maintenance(details=details), details)
    for view in call.control.newest_agents_maintenance(details=details):
        if view.dag.home.agent == call.forwarded_by:
            return _dag(call, view, details)
    raise Refused("task.no_agent_maintenance", f"agent {call.forwarded_by} has no maintenance dag")


def get_agents_maintenance(call: Call) -> Contents:
    """The newest maintenance dag of every agent that answers in time; the header X-Oboe-Missing names the others."""
    details = call.details()
    return _dags(call, call.control.newest_agents_maintenance(details=details), details)


def _foresee_cluster_maintenance(call: Call) -> None:
    call.control.foresee_cluster_dag(None, asked_at=call.asked_at)


# Lists


def get_unfinished(call: Call) -> Contents:
    """Unfinished dags: every agent's own, then the cluster's; the header X-Oboe-Missing names agents that did not answer."""
    details = call.details()
    found = _dags(call, call.control.unfinished(details=details), details)
    none_of_a_cluster = not found.contents and call.control.keys.identity() is Identity.CLUSTER_AGENT
    return Contents(None) if none_of_a_cluster else found  # the original's list is nil there, and empty elsewhere


@_names_the_process
def get_cluster_unfinished(call: Call) -> Contents:
    """Unfinished dags of the cluster."""
    details = call.details()
    try:
        return _dags(call, call.control.unfinished_cluster(details=details), details)
    except Refused as error:
        if error.code == "cluster.no_database":
            call.data_on_error = Contents(None)
        raise


def get_agent_unfinished(call: Call) -> Contents:
    """Unfinished dags of this agent."""
    details = call.details()
    return _dags(call, call.control.unfinished_agent(details=details), details)


def get_main_dags(call: Call) -> Contents:
    """The dags that lead those which still hold agents."""
    details = call.details()
    return _dags(call, call.control.main_dags(details=details), details)


@_names_the_process
def get_cluster_dags(call: Call) -> Contents:
    """Dags of the cluster: the latest thousand, oldest first; newest first with ``limit`` or ``before_id``."""
    details, page = call.details(), _page(call)
    return _dags(call, _ordered(call, call.control.cluster_dags(page, details=details)), details)


def get_agent_dags(call: Call) -> Contents:
    """Dags of this agent: the latest thousand, oldest first; newest first with ``limit`` or ``before_id``."""
    details, page = call.details(), _page(call)
    return _dags(call, _ordered(call, call.control.agent_dags(page, details=details)), details)


# Inside


def _ref(call: Call, kind: Literal["dag", "node", "sub_task"]) -> Ref:
    return ids.decode(kind, call.path_values["id"])


def _dag(call: Call, view: DagView, details: bool) -> DagObject:
    """The object, encoded."""
    call.note_stale(view)
    return cast(DagObject, call.printed.dag(view, details=details))


def _dags(call: Call, views: Sequence[DagView], details: bool) -> Contents:
    call.note_stale(*views)
    if isinstance(views, Gathered):
        call.note_missing(views.missing)
    return Contents([codec.dag_object(view, details=details) for view in views])


def _operator(call: Call) -> str:
    asked = call.bind(Operate)
    if not asked.operator:
        raise Refused("request.body", "the body names no operator")
    if asked.id is not None and asked.id != call.path_values["id"]:
        raise Refused("task.not_found", "the body names another id than the path")
    return asked.operator.upper()


def _operate(call: Call, ref: Ref, operator: str) -> Any:
    if ref.home is HomeKind.CLUSTER:
        call.lookup["maintenance.held"] = "maintenance.cluster_held"
    if call.flag("dry_run", default=False):
        return codec.preview_object(call.control.preview_operator(ref, operator))
    call.control.operate(ref, operator, call.caller)
    return NO_DATA


def _page(call: Call) -> Page:
    return Page(
        limit=call.number("limit", default=LIST_MAX, low=1, high=LIST_MAX),
        before_id=call.number("before_id", default=0, low=0, high=2**53),
        names=tuple(call.query.get("name", ())),
        settled=call.flag("settled", default=False) if "settled" in call.query else None,
    )


def _ordered(call: Call, views: Sequence[DagView]) -> Sequence[DagView]:
    """As the original orders them, unless they are asked for page by page."""
    paged = "limit" in call.query or "before_id" in call.query
    return views if paged else list(reversed(views))


_DETAILS = ("show_details", "show_detail")
_PAGING = ("limit", "before_id", "name", "settled")
_NEEDS_CLUSTER = {"cluster.none": "agent.wrong_identity"}
"""Lists of the cluster are refused where there is none; single dags are not found there for want of a database."""
_OPERATED = PreviewObject | None


ROUTES = (
    Route(
        method="GET",
        path="/task/dag/unfinish",
        handler=get_unfinished,
        answers=list[DagObject],
        query=_DETAILS,
        gathers=True,
        of_master=lambda call: True,
    ),
    Route(
        method="GET",
        path="/task/dag/ob/unfinish",
        handler=get_cluster_unfinished,
        answers=list[DagObject],
        lookup=_NEEDS_CLUSTER,
        query=_DETAILS,
    ),
    Route(method="GET", path="/task/dag/agent/unfinish", handler=get_agent_unfinished, answers=list[DagObject], query=_DETAILS),
    Route(method="GET", path="/task/dag/agent/main_dags", handler=get_main_dags, answers=list[DagObject], query=_DETAILS, gathers=True),
    Route(
        method="GET",
        path="/task/dag/maintain/ob",
        handler=get_cluster_maintenance,
        answers=DagObject,
        query=_DETAILS,
        foresee=_foresee_cluster_maintenance,
    ),
    Route(method="GET", path="/task/dag/maintain/agent", handler=get_agent_maintenance, answers=DagObject, query=_DETAILS),
    Route(
        method="GET",
        path="/task/dag/maintain/agents",
        handler=get_agents_maintenance,
        answers=list[DagObject],
        query=_DETAILS,
        gathers=True,
    ),
    Route(
        method="GET",
        path="/task/dags/ob",
        handler=get_cluster_dags,
        answers=list[DagObject],
        lookup=_NEEDS_CLUSTER,
        query=_DETAILS + _PAGING,
    ),
    Route(method="GET", path="/task/dags/agent", handler=get_agent_dags, answers=list[DagObject], query=_DETAILS + _PAGING),
    Route(method="GET", path="/task/dag/:id", handler=get_dag, answers=DagObject, query=_DETAILS, foresee=_foresee_dag),
    Route(method="POST", path="/task/dag/:id", handler=operate_dag, body=Operate, answers=_OPERATED, query=("dry_run",)),
    Route(method="GET", path="/task/node/:id", handler=get_node, answers=NodeObject, query=_DETAILS),
    Route(method="POST", path="/task/node/:id", handler=operate_node, body=OperateNode, answers=_OPERATED, query=("dry_run",)),
    Route(method="GET", path="/task/sub_task/:id", handler=get_sub_task, answers=SubTaskObject),
    Route(method="GET", path="/task/sub_task/:id/logs", handler=get_logs, answers=list[LogObject]),
)
