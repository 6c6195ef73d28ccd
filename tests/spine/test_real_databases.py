"""On real seekdb: a clone that fails is retried, and a rollback leaves neither process nor directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from oboe.database.seekdb import SeekdbDriver
from oboe.kit.secret import Secret
from oboe.playbooks.cluster.scale_out import AddAgent
from tests.security.traces import Needles, running_text
from tests.spine.host import Host, Store
from tests.spine.plant import PLANTED, planted
from tests.spine.world import PASSWORD, World, lines
from tests.store.seekdb_server import missing

pytestmark = pytest.mark.seekdb


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster of one, with a real primary."""
    if missing():
        pytest.skip(missing())
    world = World(tmp_path_factory.mktemp("real"), 0, driver=SeekdbDriver())
    try:
        master = world.host()
        world.gather(master)
        world.good(world.over(master, world.init(master)))
        instance = master.agent.local.instance()
        assert instance is not None
        world.store = Store(instance.mysql_port, "oboe", PASSWORD)
        yield world
    finally:
        world.end_hosts()
        for process in _below(world.root):
            process.kill()


def test_a_directory_that_is_not_empty_is_left_alone_and_a_retry_clones_once_it_is(real: World) -> None:
    master, joiner = real.hosts[0], real.host()
    joiner.base.mkdir()
    (joiner.base / "thesis.txt").write_text("dear")
    dag = real.failed(master, real.scale_out(master, joiner), at="Wait remote deploy finish", why="is not empty")
    assert (joiner.base / "thesis.txt").read_text() == "dear"
    (joiner.base / "thesis.txt").unlink()
    real.good(real.operate(master, dag, "RETRY"))
    assert real.whole()
    assert _roles(joiner) == "STANDBY"


def test_a_rollback_leaves_neither_process_nor_directory(real: World) -> None:
    master, joiner = real.hosts[0], real.host()
    before = real.members(), real.servers()
    with planted(AddAgent):
        dag = real.failed(master, real.scale_out(master, joiner), at="Add agent for scale_out", why=PLANTED)
    assert _below(joiner.home), lines(dag)
    real.undone(real.operate(master, dag, "ROLLBACK"))
    real.untouched(joiner)
    assert _below(joiner.home) == []
    assert (real.members(), real.servers()) == before


def test_neither_agents_nor_databases_leave_passwords_anywhere(real: World) -> None:
    """In logs, configuration, command lines and environments; the databases' own files of redo and data are theirs."""
    local = real.hosts[0].agent.local
    kept = {name: secret.reveal() for name in ("root_password", "store_password", "cluster_key") if (secret := local.secret(name))}
    assert kept["root_password"] == PASSWORD
    needles = Needles(kept)
    assert needles.in_files([real.root], but={}, size_max=32 << 20) == set()
    assert {where for where, text in running_text().items() if needles.found_in(text)} == set()
    assert _below(real.hosts[0].home)


def _roles(host: Host) -> str:
    instance, driver = host.agent.local.instance(), SeekdbDriver()
    assert instance is not None
    with contextlib.closing(driver.connect(instance, user="root", password=Secret(PASSWORD))) as connection:
        return driver.replication(connection).role


def _below(root: Path) -> list[psutil.Process]:
    """Processes that were started for something below that directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(f"{root}/" in word for word in process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
