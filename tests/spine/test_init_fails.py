"""An init that fails, at any of its nodes, can be retried, and undone so that its agents are what they were."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from oboe.domain.values import Identity
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.membership.local import LocalAgent
from oboe.playbooks.cluster import init
from tests.spine.plant import PLANTED, planted
from tests.spine.world import World, lines, shape


def _converted(run: Run) -> bool:
    return run.use(LocalAgent).identity() is Identity.CLUSTER_AGENT


@dataclass(frozen=True)
class Case:
    node: str
    step: type[Step]
    when: Callable[[Run], bool] = field(default=lambda run: True)


CASES = [
    Case("Integrate config", init.IntegrateConfig),
    Case("Create observer workdir", init.CreateWorkdirs, lambda run: run.agent == run.here),
    Case("Create observer workdir", init.CreateWorkdirs, lambda run: run.agent != run.here),
    Case("Start observer", init.StartObservers, lambda run: run.agent == run.here),
    Case("Start observer", init.StartObservers, lambda run: run.agent != run.here),
    Case("Cluster boostrap", init.Bootstrap),
    Case("Migrate table", init.MigrateTable),
    Case("Modify password", init.ModifyPassword),
    Case("Create user", init.CreateUser),
    Case("Migrate data", init.MigrateData),
    Case("Convert follower to cluster agent", init.ConvertFollowers),
    Case("Synchronize agent from cluster", init.SynchronizeAll, lambda run: run.agent != run.here),
    Case("Convert master to cluster agent", init.ConvertMaster),
    Case("Import script for tenant", init.ImportScript),
    Case("Synchronize agent from cluster", init.SynchronizeAll, _converted),
]
BODY = {"create_proxyro_user": True, "proxyro_password": "pw of proxyro", "import_script": True}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.step.__name__}-{CASES.index(case)}")
def test_an_init_that_fails_at_any_node_is_undone(pair: World, case: Case) -> None:
    master = pair.hosts[0]
    before = [pair.remembers(host) for host in pair.hosts]
    with planted(case.step, when=case.when):
        dag = pair.failed(master, pair.ask(master, "/ob/init", BODY), at=case.node, why=PLANTED)
    pair.undone(pair.operate(master, dag, "ROLLBACK"))
    assert [host.identity for host in pair.hosts] == ["MASTER", "FOLLOWER"]
    for host, known in zip(pair.hosts, before, strict=True):
        now = pair.remembers(host)
        assert {name for name in now | known if now.get(name) != known.get(name)} <= {"agent_numbers"}
    for host in pair.hosts:
        assert pair.get(host, "/task/dag/unfinish") == {"contents": []}
        assert host.public("/api/v1/status")["underMaintenance"] is False
        assert host.public("/oboe/v1/ready") == {"ready": True, "waits_for": [], "running": 0}
    assert not pair.store.run(f"SHOW DATABASES LIKE '{pair.store.name}'")


def test_an_init_that_fails_once_at_each_of_its_nodes_is_retried_to_its_end(world: World) -> None:
    master, follower = world.host(), world.host()
    world.gather(master, follower)
    with ExitStack() as plants:
        for case in CASES:
            plants.enter_context(planted(case.step, when=case.when, times=1))
        dag = world.over(master, world.ask(master, "/ob/init", BODY))
        tries = 0
        while dag.state == "FAILED":
            assert PLANTED in str(lines(dag)), (shape(dag), lines(dag))
            assert (tries := tries + 1) <= len(CASES), shape(dag)
            dag = world.operate(master, dag, "RETRY")
    world.good(dag)
    assert tries >= len({case.node for case in CASES})
    assert world.whole()
    assert [host.identity for host in world.hosts] == ["CLUSTER AGENT"] * 2


@pytest.mark.parametrize("case", [CASES[5], CASES[9], CASES[-1]], ids=lambda case: case.step.__name__)
def test_an_init_that_was_undone_succeeds_when_it_is_asked_again(world: World, case: Case) -> None:
    master, follower = world.host(), world.host()
    world.gather(master, follower)
    with planted(case.step, when=case.when):
        dag = world.failed(master, world.ask(master, "/ob/init", BODY), at=case.node)
    world.undone(world.operate(master, dag, "ROLLBACK"))
    world.good(world.over(master, world.ask(master, "/ob/init", BODY)))
    assert world.whole()
