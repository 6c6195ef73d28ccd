"""*Reinstall OCP agent* and its kin, over a real SSH server, with small agents: to a good end, failing, retried, rolled back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from oboe.domain.errors import Refused
from oboe.hosts.packages import read_package
from tests.ssh.ground import Ground, Machine

STEPS = ("Prepare reinstalling OCP agent", "Uninstall ocp agent", "Install ocp agent", "Finish reinstalling OCP agent")
LONG = pytest.mark.ssh_long
CUTS = {"lock": STEPS[0], "stop": STEPS[1], "start": STEPS[2], "prune": STEPS[3]}
"""A verb that is asked in each step, and in no step before."""
FIRST, SECOND, LATER = "1.0.1", "1.0.2", "2.0.0"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("ground"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def machine(ground: Ground) -> Machine:
    """With an agent of the first version."""
    made = ground.machine()
    ground.do("install", made, package=ground.package(FIRST))
    assert made.version == FIRST
    return made


@pytest.fixture(autouse=True)
def whole(request: pytest.FixtureRequest) -> Iterator[None]:
    """After every test the machine is free, runs one agent, and nothing half-done lies around."""
    yield
    if "machine" in request.fixturenames:
        machine: Machine = request.getfixturevalue("machine")
        tree = machine.tree()
        assert tree["rest"] == ["current", "versions"]
        assert tree["copies"] == []
        assert len(machine.pids()) == 1
        assert machine.version == tree["current"].rpartition("/")[2].partition("-")[0]


def test_the_plan_is_the_reference_pages(ground: Ground, machine: Machine) -> None:
    plan = ground.ask_plan("reinstall", machine)
    assert plan == [(STEPS[0], 60), (STEPS[1], 1800), (STEPS[2], 5400), (STEPS[3], 60)]
    assert ground.ask_plan("install", machine) == [
        ("Pre check for create host", 1800),
        ("Uninstall legacy obagent", 2100),
        ("Uninstall legacy ocp agent", 600),
        ("Install ocp agent", 5400),
        ("Update host status", 1800),
    ]
    middle = [("Stop all OCP agent processes", 600), ("Start all OCP agent processes", 600), ("Finish OCP agent operation", 60)]
    assert ground.ask_plan("restart", machine) == [("Prepare restart OCP agent", 60), ("Restart pos proxy", 60), *middle]
    assert ground.ask_plan("stop", machine) == [("Prepare stop OCP agent", 60), middle[0], middle[2]]


@LONG
def test_an_agent_is_replaced_and_its_store_and_identity_stay(ground: Ground, machine: Machine) -> None:
    before = machine.tree()["current"]
    view = ground.do("reinstall", machine, package=ground.package(SECOND))
    assert machine.version == SECOND
    assert machine.lives()[-2:] == [FIRST, SECOND]
    assert view.dag.name == "Reinstall OCP agent"
    assert before.rpartition("/")[2] in machine.tree()["versions"], "the version before stays until it is replaced once more"
    ground.do("reinstall", machine, package=ground.package(FIRST))
    assert before.rpartition("/")[2] not in machine.tree()["versions"]
    assert len(machine.tree()["versions"]) == 2


@pytest.mark.parametrize("verb", [pytest.param(verb, marks=() if verb == "start" else LONG) for verb in CUTS])
def test_a_connection_that_is_cut_fails_the_step_and_a_rollback_brings_the_version_before_back(
    ground: Ground, machine: Machine, verb: str
) -> None:
    before, version = machine.tree(), machine.version
    with ground.cut_at(verb) as done:
        dag = ground.ask("reinstall", machine, package=ground.package(LATER, tables=2))
        ground.failed(dag, CUTS[verb], "ssh.cut")
    assert done == [verb]
    ground.rolled_back(dag)
    assert (machine.tree(), machine.version) == (before | {"versions": machine.tree()["versions"]}, version)
    assert set(machine.tree()["versions"]) <= set(before["versions"])
    assert machine.lives()[-1] == version


@pytest.mark.parametrize("verb", [pytest.param("save", marks=LONG), "install"])
def test_a_connection_that_is_cut_is_retried_to_a_good_end(ground: Ground, machine: Machine, verb: str) -> None:
    version = SECOND if machine.version == FIRST else FIRST
    with ground.cut_at(verb, after=False):
        dag = ground.ask("reinstall", machine, package=ground.package(version))
        ground.failed(dag, {"save": STEPS[1], "install": STEPS[2]}[verb], "ssh.cut")
    ground.retried(dag)
    assert machine.version == version


@LONG
def test_a_package_that_is_none_or_was_changed_is_refused_before_anything_is_touched(
    ground: Ground, machine: Machine, tmp_path: Path
) -> None:
    before = machine.tree()
    dag = ground.ask("reinstall", machine, package=str(tmp_path / "none"))
    ground.failed(dag, STEPS[0], "package.none")
    ground.rolled_back(dag)
    bad = tmp_path / "bad"
    shutil.copytree(ground.package(SECOND), bad)
    wheel = next(bad.glob("*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b"x")
    dag = ground.ask("reinstall", machine, package=str(bad))
    ground.failed(dag, STEPS[0], "package.damaged")
    shutil.rmtree(bad)
    shutil.copytree(ground.package(SECOND), bad)
    assert machine.tree() == before
    ground.retried(dag)
    assert machine.version == SECOND


@LONG
def test_an_agent_that_is_at_work_is_left_alone_until_it_is_done(ground: Ground, machine: Machine) -> None:
    (machine.home / "running").mkdir()
    (machine.home / "running" / "step").touch()
    pids = machine.pids()
    for action in ("reinstall", "restart", "stop"):
        dag = ground.ask(action, machine, package=ground.package(SECOND) if action == "reinstall" else "")
        view = ground.over(dag)
        assert any("host.agent_busy" in line for line in ground.lines(view)), ground.lines(view)
        if action == "stop":
            (machine.home / "running" / "step").unlink()
            ground.retried(dag)
            assert machine.pids() == []
        else:
            ground.rolled_back(dag)
            assert machine.pids() == pids
    ground.do("start", machine)


@LONG
def test_a_host_that_another_agents_dag_holds_is_refused_until_it_is_let_go(ground: Ground, machine: Machine) -> None:
    (machine.prefix / "lock.json").write_text('{"dag": "0f", "agent": "10.9.8.7:2886", "name": "dag 4"}')
    dag = ground.ask("restart", machine)
    view = ground.failed(dag, "Prepare restart OCP agent", "host.busy")
    assert any("dag 4 of agent 10.9.8.7:2886" in line for line in ground.lines(view))
    ground.hosts.unlock(machine.name)
    ground.retried(dag)


@LONG
def test_one_dag_at_a_time_for_a_host(ground: Ground, machine: Machine) -> None:
    with ground.cut_at("stop"):
        dag = ground.ask("restart", machine)
        ground.failed(dag, "Stop all OCP agent processes", "ssh.cut")
    with pytest.raises(Refused) as caught:
        ground.ask("stop", machine)
    assert caught.value.code == "maintenance.held"
    ground.rolled_back(dag)


@LONG
def test_several_are_restarted_and_stopped_together_layer_by_layer(ground: Ground, machine: Machine) -> None:
    other = ground.machine()
    ground.do("install", other, package=ground.package(FIRST))
    before = machine.pids() + other.pids()
    view = ground.do("restart", machine, other)
    plan = view.dag.plan
    assert view.dag.name == "Batch restart OCP agent"
    assert [(node.name, len(node.agents)) for node in plan.nodes][:3] == [
        ("Prepare restart OCP agent", 2),
        ("Wait node", 1),
        ("Restart pos proxy", 2),
    ]
    assert len(plan.nodes) == 9
    after = machine.pids() + other.pids()
    assert len(after) == 2
    assert not set(before) & set(after)
    ground.do("stop", machine, other)
    assert machine.pids() + other.pids() == []
    ground.do("start", machine)
    ground.do("uninstall", other)
    assert (other.tree()["versions"], other.tree()["rest"]) == ([], [])
    assert (other.home / "oboe.db").exists()


def test_what_cannot_be_is_refused_when_it_is_asked(ground: Ground, machine: Machine) -> None:
    itself = ground.machine(listed=False)
    itself.agent = str(ground.site.address)
    ground.list(itself)
    for action, names, package, code in (
        ("reinstall", [itself.name], "", "host.is_self"),
        ("restart", [machine.name, itself.name], "", "host.is_self"),
        ("reinstall", ["nobody"], "", "host.unknown"),
        ("reinstall", [machine.name, itself.name], "", "host.action"),
        ("polish", [machine.name], "", "host.action"),
        ("stop", [machine.name], "/package", "host.package"),
    ):
        with pytest.raises(Refused) as caught:
            ground.hosts.operate(action, names, package=package, caller=ground.caller)
        assert caught.value.code == code


@LONG
def test_a_host_whose_key_has_changed_is_not_touched(ground: Ground, machine: Machine) -> None:
    ground.server.end()
    old = ground.server.host_key
    ground.server.new_host_key()
    ground.server.begin()
    dag = ground.ask("restart", machine)
    ground.failed(dag, "Prepare restart OCP agent", "ssh.host_key_changed")
    ground.hosts.accept_key(machine.name, fingerprint=ground.server.fingerprint, accept_new=False, who="test")
    ground.retried(dag)
    assert ground.hosts.find(machine.name).host_key != old


def test_a_package_reads_back_as_it_was_made(ground: Ground) -> None:
    package = read_package(Path(ground.package(FIRST)))
    assert (package.version, sorted(package.files)) == (
        FIRST,
        ["SHA256SUMS", f"oboe_ops-{FIRST}-py3-none-any.whl", "package.json", "requirements.txt"],
    )
