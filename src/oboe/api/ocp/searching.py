"""R1, the list, and counts per status: filters, order and pages (`ocp-task.md` §1.2, §2.2).

What a header tells is looked at first. Filters that need the whole dag (who made it, its tenant, whether it was retried) load those that
are left. Without ``sort`` the newest come first; that is the order of ids within one home.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oboe.api.ocp import ids
from oboe.api.ocp.names import (
    FAILED,
    RUNNING,
    SUCCESSFUL,
    TASK_OPERATIONS,
    TASK_STATES,
    TASK_TYPES,
    TYPE_SPELLINGS,
    states_of,
    task_operation,
    task_type,
)
from oboe.api.ocp.objects import Counts, PageOf, TaskPage
from oboe.api.ocp.route import Call, objects_of
from oboe.control.listing import Found, Search
from oboe.domain.errors import Refused
from oboe.domain.model import Dag, Home
from oboe.domain.values import HomeKind, MaintenanceKind, State

__all__ = ["FILTERS", "OBJECT_TYPES", "PAGING", "SORTS", "list_tasks", "summary"]

SIZE_DEFAULT = 10
SIZE_MAX = 2000
_PAGE_MAX = 1 << 40
_ID_MAX = 1 << 62
_NO_END = 1 << 62
_PORTION = 500
"""Dags that are loaded at once where a filter needs whole ones."""
OBJECT_TYPES = ("CLUSTER", "TENANT", "HOST")
PAGING = ("page", "size", "sort", "status")
FILTERS = (
    "name",
    "keyword",
    "type",
    "operation",
    "creator",
    "clusterName",
    "cluterName",
    "clusterId",
    "tenantName",
    "tenantId",
    "hostId",
    "objectType",
    "objectId",
    "startTimeFrom",
    "startTimeTo",
)
SORTS = ("id", "name", "status", "createTime", "startTime", "finishTime")

Whole = Callable[[Dag], bool]


def list_tasks(call: Call) -> TaskPage:
    """R1: tasks without their graph's edges, page by page, the newest first."""
    page = call.number("page", default=1, low=1, high=_PAGE_MAX)
    size = call.number("size", default=SIZE_DEFAULT, low=1, high=SIZE_MAX)
    order = _order(call)
    found = _found(call, _states(call))
    order(found)
    shown = call.control.found(found[(page - 1) * size : page * size])
    return TaskPage([call.codec.basic_task(view.dag) for view in shown], PageOf(page, size, len(found), -(-len(found) // size)))


def summary(call: Call) -> Counts:
    """How many tasks there are of each status, of those that the other filters let through."""
    counts = dict.fromkeys(TASK_STATES, 0)
    by_state = {state: word for word in TASK_STATES for state in states_of(word)}
    for found in _found(call, tuple(State)):
        if found.header.state in by_state:
            counts[by_state[found.header.state]] += 1
    return Counts(counts[RUNNING], counts[FAILED], counts[SUCCESSFUL])


# Filters


def _states(call: Call) -> tuple[State, ...]:
    words = call.words("status", TASK_STATES) or TASK_STATES
    return tuple(dict.fromkeys(state for word in words for state in states_of(word)))


def _found(call: Call, states: Sequence[State]) -> list[Found]:
    wanted = Search(
        states=tuple(states),
        name=call.text("name", "keyword"),
        since=call.time("startTimeFrom", 0),
        before=call.time("startTimeTo", _NO_END),
    )
    in_home, whole = _home_filter(call), _whole_filters(call)
    found = [each for each in call.control.search(wanted) if in_home(each)]
    if not whole:
        return found
    fits: list[Found] = []
    for start in range(0, len(found), _PORTION):
        portion = {(each.agent, each.header.id): each for each in found[start : start + _PORTION]}
        for view in call.control.found(list(portion.values())):
            if all(fit(view.dag) for fit in whole):
                fits.append(portion[view.dag.home.agent, view.dag.id])
    return fits


def _home_filter(call: Call) -> Callable[[Found], bool]:
    """``clusterName``, ``clusterId``, ``hostId``; and what the user may see, as far as homes tell."""
    known = call.codec.landmarks
    kind, number = _object(call)
    cluster_name, cluster_id, host_id = call.text("clusterName", "cluterName"), _id(call, "clusterId"), _id(call, "hostId")

    def is_ours(wanted: int | None) -> bool:
        return wanted is None or wanted == known.cluster_id

    def fits(found: Found) -> bool:
        """A host's id is its agent's number."""
        if found.agent is None:
            named = cluster_name in ("", known.cluster_name) and is_ours(cluster_id) and host_id is None
            return named and kind != "HOST" and (kind == "TENANT" or is_ours(number))
        if cluster_name or cluster_id is not None or kind == "CLUSTER":
            return False
        host = known.numbers.get(found.agent, -1)
        return host_id in (None, host) and (kind == "TENANT" or number in (None, host))

    return fits


def _id(call: Call, name: str) -> int | None:
    return call.number(name, default=0, low=0, high=_ID_MAX) if call.text(name) else None


def _object(call: Call) -> tuple[str, int | None]:
    """``objectType`` and ``objectId``; an id alone is that of a cluster or a host."""
    kinds = call.words("objectType", OBJECT_TYPES)
    if len(kinds) > 1:
        raise Refused("request.query", "objectType names several kinds")
    return "".join(kinds), _id(call, "objectId")


def _whole_filters(call: Call) -> list[Whole]:
    """Those that need more than a header."""
    wanted: list[Whole] = []
    if operations := call.words("operation", TASK_OPERATIONS):
        wanted.append(lambda dag: task_operation(dag) in operations)
    if types := call.words("type", TASK_TYPES, spellings=TYPE_SPELLINGS):
        wanted.append(lambda dag: task_type(dag) in types)
    if creator := call.text("creator"):
        wanted.append(lambda dag: dag.creator == creator)
    if tenant := call.text("tenantName"):
        wanted.append(lambda dag: dag.maintenance.kind is MaintenanceKind.TENANT and dag.maintenance.key == tenant)
    kind, number = _object(call)
    if kind == "TENANT":
        wanted.append(lambda dag: dag.maintenance.kind is MaintenanceKind.TENANT and number is None)
    if _id(call, "tenantId") is not None:
        wanted.append(lambda dag: False)  # tenants have no ids here
    if not call.user.may("TASK_VIEWER"):
        wanted.append(lambda dag: call.user.may("TASK_VIEWER", objects_of(dag)))
    return wanted


# Order


def _order(call: Call) -> Callable[[list[Found]], None]:
    """Sorts in place; equal ones by id, the newest first."""
    name, _, direction = call.text("sort").partition(",")
    if direction.lower() not in ("", "asc", "desc"):
        raise Refused("request.query", f"sort={direction[:40]!r} is neither asc nor desc")
    known = call.codec.landmarks

    def number(found: Found) -> int:
        home = Home(HomeKind.CLUSTER) if found.agent is None else Home(HomeKind.AGENT, found.agent)
        return ids.encode(home, found.header.id, known)

    keys: dict[str, Callable[[Found], Any]] = {
        "": lambda found: found.header.created_at,
        "id": number,
        "name": lambda found: found.header.name,
        "status": lambda found: _status_rank(found.header.state),
        "createTime": lambda found: found.header.created_at,
        "startTime": lambda found: found.header.created_at,
        "finishTime": lambda found: found.header.ended_at,
    }
    if name not in keys:
        raise Refused("request.query", f"sort={name[:40]!r} is none of {', '.join(SORTS)}")

    def sort(found: list[Found]) -> None:
        found.sort(key=number, reverse=True)
        found.sort(key=keys[name], reverse=direction.lower() == "desc" or not name)

    return sort


def _status_rank(state: State) -> str:
    return next(word for word in TASK_STATES if state in states_of(word))
