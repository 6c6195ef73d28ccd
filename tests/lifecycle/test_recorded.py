"""What was recorded of the original is lived again by agents of oboe, and answered the same: refusals, dags, twins, their log lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any
from unittest import mock

import pytest

from oboe.domain.errors import StepFailed
from oboe.kit import Run
from oboe.playbooks.cluster import scale_in, scale_out
from tests.api.client import Received
from tests.lifecycle.cluster import asked, leaves, scope
from tests.lifecycle.lived import LIVED
from tests.lifecycle.recorded import PASSED, PLAIN, Cast, compared, dag_of, differences, exchange_of
from tests.spine.host import Host, eventually
from tests.spine.plant import planted
from tests.spine.world import PASSWORD, World

JOIN, CONFIG, INIT, SCALE_OUT = "10_join.jsonl", "11_config.jsonl", "12_init.jsonl", "20_scaleout_existing_zone.jsonl"
SCALE_IN, STOP_START, FORCED, RACE = "30_scale_in.jsonl", "31_stop_start.jsonl", "32_scale_in_force.jsonl", "33_race.jsonl"
FAILED, CANCELLED = "40_fail_add_server_retry.jsonl", "42_scale_in_cancel_pass.jsonl"
UNDO_FAILED, REMOVED = "43_rollback_fails_retry.jsonl", "70_join_remove.jsonl"


class Stage:
    """The cluster of the recordings: a1 the MASTER in zone1, a2, a3, and a4 that is taken in; others come and go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cast = Cast()
        self.agents: dict[int, Host] = {}
        self.found: dict[str, dict[str, list[str]]] = {}
        """Problems, by recording and what was compared."""

    def members(self) -> None:
        """The four that stay, in the recorded order of their addresses."""
        for number, host in enumerate(sorted((self.world.host() for _ in range(4)), key=lambda host: host.address.port), 1):
            self.agents[number] = host
            self.cast.plays(number, agent=host.address.port)

    def enters(self, number: int) -> None:
        self.agents[number] = self.world.host()
        self.cast.plays(number, agent=self.agents[number].address.port)

    def has_database(self, number: int) -> None:
        port = self.agents[number].address.port
        ((database,),) = self.world.store.rows(f"SELECT rpc_port FROM server WHERE agent_port = {port}")
        self.cast.plays(number, agent=port, database=database)

    def leaves(self, number: int) -> None:
        self.world.forget(self.agents.pop(number))

    def asked(self, at: int, method: str, path: str, body: Any = None, *, password: str = PASSWORD) -> Received:
        return asked(self.agents[at], method, path, body, password=password)

    def dag(self, at: int, dag_id: str, *, password: str = PASSWORD) -> dict[str, Any]:
        """Once it is over."""

        def over() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.asked(at, "GET", f"/task/dag/{dag_id}", password=password).data
            return shown if shown["state"] in ("SUCCEED", "FAILED") else None

        return eventually(over)  # type: ignore[no-any-return]

    def waits(self, at: int, dag_id: str, *, node: int, times: int) -> dict[str, Any]:
        """Once that node runs for that time."""

        def runs() -> dict[str, Any] | None:
            shown: dict[str, Any] = self.asked(at, "GET", f"/task/dag/{dag_id}").data
            (sub_task,) = shown["nodes"][node]["sub_tasks"]
            return shown if (sub_task["state"], sub_task["execute_times"]) == ("RUNNING", times) else None

        return eventually(runs)  # type: ignore[no-any-return]

    def operator(self, dag: dict[str, Any], file: str) -> Callable[..., Received]:
        """Asks an operator of a dag, or of one of its nodes, as was recorded under that note."""

        def ask(operator: str, note: str, *, node: int | None = None) -> Received:
            path = f"/task/dag/{dag['id']}" if node is None else f"/task/node/{dag['nodes'][node]['id']}"
            return self.answered(self.asked(1, "POST", path, {"operator": operator}), file, note)

        return ask

    # Beside the recordings

    def answered(self, received: Received, file: str, note: str) -> Received:
        """As recorded: status, code, the envelope's members, and what was made."""
        recorded = exchange_of(file, note) if not note.startswith("delete") else exchange_of(file, note, "DELETE")
        problems = []
        if (received.status, received.code if received.status >= 400 else "") != (recorded.status, recorded.code):
            problems = [f"{received.status} {received.body[:300]!r}, recorded {recorded.status} {recorded.code}"]
        elif recorded.envelope:
            problems = differences(list(recorded.envelope), list(received.envelope), "envelope")
            data, shown = recorded.envelope.get("data"), received.envelope.get("data")
            problems += differences(self.cast.normal(data), self.cast.normal(shown), "data")
        self.note(file, note, problems)
        return received

    def shown(self, dag: dict[str, Any], file: str, *rows: str, **is_so: Any) -> dict[str, Any]:
        """As the last recorded view of the dag that is so; ``rows`` of the wanted differences apply here."""
        recorded = dag_of(file, **is_so)
        name = re.sub(r" \S+:\d+", " …", recorded["name"])
        self.note(file, f"*{name}* {recorded['state']}/{recorded['operator']}", compared(self.cast, recorded, dag, rows))
        return dag

    def note(self, file: str, what: str, problems: list[str]) -> None:
        self.found.setdefault(file, {}).setdefault(what, []).extend(problems)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[Stage]:
    """After 10, 11, 12 and 20."""
    world = World(Path(tmp_path_factory.mktemp("recorded")), store_port)
    stage = Stage(world)
    try:
        _join(stage)
        _configure(stage)
        _init(stage)
        _scale_out(stage)
        yield stage
    finally:
        world.end()


def _join(stage: Stage) -> None:
    stage.members()
    master = stage.agents[1]
    for number, note in ((1, "join self"), (2, "join 2 to master"), (3, "join 3 to master")):
        body = {"agentInfo": {"ip": "127.0.0.1", "port": master.address.port}, "zoneName": f"zone{number}"}
        made = stage.answered(stage.asked(number, "POST", "/agent/join", body, password=""), JOIN, note)
        name = "Join self" if number == 1 else "Join to master"
        stage.shown(stage.dag(number, made.data["id"], password=""), JOIN, name=name)


def _configure(stage: Stage) -> None:
    for number in (1, 2, 3):
        target = [str(stage.agents[number].address)]
        body = {"observerConfig": {"memory_limit": "8G"}, "restart": False, "scope": {"type": "SERVER", "target": target}}
        made = stage.answered(stage.asked(1, "POST", "/observer/config", body, password=""), CONFIG, f"observer config {number}")
        stage.shown(stage.dag(1, made.data["id"], password=""), CONFIG, name="Update observer config")
    body = {"clusterId": 7, "clusterName": "lab", "rootPwd": PASSWORD}
    made = stage.answered(stage.asked(1, "POST", "/obcluster/config", body, password=""), CONFIG, "obcluster config")
    eventually(lambda: stage.asked(1, "GET", "/ob/agents").status == 200)
    stage.shown(stage.dag(1, made.data["id"]), CONFIG, name="Update cluster config")


def _init(stage: Stage) -> None:
    stage.agents[1].troubles.hold("start")
    body = {"import_script": False, "create_proxyro_user": True, "proxyro_password": "ppp"}
    made = stage.answered(stage.asked(1, "POST", "/ob/init", body), INIT, "init")
    stage.answered(stage.asked(1, "POST", "/ob/init"), INIT, "second init while one runs")
    stage.answered(stage.asked(1, "POST", "/obcluster/config", {"clusterId": 8, "clusterName": "x"}), INIT, "config while init runs")
    stage.agents[1].troubles.release("start")
    stage.shown(stage.dag(1, made.data["id"]), INIT, name="Initialize cluster")
    for number in (1, 2, 3):
        stage.has_database(number)
    for number in (2, 3):
        own = stage.asked(number, "GET", "/task/dag/maintain/agent").data
        stage.shown(own, INIT, name="Synchronize agent from cluster")


def _scale_out(stage: Stage) -> None:
    made = stage.answered(_scaled_out(stage, 4, "zone1"), SCALE_OUT, "scale_out")
    stage.shown(stage.dag(1, made.data["id"]), SCALE_OUT, name="Cluster scale out")
    stage.has_database(4)
    stage.shown(stage.asked(4, "GET", "/task/dag/maintain/agent").data, SCALE_OUT, name="Local scale out")


def _scaled_out(stage: Stage, number: int, zone: str) -> Received:
    where = {"ip": "127.0.0.1", "port": stage.agents[number].address.port}
    return stage.asked(1, "POST", "/ob/scale_out", {"agentInfo": where, "zone": zone, "obConfigs": {"memory_limit": "8G"}})


def assert_same(stage: Stage, file: str) -> None:
    """Of that recording everything was compared that the page of conformance says, and nothing differs."""
    found = stage.found[file]
    assert sorted(found) == sorted(LIVED[file]), f"tests.lifecycle.lived.LIVED[{file!r}] = {tuple(found)}"
    wrong = [f"{what}: {problem}" for what, problems in found.items() for problem in problems]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("file", [JOIN, CONFIG, INIT, SCALE_OUT])
def test_a_cluster_is_made_as_recorded(stage: Stage, file: str) -> None:
    assert_same(stage, file)


def test_scale_in_and_delete_zone_are_as_recorded(stage: Stage) -> None:
    stage.enters(5)
    made = _scaled_out(stage, 5, "zone4")
    stage.shown(stage.dag(1, made.data["id"]), SCALE_IN, name="Cluster scale out", max_stage=11)
    stage.has_database(5)
    made = stage.answered(stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[5])), SCALE_IN, "scale_in agent 5")
    stage.shown(stage.dag(1, made.data["id"]), SCALE_IN, name="Cluster scale in")
    killed = stage.asked(5, "GET", "/task/dag/maintain/agent").data
    stage.shown(killed, SCALE_IN, name="Kill observer")
    made = stage.answered(stage.asked(1, "DELETE", "/zone/zone4"), SCALE_IN, "delete zone4")
    stage.shown(stage.dag(1, made.data["id"]), SCALE_IN, name="Delete zone")
    stage.answered(stage.asked(1, "DELETE", "/zone/zone4"), SCALE_IN, "delete zone4 again")
    stage.leaves(5)
    assert_same(stage, SCALE_IN)


def test_stop_and_start_are_as_recorded(stage: Stage) -> None:
    for path, body, note, rows in (
        ("/ob/stop", scope(stage.agents[4]), "stop server a4", [PLAIN]),
        ("/ob/start", scope(stage.agents[4]), "start server a4", [PLAIN]),
        ("/ob/stop", scope(stage.agents[3], force=True), "force stop a3", []),
        ("/ob/start", {"scope": {"type": "ZONE", "target": ["zone3"]}}, "start zone3", []),
    ):
        recorded = exchange_of(STOP_START, note).envelope["data"]["id"]
        made = stage.answered(stage.asked(1, "POST", path, body), STOP_START, note)
        main = stage.shown(stage.dag(1, made.data["id"]), STOP_START, *rows, id=recorded)
        theirs = dag_of(STOP_START, id=recorded)["additional_data"]["sub_dags"]
        ours = main["additional_data"]["sub_dags"]
        for number in (1, 2, 3, 4):
            part = stage.dag(1, ours[str(stage.agents[number].address)])
            if any(dag["id"] == theirs[f"127.0.0.1:{3885 + number}"] for dag in _detailed(STOP_START)):
                stage.shown(part, STOP_START, *rows, id=theirs[f"127.0.0.1:{3885 + number}"])
    assert_same(stage, STOP_START)


def test_a_forced_scale_in_is_as_recorded(stage: Stage) -> None:
    stage.enters(8)
    assert stage.dag(1, _scaled_out(stage, 8, "zone1").data["id"])["state"] == "SUCCEED"
    stage.has_database(8)
    made = stage.answered(
        stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[8], force=True)), FORCED, "scale_in agent 8 force_kill"
    )
    stage.shown(stage.dag(1, made.data["id"]), FORCED, name="Cluster scale in")
    stage.leaves(8)
    assert_same(stage, FORCED)


def test_a_scale_out_that_fails_and_its_operators_are_as_recorded(stage: Stage) -> None:
    stage.enters(6)
    with planted(scale_out.AddServer, times=1):
        made = stage.answered(_scaled_out(stage, 6, "zone2"), FAILED, "scale_out6")
        failed = stage.dag(1, made.data["id"])
    ((rpc_port,),) = stage.world.store.rows(f"SELECT rpc_port FROM server WHERE agent_port = {stage.agents[6].address.port}")
    stage.cast.plays(6, agent=stage.agents[6].address.port, database=rpc_port)
    stage.shown(failed, FAILED, name="Cluster scale out", state="FAILED")
    operate = stage.operator(failed, FAILED)
    for operator in ("CANCEL", "PASS", "RUN", "CONTINUE", "", "retry "):
        operate(operator, f"failed at add server: illegal {operator!r}")
    stage.enters(7)
    stage.answered(_scaled_out(stage, 7, "zone3"), FAILED, "second scale_out while one is FAILED")
    stage.leaves(7)
    stage.answered(stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[4])), FAILED, "scale_in while scale_out FAILED")
    operate("PASS", "node operator PASS", node=6)
    operate("RETRY", "node operator RETRY", node=6)
    operate("PASS", "PASS of a succeeded node", node=0)
    operate("retry", "operator retry")
    done = stage.dag(1, failed["id"])
    stage.shown(done, FAILED, name="Cluster scale out", state="SUCCEED", max_stage=9, stage=9, dag_id=5)
    for operator in ("RETRY", "ROLLBACK", "PASS", "CANCEL"):
        operate(operator, f"{operator} of SUCCEED")
    twin = stage.asked(6, "GET", "/task/dag/maintain/agent").data
    stage.shown(twin, FAILED, name="Local scale out", state="SUCCEED")
    _forced_out(stage, 6)
    assert_same(stage, FAILED)


def test_cancel_retry_rollback_and_pass_are_as_recorded(stage: Stage) -> None:
    stage.enters(6)
    stage.dag(1, _scaled_out(stage, 6, "zone2").data["id"])
    stage.has_database(6)

    def held(self: object, run: Run) -> None:
        run.wait_until(lambda: False, why="the test", timeout=60)

    with mock.patch.object(scale_in.WaitDeleted, "run", held):
        made = stage.answered(stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[6])), CANCELLED, "scale_in 6 (delete held)")
        running = stage.waits(1, made.data["id"], node=2, times=1)
        operate = stage.operator(running, CANCELLED)
        stage.enters(8)
        stage.answered(_scaled_out(stage, 8, "zone3"), CANCELLED, "scale_out while scale_in RUNNING")
        stage.leaves(8)
        for operator in ("PASS", "ROLLBACK", "RETRY"):
            operate(operator, f"{operator} of RUNNING")
        operate("PASS", "node PASS of RUNNING", node=2)
        operate("CANCEL", "operator CANCEL")
        stage.shown(stage.dag(1, running["id"]), CANCELLED, name="Cluster scale in", noted="5 s after cancel")
        operate("CANCEL", "CANCEL of cancelled")
        operate("RETRY", "RETRY of cancelled")
        stage.waits(1, running["id"], node=2, times=3)
        operate("CANCEL", "CANCEL the retry")
        stage.dag(1, running["id"])
        operate("ROLLBACK", "ROLLBACK of cancelled")
    stage.shown(stage.dag(1, running["id"]), CANCELLED, name="Cluster scale in", operator="ROLLBACK", state="SUCCEED")

    with mock.patch.object(scale_in.DeleteObserver, "run", _refused):
        made = stage.answered(stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[6])), CANCELLED, "scale_in 6 (delete refused)")
        failed = stage.shown(stage.dag(1, made.data["id"]), CANCELLED, name="Cluster scale in", state="FAILED", operator="RUN")
        stage.operator(failed, CANCELLED)("PASS", "operator PASS")
        stage.shown(stage.dag(1, failed["id"]), CANCELLED, name="Cluster scale in", operator="PASS")
        failed = stage.dag(1, stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[6])).data["id"])
    stage.operator(failed, CANCELLED)("pass", "node PASS", node=0)
    stage.shown(stage.dag(1, failed["id"]), CANCELLED, PASSED, name="Cluster scale in", operator="RUN", state="SUCCEED")
    stage.leaves(6)
    assert_same(stage, CANCELLED)


def _refused(self: object, run: Run) -> None:
    raise StepFailed("test.refused", "delete observer failed")


def test_a_rollback_that_fails_is_as_recorded(stage: Stage) -> None:
    stage.enters(6)
    with planted(scale_out.AddServer, times=1), planted(scale_out.AddZone, where="rollback", times=1):
        made = stage.answered(_scaled_out(stage, 6, "zone6"), UNDO_FAILED, "scale_out6b")
        failed = stage.dag(1, made.data["id"])
        stage.shown(failed, UNDO_FAILED, name="Cluster scale out", state="FAILED", operator="RUN", stage=9)
        operate = stage.operator(failed, UNDO_FAILED)
        operate("ROLLBACK", "operator ROLLBACK")
        stage.shown(stage.dag(1, failed["id"]), UNDO_FAILED, name="Cluster scale out", state="FAILED", operator="ROLLBACK")
    operate("PASS", "PASS of a dag failed in rollback")
    operate("CANCEL", "CANCEL of a dag failed in rollback")
    operate("ROLLBACK", "ROLLBACK again")
    undone = stage.dag(1, failed["id"])
    assert (undone["state"], undone["operator"], undone["stage"]) == ("SUCCEED", "ROLLBACK", 1)
    stage.leaves(6)
    assert_same(stage, UNDO_FAILED)


def test_of_several_who_ask_at_once_one_wins_as_recorded(stage: Stage) -> None:
    stage.enters(6)
    stage.dag(1, _scaled_out(stage, 6, "zone1").data["id"])
    stage.has_database(6)
    notes = {200: "race 3", 500: "race 1"}
    all_asked, goes_on = Event(), scale_in.WaitDeleted.run

    def held(self: scale_in.WaitDeleted, run: Run) -> None:
        """Who asks after it is over is told that there is nothing to do."""
        run.wait_until(all_asked.is_set, why="the test", timeout=60)
        goes_on(self, run)

    with mock.patch.object(scale_in.WaitDeleted, "run", held):
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda at: stage.asked(at, "POST", "/ob/scale_in", leaves(stage.agents[6])), (1, 2, 1, 3, 2)))
        all_asked.set()
        assert sorted(each.status for each in answers) == [200, 500, 500, 500, 500]
        for each in answers:
            stage.answered(each, RACE, notes[each.status])
        won = next(each for each in answers if each.status == 200)
        stage.cast.plays(4, agent=stage.agents[6].address.port)
        assert stage.dag(1, won.data["id"])["state"] == "SUCCEED"
    stage.cast.plays(4, agent=stage.agents[4].address.port)
    stage.leaves(6)
    assert_same(stage, RACE)


def test_joins_and_removals_are_as_recorded(stage: Stage) -> None:
    for number in (11, 12):
        stage.enters(number)
    master, other = stage.agents[11], stage.agents[12]
    self_join = {"agentInfo": {"ip": "127.0.0.1", "port": master.address.port}, "zoneName": "z1"}
    asked = partial(stage.asked, password="")
    made = stage.answered(asked(11, "POST", "/agent/join", self_join), REMOVED, "join self")
    stage.shown(stage.dag(11, made.data["id"], password=""), REMOVED, name="Join self")
    stage.answered(asked(11, "POST", "/agent/join", self_join), REMOVED, "join self as MASTER")
    body = {**self_join, "zoneName": "z2"}
    stage.answered(asked(12, "POST", "/agent/join", {**body, "zoneName": ""}), REMOVED, "empty zone name")
    made = stage.answered(asked(12, "POST", "/agent/join", {**body, "masterPassword": "wrong"}), REMOVED, "wrong masterPassword")
    stage.shown(stage.dag(12, made.data["id"], password=""), REMOVED, name="Join to master", state="SUCCEED")
    where = {"ip": "127.0.0.1", "port": other.address.port}
    for at, note in ((11, "remove B at master"), (12, "follower removes itself")):
        made = stage.answered(asked(at, "POST", "/agent/remove", where), REMOVED, note)
        stage.shown(stage.dag(11, made.data["id"], password=""), REMOVED, name="Remove follower agent 127.0.0.1:3897", dag_id=2)
        eventually(lambda: other.identity == "SINGLE")
        stage.shown(asked(12, "GET", "/task/dag/maintain/agent").data, REMOVED, name="Agent to single")
        if at == 11:
            stage.answered(asked(11, "POST", "/agent/remove", where), REMOVED, "remove B again")
            made = stage.answered(asked(12, "POST", "/agent/join", body), REMOVED, "join B again")
            stage.dag(12, made.data["id"], password="")
    for number in (11, 12):
        stage.world.hosts.remove(stage.agents[number])
        stage.agents.pop(number).end()
    assert_same(stage, REMOVED)


def _forced_out(stage: Stage, number: int) -> None:
    made = stage.asked(1, "POST", "/ob/scale_in", leaves(stage.agents[number], force=True))
    assert stage.dag(1, made.data["id"])["state"] == "SUCCEED"
    stage.leaves(number)


def _detailed(file: str) -> list[Any]:
    from tests.api.exchanges import read

    return [dag for each in read(file) for dag in each.dags if dag["nodes"]]
