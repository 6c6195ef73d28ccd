"""What goes over the wire: the reference page's example, the envelope, pages, order, filters, errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from oboe.domain import plan as plans
from oboe.domain.errors import Refused
from oboe.domain.events import Ended, Rollback, Started
from oboe.domain.model import Flags, Maintenance
from oboe.domain.values import SECOND, MaintenanceKind
from oboe.kit import Run, Sketch, Step
from oboe.kit.secret import Secret
from tests.domain.dags import node
from tests.ocp.site import PASSWORD, Held, Site


class Split(Step):
    """Is only shown."""

    def run(self, run: Run) -> None:
        raise AssertionError("it is only shown")

    @classmethod
    def registered_name(cls) -> str:
        return "t:S"

    def rollback(self, run: Run) -> None: ...


SEED = json.loads((Path(__file__).parents[1] / "data/seeds/ocp_task_detail.json").read_text())
ROLLABLE = Flags(rollable=True)


def at(text: str) -> int:
    """Nanoseconds of a time of the example."""
    from datetime import datetime

    found = datetime.fromisoformat(text)
    return int(found.timestamp()) * SECOND + found.microsecond * 1000


# The example


@pytest.fixture
def east(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The zone of the example."""
    import time

    from oboe.api.ocp.envelope import _at

    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    _at.cache_clear()
    yield
    monkeypatch.undo()
    time.tzset()
    _at.cache_clear()


def example(site: Site) -> Held:
    """The dag of the example as it is stored: the same ids where oboe numbers in plan order, the same moments."""
    wanted = SEED["data"]
    steps = {one["id"]: one for one in wanted["subtasks"]}
    ordered = []
    while len(ordered) < len(steps):
        ordered += [one for one in steps.values() if one not in ordered and all(steps[up] in ordered for up in one["upstreams"])]
    site.agent._database.write(
        lambda session: session.many(
            "UPDATE counter SET value = ? WHERE name = ?", [(wanted["id"] - 1, "dag"), (min(steps) - 1, "sub_task")]
        )
    )
    nodes = [
        node(*((place - 1,) if place else ()), name=one["name"], flags=ROLLABLE, timeout=one["timeout"] * SECOND)
        for place, one in enumerate(ordered)
    ]
    held = site.put(*nodes, name=wanted["name"], creator="admin", created_at=at(wanted["startTime"])).wake()
    for index, one in enumerate(ordered):
        sub_task = held.dag.sub_tasks[index]
        held.now = at(one["startTime"]) - 1_000_000
        held(Started(index, sub_task.epoch, sub_task.attempt, at(one["startTime"])))
        held.now = at(one["finishTime"]) - 1_000_000
        held(Ended(index, sub_task.epoch, sub_task.attempt, at(one["finishTime"]), True, sub_task.operator))
    return held


def test_the_example_of_the_reference_page_is_reproduced_key_by_key(site: Site, east: None) -> None:
    site.users.add("admin", Secret(PASSWORD), [], who="test")
    held = example(site)
    answer = site.viewer.get(held.path)
    shown, wanted = answer.envelope, json.loads(json.dumps(SEED))

    assert list(shown) == sorted(shown)
    for mine, theirs in ((shown, wanted), (shown["data"], wanted["data"])):
        assert list(mine) == list(theirs)
    names = {one["id"]: one["name"] for one in shown["data"]["subtasks"]}
    theirs_by_id = {one["id"]: one["name"] for one in wanted["data"]["subtasks"]}
    theirs_by_name = {one["name"]: one for one in wanted["data"]["subtasks"]}
    assert [one["seriesId"] for one in shown["data"]["subtasks"]] == [0, 1, 2, 3]
    assert list(names.values()) == [one["name"] for one in sorted(theirs_by_name.values(), key=lambda one: one["startTime"])]
    for one in shown["data"]["subtasks"]:
        other = theirs_by_name[one["name"]]
        assert list(one) == list(other)
        for ends in ("upstreams", "downstreams"):
            assert [names[each] for each in one[ends]] == [theirs_by_id[each] for each in other[ends]]
        theirs_alone = {"id", "seriesId", "upstreams", "downstreams", "executor"}
        assert {key: one[key] for key in one if key not in theirs_alone} == {key: other[key] for key in other if key not in theirs_alone}
    alone = {"subtasks", "id", "executor", "creator", "finishTime"}
    assert {key: shown["data"][key] for key in shown["data"] if key not in alone} == {
        key: wanted["data"][key] for key in wanted["data"] if key not in alone
    }
    assert shown["data"]["id"] & 0xFFFFFFFF == wanted["data"]["id"]
    assert (shown["data"]["creator"]["name"], shown["data"]["creator"]["id"]) == ("admin", site.users.id_of("admin"))
    assert shown["data"]["finishTime"] == max(one["finishTime"] for one in wanted["data"]["subtasks"])
    assert re.fullmatch(r"[0-9a-f]{16}", shown["traceId"])
    assert (shown["server"], shown["status"], shown["successful"]) == ("127.0.0.1", 200, True)
    assert isinstance(shown["duration"], int)
    assert "null" not in answer.body.decode()


def test_who_asked_over_obshell_is_creator_0(shared_site: Site) -> None:
    assert shared_site.put(creator="obshell").shown()["creator"] == {"id": 0, "name": "obshell"}
    assert shared_site.put(creator="gone").shown()["creator"] == {"id": -1, "name": "gone"}


def test_a_tenant_is_named_and_what_does_not_apply_is_left_out(shared_site: Site) -> None:
    tenant = Maintenance(MaintenanceKind.TENANT, "books")
    held = shared_site.put(name="For a tenant", maintenance=tenant)
    assert held.shown()["tenant"] == {"name": "books"}
    assert "cluster" not in held.shown()
    found = shared_site.viewer.get("/instances", tenantName="books").data["contents"]
    assert [one["id"] for one in found] == [held.id]
    assert shared_site.viewer.get("/instances", tenantName="other").data["contents"] == []


def test_wide_nodes_have_places_and_whole_neighbours(shared_site: Site) -> None:
    plan = (node(name="a", agents=(None,) * 3), node(0, name="b", agents=(None, None)), node(1, name="c"))
    shown = shared_site.put(*plan).shown()["subtasks"]
    assert [one["parallelIdx"] for one in shown] == [0, 1, 2, 0, 1, -1]
    numbers = [one["id"] for one in shown]
    assert [(one["upstreams"], one["downstreams"]) for one in shown] == [
        *[([], numbers[3:5])] * 3,
        *[(numbers[:3], numbers[5:])] * 2,
        (numbers[3:5], []),
    ]


def test_a_serial_split_is_a_chain_whose_ends_alone_have_its_neighbours(shared_site: Site) -> None:
    sketch = Sketch("Split", Maintenance())
    first = sketch.stage("a", Split, agents=(None, None))
    last = sketch.serial("b", Split, agents=(None,) * 3, after=[first])
    sketch.stage("c", Split, after=[last])
    shown = shared_site.put(*sketch.plan().nodes).shown()["subtasks"]
    assert [(one["name"], one["parallelIdx"]) for one in shown] == [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2), ("c", -1)]
    one, two, *split, end = [one["id"] for one in shown]
    assert [(one["upstreams"], one["downstreams"]) for one in shown] == [
        ([], split[:1]),
        ([], split[:1]),
        ([one, two], split[1:2]),
        (split[:1], split[2:]),
        (split[1:2], [end]),
        (split[2:], []),
    ]


def test_an_empty_split_is_refused_whichever_way_it_is_split() -> None:
    with pytest.raises(Refused, match="has no sub-tasks"):
        Sketch("Split", Maintenance()).serial("b", Split, agents=())
    sketch = Sketch("Split", Maintenance())
    sketch.stage("b", Split, agents=())
    with pytest.raises(Refused, match="has no sub-tasks"):
        plans.check(sketch.plan())


# Pages, order, filters


@pytest.fixture(scope="module")
def library(shared_site: Site) -> Site:
    """Twelve tasks called Volume 01 … 12, the even ones over, the third ones FAILED."""
    for place in range(1, 13):
        held = shared_site.put(name=f"Volume {place:02d} 100%", creator="obshell", created_at=1_700_000_000 * SECOND + place * SECOND)
        held.wake()
        if place % 3 == 0:
            held.finish(0, ok=False)
        elif place % 2 == 0:
            held.finish(0)
    return shared_site


def volumes(site: Site, **query: Any) -> list[int]:
    contents = site.viewer.get("/instances", **{"name": "volume", "size": 100, **query}).data["contents"]
    return [int(one["name"].split()[1]) for one in contents]


def test_the_first_page_is_1_and_the_newest_come_first(library: Site) -> None:
    first = library.viewer.get("/instances", name="Volume").data
    assert [one["name"][7:9] for one in first["contents"]] == [f"{place:02d}" for place in range(12, 2, -1)]
    assert first["page"] == {"number": 1, "size": 10, "totalElements": 12, "totalPages": 2}
    second = library.viewer.get("/instances", name="Volume", page=2).data
    assert [one["name"][7:9] for one in second["contents"]] == ["02", "01"]
    past = library.viewer.get("/instances", name="Volume", page=9, size=5).data
    assert (past["contents"], past["page"]) == ([], {"number": 9, "size": 5, "totalElements": 12, "totalPages": 3})


@pytest.mark.parametrize("query", [{"size": 0}, {"size": -1}, {"size": "x"}, {"page": 0}, {"page": "x"}, {"size": "\uff11"}])
def test_pages_that_are_none_are_refused(library: Site, query: dict[str, Any]) -> None:
    assert library.viewer.get("/instances", **query).error == (400, 10001)


def test_a_size_that_is_too_large_is_the_largest(library: Site) -> None:
    assert library.viewer.get("/instances", size=2001).data["page"]["size"] == 2000
    assert library.viewer.get("/instances", size=10**19).error[0] == 400


@pytest.mark.parametrize("field", ["id", "name", "startTime", "createTime"])
def test_each_documented_field_sorts(library: Site, field: str) -> None:
    assert volumes(library, sort=f"{field},asc") == list(range(1, 13))
    assert volumes(library, sort=f"{field},desc") == list(range(12, 0, -1))


def test_status_and_end_sort_too(library: Site) -> None:
    statuses = [one["status"] for one in library.viewer.get("/instances", name="Volume", size=100, sort="status,asc").data["contents"]]
    assert statuses == sorted(statuses)
    assert volumes(library, sort="finishTime,desc")[0] == 12


@pytest.mark.parametrize("sort", ["subtasks,asc", "id,sideways", "password"])
def test_an_unknown_order_is_refused(library: Site, sort: str) -> None:
    assert library.viewer.get("/instances", sort=sort).error == (400, 10001)


def test_status_filters(library: Site) -> None:
    failed, done = [12, 9, 6, 3], [10, 8, 4, 2]
    assert volumes(library, status="FAILED") == failed
    assert volumes(library, status="SUCCESSFUL") == done
    assert volumes(library, status="failed,SUCCESSFUL") == sorted(failed + done, reverse=True)
    assert volumes(library, status=["FAILED", "SUCCESSFUL"]) == sorted(failed + done, reverse=True)
    assert volumes(library, status="") == list(range(12, 0, -1))


def test_unknown_words_are_refused_with_those_that_there_are(library: Site) -> None:
    for name, known in (("status", "SUCCESSFUL"), ("type", "SYS_ONCE"), ("operation", "ROLLBACK"), ("objectType", "TENANT")):
        answer = library.viewer.get("/instances", **{name: "NONSENSE"})
        assert answer.error == (400, 10001)
        assert known in answer.envelope["error"]["message"]


def test_names_are_taken_as_they_are_written(library: Site) -> None:
    assert volumes(library, name="volume 1") == [12, 11, 10]
    assert volumes(library, name="100%") == list(range(12, 0, -1))
    assert volumes(library, name="_olume") == []
    assert volumes(library, name="%") == list(range(12, 0, -1))


def test_old_spellings_are_taken(library: Site) -> None:
    assert volumes(library, type="SYS_ONECE") == volumes(library, type="SYS_ONCE") == []
    assert volumes(library, type="MANUAL,SYS_ONECE") == list(range(12, 0, -1))
    assert volumes(library, cluterName="elsewhere") == volumes(library, clusterName="elsewhere") == []


def test_more_filters(library: Site) -> None:
    assert volumes(library, creator="obshell", status="FAILED") == [12, 9, 6, 3]
    assert volumes(library, creator="manager") == []
    assert volumes(library, operation="EXECUTE") == list(range(12, 0, -1))
    assert volumes(library, operation="RETRY,ROLLBACK") == []
    assert volumes(library, hostId=0) == list(range(12, 0, -1))
    assert volumes(library, hostId=7) == volumes(library, objectType="HOST", objectId=7) == []
    assert volumes(library, clusterId=1) == volumes(library, tenantId=5) == volumes(library, objectType="TENANT") == []
    stamp = library.viewer.get("/instances", name="Volume 05").data["contents"][0]["startTime"]
    assert volumes(library, startTimeFrom=stamp, sort="id,asc") == list(range(5, 13))
    assert volumes(library, startTimeTo=stamp, sort="id,asc") == [1, 2, 3, 4]
    assert library.viewer.get("/instances", startTimeFrom="yesterday").error == (400, 10001)


def test_a_list_says_the_operation_so_a_rolled_back_task_is_seen(library: Site) -> None:
    held = library.put(name="Rolled back").wake().finish(0, ok=False)(Rollback()).wake().finish_all()
    (basic,) = library.viewer.get("/instances", name="Rolled back").data["contents"]
    assert (basic["id"], basic["status"], basic["operation"]) == (held.id, "SUCCESSFUL", "ROLLBACK")
    assert [one["name"] for one in library.viewer.get("/instances", operation="ROLLBACK").data["contents"]] == ["Rolled back"]


def test_counts_per_status(library: Site) -> None:
    assert library.viewer.get("/instances/summary", name="Volume").data == {"FAILED": 4, "RUNNING": 4, "SUCCESSFUL": 4}


# Errors


def test_every_error_has_its_status_and_code(library: Site) -> None:
    held, fixed = library.put(), library.put(node(name="fixed", flags=Flags(skippable=True)))
    fixed.wake().start(0).finish(0, ok=False)
    reader, manager = library.viewer, library.manager
    assert reader.get("/instances/1").error == (404, 20000), "there is no cluster"
    assert reader.get(f"/instances/{library.id_of(held.dag, 999_999)}").error == (404, 20000)
    assert (
        reader.get(f"/instances/{1 << 53}").error == reader.get("/instances/-5").error == reader.get("/instances/0").error == (404, 20000)
    )
    assert reader.get(f"/instances/{(1 << 52) + (9 << 32) + 1}").error == (404, 20000), "there is no agent 9"
    assert reader.get("/instances/abc").error == reader.get("/instances/creators").error == (400, 10001)
    assert manager.post(f"{held.path}/retry").error == (400, 20003)
    assert manager.post(f"{fixed.path}/rollback").error == (400, 20004)
    assert library.client().get(held.path).error == (401, 30000)
    assert reader.post(f"{held.path}/retry").error == library.nobody.get(held.path).error == (403, 30014)
    assert reader.get("/nonsense").error == reader.get("/api/v2/other").error == reader("PUT", held.path).error == (404, 10002)
    stale = manager.post(f"{held.path}/retry", headers={"If-Match": '"77"'})
    assert stale.error == manager.post(f"{held.path}/retry", expectedVersion=77).error == (409, 20003)


def test_an_error_says_what_is_and_what_may_be_asked(library: Site) -> None:
    held = library.put().wake().start(0).finish(0, ok=False)
    answer = library.manager.post(f"{held.sub_path(0)}/cancel")
    error = answer.envelope["error"]
    assert list(answer.envelope) == ["duration", "error", "server", "status", "successful", "timestamp", "traceId"]
    assert (error["code"], error["target"]) == (20003, str(held.sub_id(0)))
    assert "FAILED/EXECUTE" in error["debugMessage"]
    assert "RETRY, ROLLBACK" in error["debugMessage"]


@pytest.mark.parametrize(
    ("language", "word"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "任务不存在"), ("en-US,zh;q=0.5", "does not exist"), ("", "does not"), ("fr", "does not")],
)
def test_messages_are_english_or_chinese(library: Site, language: str, word: str) -> None:
    answer = (
        library.viewer.get("/instances/1", **{})
        if not language
        else library.viewer("GET", "/instances/1", headers={"Accept-Language": language})
    )
    assert word in answer.envelope["error"]["message"]


def test_a_sub_task_of_another_task_is_not_found(library: Site) -> None:
    one, other = library.put().wake().finish(0, ok=False), library.put().wake().finish(0, ok=False)
    for word in ("retry", "skip", "cancel"):
        assert library.manager.post(f"{one.path}/subtasks/{other.sub_id(0)}/{word}").error == (404, 20000)
    assert library.viewer.get(f"{one.path}/subtasks/{other.sub_id(0)}/log").error == (404, 20000)


def test_the_version_of_a_task_is_its_etag(library: Site) -> None:
    held = library.put()
    before = library.viewer.get(held.path).headers["etag"]
    held.wake()
    assert library.viewer.get(held.path).headers["etag"] != before
