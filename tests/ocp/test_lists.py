"""Lists while others write, deep lists, and lists of a cluster that cannot be asked as a whole."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

import pytest

from oboe.control.listing import Findings
from oboe.domain.values import Address
from tests.ocp.site import Site


@pytest.fixture(scope="module")
def shelf(shared_site: Site) -> Site:
    for place in range(7):
        shared_site.put(name=f"Shelf {place}")
    return shared_site


def names(answer: Any) -> list[str]:
    return [one["name"] for one in answer.data["contents"]]


def test_who_reads_on_while_tasks_are_made_misses_none_and_meets_none_twice(shelf: Site) -> None:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    seen: list[str] = []
    for page in (1, 2, 3, 4):
        answer = shelf.viewer.get("/instances", name="Shelf", size=2, page=page, startTimeTo=until)
        seen += names(answer)
        shelf.put(name="Shelf, newer", created_at=time.time_ns() + 5 * 10**9)
    assert seen == [f"Shelf {place}" for place in range(6, -1, -1)]


def test_every_order_is_total(shelf: Site) -> None:
    for order in ("", "id,asc", "name,desc", "status,asc", "finishTime,desc", "createTime,asc"):
        whole = names(shelf.viewer.get("/instances", size=2000, sort=order))
        parts = [names(shelf.viewer.get("/instances", size=3, page=page, sort=order)) for page in range(1, len(whole) // 3 + 2)]
        assert [name for part in parts for name in part] == whole, order


def test_a_page_that_lies_too_deep_is_refused_and_one_past_the_end_is_empty(shelf: Site) -> None:
    past = shelf.viewer.get("/instances", name="Shelf 3", page=10**12, size=2000).data
    assert (past["contents"], past["page"]["totalElements"]) == ([], 1)
    with mock.patch("oboe.api.ocp.searching.PLACES_MAX", 3):
        assert shelf.viewer.get("/instances", name="Shelf", page=4, size=1).error == (400, 10001)
        assert len(names(shelf.viewer.get("/instances", name="Shelf", page=3, size=1))) == 1


def test_a_list_says_who_is_missing_in_it_and_how_old_it_is(shelf: Site) -> None:
    partial = Findings((), {}, 2.5, (Address("10.0.0.9", 2886), None))
    with mock.patch.object(type(shelf.agent.control), "search", return_value=partial):
        for path in ("/instances", "/instances/summary"):
            answer = shelf.viewer.get(path, sort="status")
            assert (answer.headers["x-oboe-stale"], answer.headers["x-oboe-missing"]) == ("2.5", "10.0.0.9:2886, cluster")


def test_what_a_user_may_not_see_is_not_asked_for(shelf: Site) -> None:
    from oboe.kit.secret import Secret
    from tests.ocp.site import PASSWORD

    shelf.users.add("books", Secret(PASSWORD), ["TASK_VIEWER:tenant=books"], who="test")
    asked: list[Any] = []

    def search(wanted: Any, rank: Any) -> Findings:
        asked.append(wanted)
        return Findings((), {})

    with mock.patch.object(shelf.agent.control, "search", search):
        shelf.client("books").get("/instances")
        shelf.client("books").get("/instances", tenantName="films")
    first, second = asked
    assert (first.cluster.tenants, first.of(shelf.address)) == (("books",), False)
    assert second.cluster is None
