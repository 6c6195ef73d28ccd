"""The real agent, packed from what runs here, installed and replaced on a host over SSH; and a host whose disk is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from oboe import __version__
from oboe.hosts.packages import Package, make_package, read_package
from tests.ocp.site import Client
from tests.ssh.ground import Ground

pytestmark = pytest.mark.ssh_long
PREPARE, INSTALL, FINISH = "Prepare reinstalling OCP agent", "Install ocp agent", "Finish reinstalling OCP agent"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = Ground(tmp_path_factory.mktemp("ground"))
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Of this very environment; no network is needed."""
    return make_package(tmp_path_factory.mktemp("real") / "package", extras=())


def test_a_package_of_what_runs_here_is_whole_and_made_the_same_again(package: Package, tmp_path: Path) -> None:
    again = make_package(tmp_path / "again", extras=())
    wheels = [name for name in package.files if name.endswith(".whl") and not name.startswith("oboe_ops")]
    assert read_package(package.directory) == package
    assert (again.version, again.files) == (__version__, package.files)
    assert all((again.directory / name).read_bytes() == (package.directory / name).read_bytes() for name in wheels)


def test_the_real_agent_is_installed_replaced_and_after_a_failure_put_back(ground: Ground, package: Package) -> None:
    machine = ground.machine()
    ground.do("install", machine, package=str(package.directory))
    first = machine.tree()
    assert machine.says()["identity"] == "SINGLE"
    assert machine.version == __version__
    key = Client(machine.port).get("/api/v1/secret").envelope["data"]["public_key"]

    with ground.cut_at("prune"):
        dag = ground.ask("reinstall", machine, package=str(package.directory))
        ground.failed(dag, FINISH, "ssh.cut")
    assert machine.tree()["current"] != first["current"]
    ground.rolled_back(dag)
    assert machine.tree() == first
    assert Client(machine.port).get("/api/v1/secret").envelope["data"]["public_key"] == key, "it is who it was"

    view = ground.do("reinstall", machine, package=str(package.directory))
    assert next(node.name for node in view.dag.plan.nodes) == PREPARE
    assert machine.tree()["current"] != first["current"]
    assert Client(machine.port).get("/api/v1/secret").envelope["data"]["public_key"] == key
    assert Client(machine.port).get("/oboe/v1/ready").envelope["data"]["ready"] is True
    assert machine.tree()["rest"] == ["current", "versions"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 20 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(place)], capture_output=True).returncode == 0
    )
    if not mounted:
        pytest.skip("only root may mount a small file system, where containers allow it")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_fails_the_installation_and_a_rollback_leaves_nothing(
    ground: Ground, package: Package, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = ground.machine(listed=False)
    machine.prefix = small / "oboe"
    ground.list(machine)
    dag = ground.ask("install", machine, package=str(package.directory))
    ground.failed(dag, "Pre check for create host", "host.disk_low")
    ground.rolled_back(dag)
    reach = ground.hosts._reach
    monkeypatch.setattr(reach, "_wanted", type(reach._wanted)(free_bytes=0, skew_seconds=60.0))
    dag = ground.ask("install", machine, package=str(package.directory))
    ground.failed(dag, INSTALL, "host.disk_full")
    ground.rolled_back(dag)
    assert list(small.iterdir()) == []
    assert machine.pids() == []
