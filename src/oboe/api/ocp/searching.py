"""R1, the list, and counts per status: filters, order and pages (`ocp-task.md` §1.2, §2.2).

Everything is asked of the homes themselves, which answer from indexes: a page costs what it shows, however long the history is. What the
user may not see is not asked for. Orders are total, so pages neither repeat nor skip what does not move; ``startTimeTo`` holds newer tasks
out while somebody reads on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from oboe.api.ocp import ids
from oboe.api.ocp.names import (
    FAILED,
    LED_TYPE,
    RUNNING,
    SUCCESSFUL,
    TASK_OPERATIONS,
    TASK_STATES,
    TASK_TYPES,
    TYPE_SPELLINGS,
    asked_of,
    states_of,
)
from oboe.api.ocp.objects import Counts, PageOf, TaskPage
from oboe.api.ocp.route import Call
from oboe.control.listing import Findings, Found, Wanted
from oboe.domain.errors import Refused
from oboe.domain.model import Home
from oboe.domain.searching import Order, Search
from oboe.domain.values import Address, HomeKind, State

__all__ = ["FILTERS", "OBJECT_TYPES", "PAGING", "SORTS", "list_tasks", "summary"]

SIZE_DEFAULT = 10
SIZE_MAX = 2000
_PAGE_MAX = 1 << 40
_ID_MAX = 1 << 62
_NO_END = 1 << 62
PLACES_MAX = 100_000
"""How deep into a list a page may lie."""
VIEWER = "TASK_VIEWER"
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

_ORDERS = {
    "": Order.CREATED,
    "id": Order.ID,
    "name": Order.NAME,
    "createTime": Order.CREATED,
    "startTime": Order.CREATED,
    "finishTime": Order.ENDED,
}


def list_tasks(call: Call) -> TaskPage:
    """R1: tasks without their graph's edges, page by page, the newest first."""
    number = call.number("page", default=1, low=1, high=_PAGE_MAX)
    size = call.number("size", default=SIZE_DEFAULT, low=1, high=SIZE_MAX)
    first = (number - 1) * size
    searches = _sorted(call, _search(call, _states(call)))
    found, total = _page(call, searches, first, size)
    shown = call.control.found(found)
    return TaskPage([call.codec.basic_task(view.dag) for view in shown], PageOf(number, size, total, -(-total // size)))


def summary(call: Call) -> Counts:
    """How many tasks there are of each status, of those that the other filters let through."""
    findings = _ask(call, replace(_search(call, ()), limit=0))
    counts = {word: sum(findings.counts.get(state, 0) for state in states_of(word)) for word in TASK_STATES}
    return Counts(counts[RUNNING], counts[FAILED], counts[SUCCESSFUL])


def _page(call: Call, searches: Sequence[Search], first: int, size: int) -> tuple[list[Found], int]:
    """What is shown of the searches, one after the other, and how many fit them all."""
    found: list[Found] = []
    total = 0
    last = first + size
    for search in searches:
        limit = max(last - total, 0) if first < PLACES_MAX else 0
        findings = _ask(call, replace(search, limit=limit))
        start = max(first - total, 0)
        found += findings.found[start : start + size - len(found)]
        total += sum(findings.counts.values())
    if first >= PLACES_MAX and first < total:
        hint = "startTimeTo, startTimeFrom and other filters make the list shorter"
        raise Refused("request.query", f"a page lies at most {PLACES_MAX} tasks deep", hint=hint)
    return found, total


def _ask(call: Call, search: Search) -> Findings:
    findings = call.control.search(_wanted(call, search), lambda found: _number(call, found))
    if findings.stale_seconds:
        call.note("X-Oboe-Stale", f"{findings.stale_seconds:.1f}")
    if findings.missing:
        call.note("X-Oboe-Missing", ", ".join("cluster" if agent is None else str(agent) for agent in findings.missing))
    return findings


def _number(call: Call, found: Found) -> int:
    home = Home(HomeKind.CLUSTER) if found.agent is None else Home(HomeKind.AGENT, found.agent)
    return ids.encode(home, found.header.id, call.codec.landmarks)


# Filters


def _states(call: Call) -> tuple[State, ...]:
    words = call.words("status", TASK_STATES)
    return tuple(dict.fromkeys(state for word in words for state in states_of(word)))


def _search(call: Call, states: tuple[State, ...]) -> Search:
    """What every home is asked."""
    types = call.words("type", TASK_TYPES, spellings=TYPE_SPELLINGS)
    led = {LED_TYPE[word] for word in types if word in LED_TYPE}
    tenant, kind = call.text("tenantName"), _object(call)[0]
    has_tenant = kind == "TENANT" and not tenant
    is_none = (types and not led) or _id(call, "tenantId") is not None or (kind == "TENANT" and _object(call)[1] is not None)
    return Search(
        states=states,
        name=call.text("name", "keyword"),
        creator=call.text("creator"),
        led=led.pop() if len(led) == 1 else None,
        asked=tuple(asked_of(word) for word in call.words("operation", TASK_OPERATIONS)),
        tenants=() if is_none else (tenant,) if tenant else None,
        not_tenants=("",) if has_tenant else (),
        since=call.time("startTimeFrom", 0),
        before=call.time("startTimeTo", _NO_END),
    )


def _wanted(call: Call, search: Search) -> Wanted:
    """In which homes; tenants and the other kinds of schedules have no ids here, so nothing is of them."""
    known = call.codec.landmarks
    kind, number = _object(call)
    cluster_name, cluster_id, host_id = call.text("clusterName", "cluterName"), _id(call, "clusterId"), _id(call, "hostId")
    number = None if kind == "TENANT" else number

    def is_ours(wanted: int | None) -> bool:
        return wanted is None or wanted == known.cluster_id

    def is_host(agent: Address) -> bool:
        """A host's id is its agent's number."""
        host = known.numbers.get(agent, -1)
        return host_id in (None, host) and number in (None, host) and call.user.may(VIEWER, (f"host={agent}",))

    of_cluster = cluster_name in ("", known.cluster_name) and is_ours(cluster_id) and host_id is None and kind != "HOST" and is_ours(number)
    of_agents = not cluster_name and cluster_id is None and kind != "CLUSTER"
    return Wanted(search if of_agents else None, _seen(call, search) if of_cluster else None, is_host)


def _seen(call: Call, search: Search) -> Search | None:
    """Of the cluster's tasks those that the user may see."""
    if call.user.may(VIEWER, ("cluster",)):
        return search
    names = [grant.object.removeprefix("tenant=") for grant in call.user.grants if grant.object.startswith("tenant=")]
    seen = [name for name in names if call.user.may(VIEWER, (f"tenant={name}",)) and (search.tenants is None or name in search.tenants)]
    return replace(search, tenants=tuple(dict.fromkeys(seen))) if seen else None


def _id(call: Call, name: str) -> int | None:
    return call.number(name, default=0, low=0, high=_ID_MAX) if call.text(name) else None


def _object(call: Call) -> tuple[str, int | None]:
    """``objectType`` and ``objectId``; an id alone is that of a cluster or a host."""
    kinds = call.words("objectType", OBJECT_TYPES)
    if len(kinds) > 1:
        raise Refused("request.query", "objectType names several kinds")
    return "".join(kinds), _id(call, "objectId")


# Order


def _sorted(call: Call, search: Search) -> list[Search]:
    """The searches whose answers follow one another: one, but by status one for each."""
    name, _, direction = call.text("sort").partition(",")
    if direction.lower() not in ("", "asc", "desc"):
        raise Refused("request.query", f"sort={direction[:40]!r} is neither asc nor desc")
    descending = direction.lower() == "desc" or not name
    if name == "status":
        return list(_by_status(search, descending))
    if name not in _ORDERS:
        raise Refused("request.query", f"sort={name[:40]!r} is none of {', '.join(SORTS)}")
    return [replace(search, order=_ORDERS[name], descending=descending)]


def _by_status(search: Search, descending: bool) -> Iterator[Search]:
    for word in sorted(TASK_STATES, reverse=descending):
        states = tuple(state for state in states_of(word) if not search.states or state in search.states)
        if states:
            yield replace(search, states=states)
