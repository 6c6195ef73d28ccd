"""The seekdb driver against real servers: how they begin, are killed, stopped, found again and refused."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from oboe.database.port import Instance
from oboe.domain.errors import Interrupted, StepFailed
from tests.database.run_double import RunDouble
from tests.database.servers import REAL, configured, driver, processes_in, read, write

pytestmark = REAL


def test_data_survives_a_kill_and_a_graceful_stop(alone: Instance) -> None:
    run = RunDouble()
    driver.deploy(alone, None, run)
    driver.deploy(alone, None, run)
    driver.start(alone, source=None, run=run)
    write(alone, "CREATE TABLE test.kept (id INT PRIMARY KEY)", "INSERT INTO test.kept VALUES (1)")
    os.kill(driver.observe(alone).pid, signal.SIGKILL)
    driver.start(alone, source=None, run=run)
    driver.stop(alone, graceful=True, run=run)
    driver.stop(alone, graceful=True, run=run)
    assert processes_in(Path(alone.base_dir)) == []
    driver.start(alone, source=None, run=run)
    assert read(alone, "SELECT id FROM test.kept") == ((1,),)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", alone.rpc_port)) != 0, "without certificates nobody may clone it"


def test_data_and_redo_may_live_elsewhere_and_go_too(tmp_path: Path) -> None:
    instance = configured(tmp_path, data_dir=str(tmp_path / "data"), redo_dir=str(tmp_path / "redo"))
    run = RunDouble()
    driver.deploy(instance, None, run)
    try:
        driver.start(instance, source=None, run=run)
        assert (tmp_path / "data" / "sstable").is_dir()
        assert (tmp_path / "redo" / "clog" / "sys").is_dir()
    finally:
        driver.destroy(instance, run)
    assert list(tmp_path.iterdir()) == []


def test_a_path_too_long_for_a_socket_is_reached_over_tcp(tmp_path: Path) -> None:
    instance = configured(tmp_path, home_path=str(tmp_path / ("long" * 25) / "seekdb"))
    run = RunDouble()
    driver.deploy(instance, None, run)
    try:
        driver.start(instance, source=None, run=run)
        assert driver.observe(instance).role == "PRIMARY"
    finally:
        driver.destroy(instance, run)


@pytest.mark.parametrize("file", ["run/seekdb.pid", "store/redo/sys/log_stream/log/0"])
def test_a_first_start_that_is_interrupted_leaves_no_process_and_begins_anew(alone: Instance, file: str) -> None:
    """A server that is killed in the middle of its birth never starts from what it left."""
    run = RunDouble()
    driver.deploy(alone, None, run)
    run.stop_at = (Path(alone.base_dir) / file).exists
    with pytest.raises(Interrupted):
        driver.start(alone, source=None, run=run)
    assert processes_in(Path(alone.base_dir)) == []
    driver.start(alone, source=None, run=RunDouble())
    assert driver.observe(alone).role == "PRIMARY"


LAUNCHER = """
import json, sys
from oboe.database.port import Instance
from oboe.database.seekdb import SeekdbDriver
from tests.database.run_double import RunDouble
run = RunDouble()
run.log = lambda text: print(text, flush=True)
SeekdbDriver().start(Instance(**json.loads(sys.argv[1])), source=None, run=run)
"""


def test_a_start_outlives_the_kill_of_its_agent_and_is_adopted(alone: Instance) -> None:
    driver.deploy(alone, None, RunDouble())
    agent = subprocess.Popen([sys.executable, "-c", LAUNCHER, json.dumps(asdict(alone))], stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    assert "seekdb started" in agent.stdout.readline()
    agent.kill()
    agent.communicate()
    run = RunDouble()
    driver.start(alone, source=None, run=run)
    assert not any("seekdb started" in line for line in run.lines), "adopted, not started again"
    assert driver.observe(alone).role == "PRIMARY"


def test_a_taken_port_is_told_before_and_after(alone: Instance) -> None:
    run = RunDouble()
    driver.deploy(alone, None, run)
    with socket.socket() as other:
        other.bind(("0.0.0.0", alone.mysql_port))
        other.listen(1)
        with pytest.raises(StepFailed) as checked:
            driver.check_host(alone, run)
        with pytest.raises(StepFailed) as started:
            driver.start(alone, source=None, run=run)
    assert (checked.value.code, started.value.code) == ("database.port_taken", "database.start_failed")
    assert f"({os.getpid()})" in checked.value.message
    assert "exit status 1" in started.value.message
    assert f"port {alone.mysql_port} is held by" in started.value.hint


def test_a_directory_of_others_is_refused_and_left_alone(alone: Instance) -> None:
    base = Path(alone.base_dir)
    base.mkdir()
    (base / "theirs").write_text("x")
    for refusal in (
        lambda: driver.deploy(alone, None, RunDouble()),
        lambda: driver.check_host(alone, RunDouble()),
        lambda: driver.start(alone, source=None, run=RunDouble()),
    ):
        with pytest.raises(StepFailed):
            refusal()
    driver.destroy(alone, RunDouble())
    assert (base / "theirs").read_text() == "x"


def test_too_little_disk_is_told(alone: Instance) -> None:
    greedy = replace(alone, settings={**alone.settings, "datafile_size": "4000T"})
    assert driver.disk_needed(greedy) > 4000 << 40
    with pytest.raises(StepFailed) as raised:
        driver.check_host(greedy, RunDouble())
    assert raised.value.code == "database.no_disk"


def test_an_unknown_parameter_value_is_told_by_the_server(alone: Instance) -> None:
    bad = replace(alone, settings={**alone.settings, "default_compress_func": "nonsense"})
    driver.deploy(bad, None, RunDouble())
    with pytest.raises(StepFailed) as raised:
        driver.start(bad, source=None, run=RunDouble())
    assert raised.value.code == "database.start_failed"
    assert "it refused its parameters" in raised.value.message
