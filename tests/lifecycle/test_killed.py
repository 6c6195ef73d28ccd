"""Agents that are killed at a node of *Start OB*, *Stop OB*, a scale in, a rebuild, or of what undoes them, and come back: the dag ends.

The work of the node is done then, and nobody knows. ``make kills`` does it at every node; the suite only where something outside the agent
was changed (marked ``*``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import httpx
import pytest

from oboe.cli.client import OWN
from oboe.cli.dags import FAILED, DagShown, read_dag
from oboe.cli.failure import AnswerError
from oboe.domain.errors import OboeError
from tests.lifecycle.cluster import everything, leaves, runs, scope
from tests.lifecycle.test_leaving import joins
from tests.spine.host import Host, eventually
from tests.spine.test_killed_everywhere import EVERYWHERE, meant
from tests.spine.world import World, lines, shape

Gates = Mapping[Host, Sequence[str]]

START = ("InformStart", "MakeSureStart", "AdvanceStart", "WaitStart", "StartZone", "EndStart *")
STARTED = ("StartPreparations", "CheckProcess", "StartObserver *", "ExecuteStart", "WaitForEnd")
STOP = ("InformStop *", "MakeSureStop", "AdvanceStop", "WaitStop", "EndStop")
PLAIN = (*STOP[:-1], "ExecuteStop *", STOP[-1])
STOPPED = ("StartPreparations", "StopObserver *", "WaitForEnd")
STOPPED_BY_WORD = ("StartPreparations", "WaitForEnd *")
IN = ("DeleteObserver", "SetScalingIn *", "WaitDeleted", "DeleteAgent *", "InformKill")
FORCED = ("DeleteObserver", "SetScalingIn", "CheckAlive", "InformKill", "WaitDeleted", "DeleteAgent")
UNDONE = ("WaitDeleted.undo", "InformKill.undo *", "CheckAlive.undo", "SetScalingIn.undo", "DeleteObserver.undo")
REBUILT = ("StopOld", "Wipe *", "Deploy", "Clone *")


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[World]:
    """A cluster of two in processes of their own, and a third to come and go."""
    world = World(tmp_path_factory.mktemp("killed"), store_port)
    try:
        first, second, _ = (world.host(apart=True) for _ in range(3))
        world.gather(first, second)
        world.good(world.over(first, world.init(first)))
        yield world
    finally:
        world.end()


def shown(world: World, host: Host, dag: DagShown) -> DagShown | None:
    """None: whoever was asked has just been killed, or the cluster has nobody to answer for it."""
    try:
        return world.dag(host, dag.id)
    except (OboeError, AnswerError, httpx.HTTPError):
        return None


def killed_until_over(world: World, asked: Host, dag: DagShown, gates: Gates) -> DagShown:
    """Kill whoever stands at a gate, open it everywhere, begin the agent again, until the dag is over; somebody stood at each gate."""
    left = {(host, step) for host, steps in gates.items() for step in steps}

    def over() -> DagShown | None:
        for host in gates:
            if step := host.at_gate():
                host.kill()
                for other in gates:  # a step of the cluster's may go on at another agent
                    other.open_gate(step)
                left.difference_update({(other, step) for other in gates})
                host.begin()
        now = shown(world, asked, dag)
        return now if now is not None and now.finished else None

    found: DagShown = eventually(over, 400.0)
    assert not left, (left, shape(found), lines(found))
    return found


def gated(gates: Mapping[Host, Sequence[str]]) -> Gates:
    chosen = {host: meant(steps) for host, steps in gates.items()}
    for host, steps in chosen.items():
        host.gate(*steps)
    return chosen


def ended_well(world: World, asked: Host, dag: DagShown) -> DagShown:
    """It succeeded; a FAILED one must be retryable, once or twice, to the same end."""
    for _ in range(2):
        if dag.state != FAILED:
            break
        world.operator(asked, dag, "RETRY")
        dag = eventually(lambda dag=dag: (now := shown(world, asked, dag)) and now.finished and now, 400.0)
    return world.good(dag)


def free(world: World) -> None:
    for host in world.hosts:
        eventually(lambda host=host: host.public("/api/v1/status").get("underMaintenance") is False)


CASES = [
    ("/ob/stop", {}, PLAIN, STOPPED_BY_WORD, False),
    ("/ob/start", {}, [step for step in START if step != "StartZone"], STARTED, True),
    ("/ob/stop", {"force": True}, STOP, STOPPED, False),
    ("/ob/start", {"zone": "zone2"}, START, STARTED, True),
]


@pytest.mark.parametrize(("path", "more", "main", "parts", "serves"), CASES, ids=["stop", "start", "stop by force", "start of the zone"])
def test_the_asked_agent_and_the_target_are_killed(
    trio: World, path: str, more: dict[str, object], main: Sequence[str], parts: Sequence[str], serves: bool
) -> None:
    if not EVERYWHERE and more:
        pytest.skip("make kills")
    first, second = trio.hosts[:2]
    zone = more.get("zone")
    body = {"scope": {"type": "ZONE", "target": [zone]}} if zone else scope(second, **more)
    gates = gated({first: main, second: parts})
    dag = killed_until_over(trio, first, trio.ask(first, path, body), gates)
    ended_well(trio, first, dag)
    eventually(lambda: runs(second) is serves)
    free(trio)


@pytest.mark.skipif(not EVERYWHERE, reason="make kills")
@pytest.mark.parametrize("path", ["/ob/stop", "/ob/start"])
def test_an_agent_is_killed_while_everything_stops_or_starts(trio: World, path: str) -> None:
    """While there is no cluster's store: the asked agent is the standby's, the killed ones are both."""
    first, second = trio.hosts[:2]
    if path == "/ob/stop":
        gates = gated({second: [*STOP, "MinorFreeze"], first: STOPPED})
        body = everything(terminate=True)
    else:
        gates = gated({second: START, first: STARTED})
        body = everything()
    dag = killed_until_over(trio, second, trio.ask(second, path, body), gates)
    ended_well(trio, second, dag)
    for host in (first, second):
        eventually(lambda host=host: runs(host) is (path == "/ob/start"))
    free(trio)


def scaled_out(world: World) -> Host:
    first, _, third = world.hosts
    world.good(world.over(first, world.scale_out(first, third, zone="zone3")))
    return third


def test_a_scale_in_is_undone_and_its_agents_are_killed(trio: World) -> None:
    first, second = trio.hosts[:2]
    third = scaled_out(trio)
    for host in (first, second):
        host.plant("WaitDeleted")
    dag = trio.failed(first, trio.ask(first, "/ob/scale_in", leaves(third, force=True)))
    for host in (first, second):
        (host.own / "plant.WaitDeleted").unlink(missing_ok=True)
    gates = gated({first: UNDONE, second: UNDONE, third: ["StartForRollback"]})
    trio.operator(first, dag, "ROLLBACK")
    dag = killed_until_over(trio, first, dag, gates)
    while dag.state == FAILED:
        trio.operator(first, dag, "ROLLBACK")
        dag = eventually(lambda dag=dag: (now := shown(trio, first, dag)) and now.finished and now, 400.0)
    trio.undone(dag)
    assert third.identity == "CLUSTER AGENT"
    eventually(lambda: runs(third))
    free(trio)
    trio.good(trio.over(first, trio.ask(first, "/ob/scale_in", leaves(third))))
    eventually(lambda: third.identity == "SINGLE")


@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
def test_a_scale_in_whose_maintainer_and_leaver_are_killed(trio: World, force: bool) -> None:
    if not EVERYWHERE and force:
        pytest.skip("make kills")
    first, second = trio.hosts[:2]
    third = scaled_out(trio)
    steps = FORCED if force else IN
    gates = gated({first: steps, second: steps, third: ["KillObserver *"]})
    dag = killed_until_over(trio, first, trio.ask(first, "/ob/scale_in", leaves(third, force=force)), gates)
    ended_well(trio, first, dag)
    eventually(lambda: third.identity == "SINGLE")
    assert not third.base.exists()
    free(trio)
    assert third.address.port not in trio.members() | trio.servers()


@pytest.mark.skipif(not EVERYWHERE, reason="make kills")
def test_a_rebuild_whose_agents_are_killed(trio: World) -> None:
    first, second = trio.hosts[:2]
    steps = ("CheckStandby", "Rebuild", "Follows")
    gates = gated({first: steps, second: (*steps, *REBUILT)})
    made = read_dag(trio.client(first).post(f"{OWN}/standbys/{second.address}/rebuild", {}).data)
    ended_well(trio, first, killed_until_over(trio, first, made, gates))
    eventually(lambda: runs(second))
    free(trio)


def test_a_join_is_undone_and_its_agents_are_killed(make_world) -> None:  # type: ignore[no-untyped-def]
    world = make_world()
    master, other = world.host(), world.host(apart=True)
    world.do(master, "/agent/join", joins(master, "zone1"))
    other.plant("BecomeFollower")
    dag = world.failed(other, world.ask(other, "/agent/join", joins(master)))
    gates = gated({other: ["BecomeFollower.undo *", "AskMaster.undo *"]})
    world.operator(other, dag, "ROLLBACK")
    world.undone(killed_until_over(world, other, dag, gates))
    assert other.identity == "SINGLE"
    assert master.agent.local.member(other.address) is None
    world.do(other, "/agent/join", joins(master))
    assert other.identity == "FOLLOWER"
