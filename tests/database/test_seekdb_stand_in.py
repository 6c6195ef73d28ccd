"""The seekdb driver against binaries that are not seekdb, or that fail in ways a real one seldom does."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from oboe.database.port import DatabaseState, Endpoint, Instance
from oboe.database.seekdb import SeekdbDriver, life
from oboe.domain.errors import StepFailed
from tests.database.run_double import RunDouble

VERSION = 'echo "seekdb (OceanBase seekdb 1.4.0.0)"; echo "REVISION: 1-d0cbdf0e9931f46f"'
LINE = "[2026-11-21 12:02:45.303966] ERROR [STORAGE] start (ob_server.cpp:1300) [27270][seekdb][Y0-0][0] [lt=45][errcode={code}] {text}"


def stand_in(directory: Path, body: str) -> SeekdbDriver:
    """A script in the place of the binary; ``$base`` is the base directory."""
    path = directory / "seekdb"
    path.write_text(f'#!/bin/sh\ncase "$1" in -V) {VERSION}; exit 0;; esac\nbase=$2\n{body}\n')
    path.chmod(0o755)
    return SeekdbDriver(path)


def deployed(driver: SeekdbDriver, home: Path) -> Instance:
    instance = driver.configure({}, home=home, ip="127.0.0.1", zone="zone1").instance
    driver.deploy(instance, None, RunDouble())
    return instance


def served(instance: Instance) -> None:
    """As after a first start that went well."""
    mark = Path(instance.base_dir) / ".oboe" / "served"
    mark.parent.mkdir()
    mark.touch()


def test_no_binary_is_a_problem_with_a_name(tmp_path: Path) -> None:
    driver = SeekdbDriver(tmp_path / "seekdb")
    assert driver.version() == ""
    assert str(tmp_path / "seekdb") in driver.problem()


def test_a_wrong_binary_is_a_problem_with_its_words(tmp_path: Path) -> None:
    path = tmp_path / "seekdb"
    path.write_text("#!/bin/sh\necho I am another program\n")
    path.chmod(0o755)
    driver = SeekdbDriver(path)
    assert (driver.version(), "I am another program" in driver.problem()) == ("", True)
    instance = deployed(driver, tmp_path / "home")
    for refusal in (
        lambda: driver.check_host(instance, RunDouble()),
        lambda: driver.start(instance, source=None, run=RunDouble()),
    ):
        with pytest.raises(StepFailed) as raised:
            refusal()
        assert raised.value.code == "database.unavailable"


def test_a_binary_that_may_not_run_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "seekdb").write_text("#!/no/such/interpreter\n")
    (tmp_path / "seekdb").chmod(0o755)
    assert "cannot be run" in SeekdbDriver(tmp_path / "seekdb").problem()


def test_the_version_names_release_and_revision(tmp_path: Path) -> None:
    assert stand_in(tmp_path, "exit 1").version() == "1.4.0.0-1.d0cbdf0e"


def test_a_binary_is_asked_once_as_long_as_it_is_the_same_file(tmp_path: Path) -> None:
    path, memory = tmp_path / "seekdb", tmp_path / "home" / "seekdb.json"
    path.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/asked\n{VERSION}\n")
    path.chmod(0o755)

    def asked() -> int:
        assert SeekdbDriver(path, memory=memory).version() == "1.4.0.0-1.d0cbdf0e"
        return len((tmp_path / "asked").read_text().split())

    assert [asked(), asked()] == [1, 1]
    os.utime(path, ns=(1, 1))
    assert [asked(), asked()] == [2, 2]
    memory.write_text("{}")
    assert asked() == 3


@pytest.mark.parametrize(
    ("status", "words"), [(96, "another seekdb runs in that directory"), (94, "an option that it does not know"), (3, "no known meaning")]
)
def test_an_exit_status_is_told_in_words(tmp_path: Path, status: int, words: str) -> None:
    driver = stand_in(tmp_path, f"exit {status}")
    instance = deployed(driver, tmp_path / "home")
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=None, run=RunDouble())
    assert (raised.value.code, f"exit status {status}: {words}" in raised.value.message) == ("database.start_failed", True)
    assert driver.observe(instance).state is DatabaseState.ABSENT


def test_the_last_errors_of_this_start_are_told_and_no_earlier_ones(tmp_path: Path) -> None:
    line = LINE.format(code=-4016, text="observer start fail")
    driver = stand_in(tmp_path, f"echo '{line}' >> $base/log/seekdb.log; exit 1")
    instance = deployed(driver, tmp_path / "home")
    log = Path(instance.base_dir) / "log" / "seekdb.log"
    log.parent.mkdir()
    log.write_text(LINE.format(code=-4000, text="an old story") + "\n")
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=None, run=RunDouble())
    assert "start (ob_server.cpp:1300)[errcode=-4016] observer start fail" in raised.value.message
    assert "an old story" not in raised.value.message


def test_what_it_printed_is_told_when_its_log_is_silent(tmp_path: Path) -> None:
    driver = stand_in(tmp_path, "echo 'Starting seekdb x' >&2; echo 'libaio.so.1: cannot open' >&2; exit 127")
    instance = deployed(driver, tmp_path / "home")
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=None, run=RunDouble())
    assert raised.value.message.endswith("exit status 127: the binary is missing, or a library of it; libaio.so.1: cannot open")


@pytest.mark.parametrize(("number", "code"), [(-4233, "database.redo_recycled"), (-4234, "database.diverged")])
def test_a_standby_that_cannot_go_on_is_recognised(tmp_path: Path, number: int, code: str) -> None:
    line = LINE.format(code=number, text="start fail")
    driver = stand_in(tmp_path, f"mkdir -p $base/log; echo '{line}' >> $base/log/seekdb.log; exit 1")
    instance = deployed(driver, tmp_path / "home")
    served(instance)
    (Path(instance.base_dir) / "store").mkdir()
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint("127.0.0.1", 1), run=RunDouble())
    assert raised.value.code == code
    assert "rebuild" in raised.value.hint
    assert (Path(instance.base_dir) / "store").exists(), "what ever served is never wiped"


@pytest.mark.parametrize(
    "text",
    [
        "[errcode=-4233] [server_start 12/14] observer start fail, the stop status is false",
        "[errcode=-4233] server runtime did not become ready(ret=-4233)",
        "[errcode=-4233] failure occurs, stop observer startup(ret=-4233)",
    ],
)
def test_a_reason_that_was_lost_with_the_end_of_the_log_is_asked_for_once_more(tmp_path: Path, text: str) -> None:
    script = f"""mkdir -p $base/log; echo start >> $base/../starts
echo '[2026] INFO  [STORAGE] log_id=12-42334' >> $base/log/seekdb.log
case "$*" in *enable_async_syslog=False*) echo '[2026] EDIAG [STORAGE] start {text}' >> $base/log/seekdb.log;; esac; exit 1"""
    driver = stand_in(tmp_path, script)
    instance = deployed(driver, tmp_path / "home")
    served(instance)
    run = RunDouble()
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=None, run=run)
    assert raised.value.code == "database.redo_recycled"
    assert (tmp_path / "home" / "starts").read_text().count("start") == 2
    assert any("its reason was lost" in line for line in run.lines)


def test_a_number_that_looks_like_it_is_no_reason(tmp_path: Path) -> None:
    line = LINE.format(code=-4016, text="start fail, log_id=1-4233 ret=-42337")
    driver = stand_in(tmp_path, f"mkdir -p $base/log; echo '{line}' >> $base/log/seekdb.log; exit 1")
    instance = deployed(driver, tmp_path / "home")
    served(instance)
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=None, run=RunDouble())
    assert raised.value.code == "database.start_failed"


def test_a_failed_clone_is_wiped_before_each_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "silence", lambda ip, port: "")
    script = 'test -e $base/store && echo stale >> $base/../stale; mkdir $base/store; echo "$@" > $base/../arguments; exit 1'
    driver = stand_in(tmp_path, script)
    instance = deployed(driver, tmp_path / "home")
    run = RunDouble()
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint("127.0.0.1", 7), run=run)
    assert raised.value.code == "database.clone_failed"
    assert not (tmp_path / "home" / "stale").exists()
    assert len([line for line in run.lines if "the clone failed" in line]) == 4
    arguments = (tmp_path / "home" / "arguments").read_text()
    assert "--role STANDBY" in arguments
    assert "log_restore_source=127.0.0.1:7" in arguments
    assert "enable_rpc_service" not in arguments, "no certificates, no open door"


def test_a_clone_of_a_source_that_answers_failed_for_the_reason_that_seekdb_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(life, "CLONE_TRIES_MAX", 1)
    advice = "the stop status is true. you may find solutions in previous error logs or seek help from official technicians."
    line = LINE.format(code=-4121, text=f"observer start fail, {advice}")
    driver = stand_in(tmp_path, f"mkdir -p $base/log; echo '{line}' >> $base/log/seekdb.log; exit 1")
    instance = deployed(driver, tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as source, pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint(*source.getsockname()), run=RunDouble())
    assert raised.value.message.endswith("its data; start (ob_server.cpp:1300)[errcode=-4121] observer start fail")


def test_a_disk_that_is_too_full_is_named_at_the_first_try(tmp_path: Path) -> None:
    line = LINE.format(
        code=-4184, text="disk is almost full. resuired size is 1899282432 and used percent is 5143%. [suggestion] Increase it."
    )
    driver = stand_in(tmp_path, f"mkdir -p $base/log $base/store; echo '{line}' >> $base/log/seekdb.log; exit 1")
    instance, run = deployed(driver, tmp_path / "home"), RunDouble()
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint("127.0.0.1", 7), run=run)
    assert (raised.value.code, "1811 MB" in raised.value.message) == ("database.no_disk", True)
    assert len([line for line in run.lines if "cloning" in line]) == 1
    assert not (Path(instance.base_dir) / "store").exists()


def test_a_source_that_is_away_is_waited_for_before_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["Connection refused", "Connection refused", ""]
    monkeypatch.setattr(life, "silence", lambda ip, port: told.pop(0) if told else "")
    monkeypatch.setattr(life, "_YOUNG_SECONDS", 0.0)
    monkeypatch.setattr(life, "CLONE_TRIES_MAX", 2)
    driver = stand_in(tmp_path, "exit 1")
    instance, run = deployed(driver, tmp_path / "home"), RunDouble()
    with pytest.raises(StepFailed):
        driver.start(instance, source=Endpoint("127.0.0.1", 7), run=run)
    assert told == []
    assert "the clone failed: its source, 127.0.0.1:7, does not answer: Connection refused" in str(run.lines)


def test_a_source_that_does_not_come_back_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "_SOURCE_SECONDS", 0.0)
    driver = stand_in(tmp_path, "exit 1")
    instance = deployed(driver, tmp_path / "home")
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint("127.0.0.1", 7), run=RunDouble())
    assert raised.value.message.endswith("1 of 4 tries, at last: its source, 127.0.0.1:7, does not answer: Connection refused")
    assert raised.value.hint == "RETRY once it runs and this host reaches it"


def test_a_clone_that_hangs_is_ended_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(life, "_STUCK_SECONDS", 1.5)
    monkeypatch.setattr(life, "silence", lambda ip, port: "")
    monkeypatch.setattr(life, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(life, "CLONE_TRIES_MAX", 2)
    driver = stand_in(tmp_path, "echo $$ >> $base/../pids; exec sleep 300")
    instance = deployed(driver, tmp_path / "home")
    with pytest.raises(StepFailed) as raised:
        driver.start(instance, source=Endpoint("127.0.0.1", 7), run=RunDouble())
    assert "it hung: nothing was written" in raised.value.message
    pids = (tmp_path / "home" / "pids").read_text().split()
    assert [Path(f"/proc/{pid}/exe").exists() for pid in pids] == [False, False]
