"""Commands outlive who launched them, run once, and are ended whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oboe.domain.errors import StepFailed
from oboe.hosts import process, sessions
from oboe.hosts.process import Running, end_recorded, forget, launch, recorded

BOUND = 20.0


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def eventually(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not ready():
        assert time.monotonic() < deadline, "not within the bound"
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    """A zombie is gone: whoever adopted it reaps it in its own time."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "record"
    if (tmp_path / "record").exists():
        end_recorded(tmp_path / "record")


def test_a_command_ends_with_its_status_and_output(directory: Path) -> None:
    running = launch(sh("cat; echo err >&2; exit 7"), directory=directory, stdin=b"in\n")
    assert (running.wait(BOUND), running.output(100), running.poll()) == (7, ("in\n", "err\n"), 7)


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("kill -TERM $$", -15), ("exit 255", 255), ("exit 3", 3)])
def test_status_tells_signals_from_exits(directory: Path, script: str, status: int) -> None:
    assert launch(sh(script), directory=directory).wait(BOUND) == status


def test_a_missing_program_ends_with_127_and_says_so(directory: Path) -> None:
    running = launch(["/no/such/program"], directory=directory)
    assert running.wait(BOUND) == 127
    assert "/no/such/program" in running.output(1000)[1]


def test_environment_is_added_and_place_is_chosen(directory: Path, tmp_path: Path) -> None:
    running = launch(sh('echo "$SECRET $HOME $PWD"'), directory=directory, env={"SECRET": "s3cr3t"}, cwd=tmp_path)
    assert running.wait(BOUND) == 0
    assert running.output(1000)[0] == f"s3cr3t {os.environ.get('HOME', '')} {tmp_path}\n"


def test_neither_environment_nor_input_reaches_the_disk(directory: Path) -> None:
    running = launch(["sleep", "60"], directory=directory, env={"SECRET": "s3cr3t"}, stdin=b"s3cr3t")
    eventually((directory / "began").exists)
    assert running.poll() is None
    assert all(b"s3cr3t" not in path.read_bytes() for path in directory.iterdir())
    assert b"s3cr3t" not in Path(f"/proc/{running.pid}/cmdline").read_bytes()


def test_large_input_arrives_whole(directory: Path) -> None:
    running = launch(["wc", "-c"], directory=directory, stdin=b"x" * 3_000_000)
    assert running.wait(BOUND) == 0
    assert running.output(100)[0].strip() == "3000000"


def test_output_is_cut_to_its_last_characters(directory: Path) -> None:
    running = launch(["printf", "%s", "ä" * 50 + "end"], directory=directory)
    assert running.wait(BOUND) == 0
    assert running.output(5)[0] == "ääend"


def test_the_same_command_is_adopted_not_started_again(directory: Path, tmp_path: Path) -> None:
    command = sh(f"echo x >> {tmp_path}/count; exec sleep 60")
    first = launch(command, directory=directory)
    second = launch(command, directory=directory)
    assert (second.pid, second.poll()) == (first.pid, None)
    eventually((tmp_path / "count").exists)
    assert second.end(1.0)
    third = launch(command, directory=directory)
    assert (third.wait(BOUND), (tmp_path / "count").read_text()) == (-15, "x\n")


def test_another_command_in_the_same_directory_is_an_error(directory: Path) -> None:
    launch(["true"], directory=directory).wait(BOUND)
    with pytest.raises(StepFailed) as raised:
        launch(["false"], directory=directory)
    assert raised.value.code == "command.differs"


def test_many_launches_of_one_record_run_it_once(directory: Path, tmp_path: Path) -> None:
    """As after crashes between the record and the start: each life spawns a wrapper, one of them runs the command."""
    command = sh(f"echo x >> {tmp_path}/count")
    directory.mkdir()
    process._record_command(directory, command)
    with ThreadPoolExecutor(5) as lives:
        runnings = list(lives.map(lambda _: launch(command, directory=directory), range(5)))
    assert {one.wait(BOUND) for one in runnings} == {0}
    assert len({one.pid for one in runnings}) == 1
    assert (tmp_path / "count").read_text() == "x\n"


LAUNCHER = """
import sys, time
from pathlib import Path
from oboe.hosts.process import launch
running = launch(sys.argv[2:], directory=Path(sys.argv[1]))
print(running.pid, flush=True)
time.sleep(60)
"""


def test_a_command_outlives_the_kill_of_its_launcher_and_is_adopted(directory: Path, tmp_path: Path) -> None:
    command = sh(f"while ! test -e {tmp_path}/go; do sleep 0.01; done; echo done; exit 5")
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(directory), *command], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    eventually((directory / "began").exists)
    launcher.kill()
    launcher.communicate()
    adopted = launch(command, directory=directory)
    assert (adopted.pid, adopted.poll()) == (pid, None)
    (tmp_path / "go").touch()
    assert (adopted.wait(BOUND), adopted.output(100)[0]) == (5, "done\n")


def test_the_end_of_an_adopted_command_is_an_event(directory: Path, tmp_path: Path) -> None:
    command = ["sleep", "60"]
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(directory), *command], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    launcher.stdout.readline()
    eventually((directory / "began").exists)
    launcher.kill()
    launcher.communicate()
    adopted = recorded(directory)
    assert adopted is not None
    assert adopted.wait(0.05) is None
    assert adopted.end(5.0)
    assert adopted.wait(BOUND) == -15


def test_end_takes_the_whole_group_the_stubborn_included(directory: Path, tmp_path: Path) -> None:
    script = f"""
    sh -c 'trap "" TERM INT; echo $$ > {tmp_path}/stubborn; while :; do sleep 0.05; done' &
    sleep 60 & echo $! > {tmp_path}/other; wait"""
    running = launch(sh(script), directory=directory)
    eventually(lambda: (tmp_path / "stubborn").exists() and (tmp_path / "other").exists() and (tmp_path / "other").read_text().strip())
    pids = [int((tmp_path / name).read_text()) for name in ("stubborn", "other")]
    assert running.end(0.3)
    assert [is_gone(pid) for pid in pids] == [True, True]
    assert running.poll() == -15, "of the command itself, which did obey"


def test_end_takes_those_who_left_the_session_while_the_command_goes_on(directory: Path, tmp_path: Path) -> None:
    apart = f"""trap "" TERM; echo $$ > {tmp_path}/apart; while :; do sleep 0.05; done"""
    running = launch(["/bin/sh", "-c", 'setsid sh -c "$0" & wait; sleep 60', apart], directory=directory)
    eventually(lambda: (tmp_path / "apart").exists() and (tmp_path / "apart").read_text().strip())
    pid = int((tmp_path / "apart").read_text())
    assert running.end(0.3)
    assert is_gone(pid)


def test_what_a_finished_command_left_in_a_session_of_its_own_stays(directory: Path, tmp_path: Path) -> None:
    running = launch(sh(f"setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 60' & wait $! & exit 0"), directory=directory)
    assert running.wait(BOUND) == 0
    eventually(lambda: (tmp_path / "daemon").exists() and (tmp_path / "daemon").read_text().strip())
    pid = int((tmp_path / "daemon").read_text())
    assert running.end(0.3)
    stays = not is_gone(pid)
    os.kill(pid, signal.SIGKILL)
    assert stays


def test_end_takes_what_a_finished_command_left_behind(directory: Path, tmp_path: Path) -> None:
    running = launch(sh(f"sleep 60 & echo $! > {tmp_path}/left"), directory=directory)
    assert running.wait(BOUND) == 0
    left = int((tmp_path / "left").read_text())
    assert not is_gone(left)
    assert running.end(2.0)
    assert is_gone(left)


def test_a_command_whose_wrapper_was_killed_goes_on_and_is_ended(directory: Path, tmp_path: Path) -> None:
    running = launch(sh(f"echo $$ > {tmp_path}/pid; exec sleep 60"), directory=directory)
    eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    pid = int((tmp_path / "pid").read_text())
    os.kill(running.pid, signal.SIGKILL)
    eventually(lambda: is_gone(running.pid))
    assert running.wait(0.05) is None
    assert running.end(2.0)
    assert (is_gone(pid), running.poll()) == (True, -9)


def test_a_recycled_pid_is_never_signalled(directory: Path) -> None:
    """The record names a pid that is by now somebody else's session leader: same number, another start time."""
    running = launch(["true"], directory=directory)
    assert running.wait(BOUND) == 0
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        began = (directory / "began").read_text()
        boot = began.partition(" ")[0]
        fields = Path(f"/proc/{stranger.pid}/stat").read_text().split()
        fields[21] = str(int(fields[21]) - 1)
        (directory / "began").write_text(f"{boot} {' '.join(fields)}\n")
        (directory / "status").unlink()
        adopted = recorded(directory)
        assert adopted is not None
        assert (adopted.pid, adopted.poll(), adopted.end(0.1)) == (stranger.pid, -9, True)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_was_never_begun_stays_so_once_it_was_ended(directory: Path, tmp_path: Path) -> None:
    command = ["touch", str(tmp_path / "ran")]
    directory.mkdir()
    process._record_command(directory, command)
    end_recorded(directory)
    assert launch(command, directory=directory).wait(BOUND) == -9
    assert not (tmp_path / "ran").exists()


def test_a_command_that_a_reboot_ended_is_started_again(directory: Path) -> None:
    running = launch(sh("exit 4"), directory=directory)
    assert running.wait(BOUND) == 4
    record = json.loads((directory / "command.json").read_text())
    (directory / "command.json").write_text(json.dumps({**record, "boot": "another"}))
    assert launch(sh("exit 4"), directory=directory).pid == running.pid, "its end is on record: not again"
    (directory / "status").unlink()
    again = launch(sh("exit 4"), directory=directory)
    assert (again.wait(BOUND), again.pid != running.pid) == (4, True)


def test_forget_makes_room_for_another_command(directory: Path) -> None:
    first = launch(["sleep", "60"], directory=directory)
    forget(directory)
    assert is_gone(first.pid)
    assert recorded(directory) is None
    assert launch(["true"], directory=directory).wait(BOUND) == 0


def test_children_do_not_stay_zombies(directory: Path) -> None:
    running = launch(["true"], directory=directory)
    eventually(lambda: not Path(f"/proc/{running.pid}").exists())


def test_the_command_meets_default_signals(directory: Path) -> None:
    """Python ignores SIGPIPE, and the wrapper traps a handful: nothing of that may be inherited."""
    running = launch(["grep", "-E", "Sig(Ign|Blk|Cgt)", "/proc/self/status"], directory=directory)
    assert running.wait(BOUND) == 0
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in running.output(1000)[0].splitlines()}
    wanted = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1))
    assert (masks["SigBlk"], masks["SigIgn"] & wanted) == (0, 0)


def test_a_leader_is_another_one_after_its_pid_was_given_again() -> None:
    own = sessions.leader_of(os.getpid())
    assert own is not None
    assert sessions.lives(own)
    assert not sessions.lives(sessions.Leader(own.boot, own.pid, own.started + 1))
    assert not sessions.lives(sessions.Leader("another boot", own.pid, own.started))


def test_running_is_bounded_by_its_timeout(directory: Path) -> None:
    running: Running = launch(["sleep", "60"], directory=directory)
    before = time.monotonic()
    assert running.wait(0.1) is None
    assert time.monotonic() - before < 5
