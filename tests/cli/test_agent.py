"""``oboe agent``: processes that are really started, found and ended; only the daemon in them is a stub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo.ports import free_ports
from oboe.cli.failure import Exit


def oboe(*args: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "oboe", *map(str, args)]
    return subprocess.run(command, env=os.environ | env, capture_output=True, text=True, timeout=60, check=False)


def start(home: Path, *more: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return oboe("agent", "start", "--home", home, "--port", str(free_ports(1)[0]), *more, **env)


def pid_of(home: Path) -> int:
    return int(json.loads((home / "run" / "agent.json").read_text())["pid"])


def test_an_agent_starts_in_the_background_is_found_and_stops(stubbed: Path) -> None:
    home = stubbed / "home"
    started = start(home)
    assert started.returncode == 0, started.stderr
    pid = pid_of(home)
    assert f"started (pid {pid}, home {home})" in started.stdout
    assert os.getsid(pid) == pid, "it has a session of its own"

    seen = oboe("agent", "status", "--home", home)
    assert (seen.returncode, [line.split() for line in seen.stdout.splitlines()[1:]]) == (
        0,
        [
            ["identity", "CLUSTER", "AGENT", "in", "zone", "zone1"],
            ["state", "running,", "under", "maintenance"],
            ["database", "available,", "SQL", "port", "2881"],
            ["ready", "yes"],
        ],
    )
    stopped = oboe("agent", "stop", "--home", home)
    assert (stopped.returncode, psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE) == (0, False)
    assert oboe("agent", "status", "--home", home).returncode == Exit.NOT_RUNNING


def test_starting_twice_finds_the_first(stubbed: Path) -> None:
    first, again = start(stubbed / "home"), start(stubbed / "home")
    assert (first.returncode, again.returncode) == (0, 0)
    assert "already runs" in again.stdout


def test_stopping_what_does_not_run_is_fine(stubbed: Path) -> None:
    stopped = oboe("agent", "stop", "--home", stubbed / "home")
    assert (stopped.returncode, stopped.stdout) == (0, f"no agent runs in {stubbed / 'home'}\n")


def test_options_reach_the_daemon(stubbed: Path) -> None:
    (stubbed / "own").mkdir()
    start(stubbed / "home", "--rpc-port", "4000", "--driver", "fake", "--playbooks", stubbed / "own")
    assert json.loads((stubbed / "home" / "how.json").read_text()) == {
        "rpc_port": 4000,
        "driver": "fake",
        "playbooks": [str(stubbed / "own")],
    }


def test_an_agent_that_dies_at_once_has_its_last_words_shown(stubbed: Path) -> None:
    started = start(stubbed / "home", STUB="dies")
    assert started.returncode == Exit.REFUSED
    assert "the agent ended: port is taken | by another program [agent.not_started]" in started.stderr
    assert str(stubbed / "home" / "log" / "agent.out") in started.stderr


def test_an_agent_that_never_answers_is_not_waited_for_for_ever(stubbed: Path) -> None:
    started = start(stubbed / "home", STUB="mute", OBOE_AGENT_START_SECONDS="1.5")
    assert (started.returncode, "[agent.start_timeout]" in started.stderr) == (Exit.TIMED_OUT, True)


def test_an_agent_that_does_not_end_is_said_to_go_on(stubbed: Path) -> None:
    start(stubbed / "home", STUB="stubborn")
    stopped = oboe("agent", "stop", "--home", stubbed / "home", OBOE_AGENT_STOP_SECONDS="0.3")
    assert (stopped.returncode, "[agent.stop_timeout]" in stopped.stderr) == (Exit.TIMED_OUT, True)


def test_an_agent_that_waits_says_for_what(stubbed: Path) -> None:
    start(stubbed / "home", STUB="waits")
    seen = oboe("agent", "status", "--home", stubbed / "home")
    assert (seen.returncode, "waits for the database: its password is wrong" in seen.stdout) == (Exit.NOT_READY, True)


def test_a_pid_that_now_belongs_to_another_program_is_left_alone(stubbed: Path) -> None:
    home = stubbed / "home"
    (home / "run").mkdir(parents=True)
    (home / "run" / "agent.json").write_text(json.dumps({"pid": os.getpid(), "started": 0, "ip": "127.0.0.1", "port": 1}))
    stopped = oboe("agent", "stop", "--home", home)
    assert (stopped.returncode, "no agent runs" in stopped.stdout) == (0, True)


def test_the_clients_password_does_not_reach_the_agent_and_its_databases(stubbed: Path) -> None:
    start(stubbed / "home", OBOE_PASSWORD="hush")
    environment = psutil.Process(pid_of(stubbed / "home")).environ()
    assert ("STUB_OF" in environment, "OBOE_PASSWORD" in environment) == (True, False)


def test_output_and_home_are_for_their_owner_only(stubbed: Path) -> None:
    start(stubbed / "home")
    assert [oct((stubbed / "home" / name).stat().st_mode & 0o777) for name in (".", "log", "log/agent.out")] == ["0o700", "0o700", "0o600"]


def test_a_setting_that_is_misspelt_is_named(stubbed: Path) -> None:
    (stubbed / "home").mkdir()
    (stubbed / "home" / "oboe.toml").write_text("prot = 2886\n")
    started = start(stubbed / "home")
    assert (started.returncode, "did you mean 'port'?" in started.stderr) == (Exit.REFUSED, True)


@pytest.mark.parametrize("ip", ["localhost", "300.1.1.1"])
def test_an_agent_is_known_by_an_address_not_a_name(stubbed: Path, ip: str) -> None:
    started = start(stubbed / "home", "--ip", ip)
    assert (started.returncode, "[agent.bad_address]" in started.stderr) == (Exit.REFUSED, True)
