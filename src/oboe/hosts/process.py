"""Commands that outlive the agent: each in a session of its own, under a tiny wrapper, with its record in a directory.

The record, all files 0600::

    command.json    argv and boot, written before anything starts; it has one creator
    began           boot id and /proc stat line of the wrapper, which creates it exclusively: at most one wrapper ever runs the command
    stdout, stderr  of the command
    status          exit status as a shell counts, written beside and renamed

Invariants: a command runs at most once for its directory, whoever launches it and however often; a process is signalled only while the
boot, the pid and the start time, or the token in its environment, say that it is ours; environment and stdin never reach the disk.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from oboe.domain.errors import Bug, StepFailed
from oboe.hosts import sessions
from oboe.hosts.sessions import Leader, Member

__all__ = ["Running", "end_recorded", "forget", "launch", "recorded"]

# Traps that do something are reset in the subshell, so the command itself meets default signals, while the wrapper outlives a TERM
# to the group and writes the status down, with an mv that ignores it. `began` under noclobber is created with O_EXCL. No process is
# forked but the command and mv.
_WRAPPER = """
trap : HUP INT QUIT TERM USR1 USR2 PIPE ALRM
record=$1; place=$2; shift 2
read -r boot < /proc/sys/kernel/random/boot_id
read -r stat < /proc/$$/stat
set -C
{ printf '%s %s\\n' "$boot" "$stat" > "$record/began"; } 2>/dev/null || exit 0
set +C
( cd "$place" && exec "$@" )
status=$?
trap '' HUP INT QUIT TERM USR1 USR2 PIPE ALRM
printf '%s\\n' "$status" > "$record/status.new" && mv -f "$record/status.new" "$record/status"
"""
_NEVER = "never"
"""In ``began``: somebody ended the command before it began."""
_BEGIN_SECONDS = 10.0
_MOMENT_SECONDS = 0.5
_KILL_SECONDS = 10.0
_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.02
_LOOK_SECONDS_MAX = 0.5
_TOKEN_NAME = "OBOE_COMMAND_TOKEN"
_DEFAULTED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Running:
    """A command on record: still going, or how it ended. Works for children and for what an earlier life of the agent started."""

    def __init__(self, directory: Path, leader: Leader | None, token: str) -> None:
        self.directory = directory
        self._leader = leader
        self._token = token

    @property
    def pid(self) -> int:
        """Of the wrapper, which leads the session and the process group; 0 when there never was one."""
        return self._leader.pid if self._leader else 0

    def poll(self) -> int | None:
        """Exit status, negative for a signal, None while it goes on. What vanished without a status counts as killed."""
        status = _status(self.directory)
        if status is None and not self._alive():
            # The wrapper writes its status before it goes, so the second look is decisive.
            status = _status(self.directory)
            return -int(signal.SIGKILL) if status is None else status
        return status

    def wait(self, timeout: float) -> int | None:
        """Like `poll`, after at most ``timeout`` seconds; returns as soon as it ends."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None and (left := deadline - time.monotonic()) > 0:
            if self._leader is not None and sessions.lives(self._leader):
                sessions.wait_gone([self.pid], left)
            else:
                # The wrapper was killed alone; what it left has no event of its own.
                time.sleep(min(_LOOK_SECONDS, left))
        return status

    def output(self, limit: int) -> tuple[str, str]:
        """The last ``limit`` characters of stdout and of stderr."""
        return _tail(self.directory / "stdout", limit), _tail(self.directory / "stderr", limit)

    def written(self) -> int:
        """Bytes of both outputs that are on the disk so far."""
        paths = (self.directory / "stdout", self.directory / "stderr")
        return sum(path.stat().st_size for path in paths if path.exists())

    def end(self, grace_seconds: float = _GRACE_SECONDS) -> bool:
        """End everything in its session: TERM, after the grace KILL. True once nothing of it is left, as seen by looking.

        Of a command that goes on, what left the session for one of its own ends too; what an ended one left there, it left to stay."""
        leader, token = self._leader, self._token
        if leader is None:
            return True
        find = partial(sessions.members, leader, token) if _status(self.directory) is not None else partial(_everybody, leader, token)
        return _signalled_until_gone(find, signal.SIGTERM, grace_seconds) or _signalled_until_gone(find, signal.SIGKILL, _KILL_SECONDS)

    def _alive(self) -> bool:
        if self._leader is None:
            return False
        return sessions.lives(self._leader) or bool(sessions.members(self._leader, self._token))


def _everybody(leader: Leader, token: str) -> list[Member]:
    """Those who left its session, too, because an attempt that has ended leaves nothing that a retry could run beside."""
    return list({*sessions.members(leader, token), *sessions.carriers(token)})


def _signalled_until_gone(find: Callable[[], list[Member]], number: signal.Signals, seconds: float) -> bool:
    """Members may fork or exec while they are told, so each look tells those that were not told as what they are now."""
    deadline, told = time.monotonic() + seconds, set[tuple[int, bytes]]()
    known: set[Member] = set()
    pause = _LOOK_SECONDS
    while True:
        # One that is ending has lost its environment, and with it the token, before it is gone; so who was ours stays ours.
        known = {one for one in known if sessions.remains(one)} | set(find())
        if not known:
            return True
        seen = {(one.pid, sessions.command_line(one.pid)): one.group for one in known}
        for group in {group for key, group in seen.items() if key not in told and key[1]}:
            sessions.signal_group(group, number)
        told |= seen.keys()
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        sessions.wait_gone([one.pid for one in known], min(left, pause))
        pause = min(2 * pause, _LOOK_SECONDS_MAX)


def launch(
    command: Sequence[str], *, directory: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes = b""
) -> Running:
    """Start a command, or adopt the one that ``directory`` has on record: running, or ended.

    ``env`` is added to the agent's own environment; secrets go there or to ``stdin``, never into the command. A command that a reboot
    ended is started again.
    `StepFailed` ``command.differs`` when the record is of another command."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _ended_by_reboot(directory):
        _remove_record(directory)
    token, fresh = _record_command(directory, command)
    if not fresh and (running := _begun(directory, token, seconds=_MOMENT_SECONDS)):
        return running
    leader = _spawn(command, directory, token, env=env, cwd=cwd, stdin=stdin)
    if fresh:
        return Running(directory, leader, token)
    # Another launch may have spawned a wrapper that had not said so when its agent died: whoever said it first is the one.
    found = _begun(directory, token, seconds=_BEGIN_SECONDS)
    if found is None:
        raise StepFailed("command.not_begun", f"{command[0]} did not begin within {_BEGIN_SECONDS:g} s")
    return found


def recorded(directory: Path) -> Running | None:
    """The command that a directory has on record, None when there is none. One that does not begin within a moment never will."""
    try:
        token = json.loads((directory / "command.json").read_bytes())["token"]
    except FileNotFoundError:
        return None
    if running := _begun(directory, token, seconds=_MOMENT_SECONDS):
        return running
    try:
        with (directory / "began").open("x") as file:
            file.write(_NEVER + "\n")
    except FileExistsError:
        return _begun(directory, token, seconds=_BEGIN_SECONDS) or Running(directory, None, token)
    # A wrapper that is on its way is still to be ended, else it might find the directory without a record and go ahead.
    return Running(directory, sessions.find_leader(token), token)


def end_recorded(directory: Path) -> None:
    """End the command that a directory has on record, if any; returns when it is gone. `StepFailed` when it will not go."""
    running = recorded(directory)
    if running is not None and not running.end():
        raise StepFailed("command.immortal", f"process group {running.pid} did not end", hint=f"look at it: ps -s {running.pid}")


def forget(directory: Path) -> None:
    """End what ``directory`` has on record and remove the record, so that it can hold another."""
    end_recorded(directory)
    _remove_record(directory)


def _ended_by_reboot(directory: Path) -> bool:
    try:
        known = json.loads((directory / "command.json").read_bytes())
    except FileNotFoundError:
        return False
    return bool(known["boot"] != sessions.boot()) and _status(directory) is None


def _remove_record(directory: Path) -> None:
    """``command.json`` goes last: without it the other files would be taken for those of the next command."""
    for name in ("status.new", "status", "stdout", "stderr", "began", "command.json"):
        (directory / name).unlink(missing_ok=True)


def _record_command(directory: Path, command: Sequence[str]) -> tuple[str, bool]:
    """The token of the record, and whether it was made just now."""
    path, beside = directory / "command.json", directory / f"command.{secrets.token_hex(4)}"
    token = secrets.token_hex(16)
    if not path.exists():
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"command": list(command), "token": token, "boot": sessions.boot()}, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, path)
            return token, True
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    known = json.loads(path.read_bytes())
    if known["command"] != list(command):
        raise StepFailed("command.differs", f"{directory} holds the record of {known['command'][0]}, not of {command[0]} as asked")
    return str(known["token"]), False


def _spawn(command: Sequence[str], directory: Path, token: str, *, env: Mapping[str, str] | None, cwd: Path | None, stdin: bytes) -> Leader:
    environment = {**os.environ, **(env or {}), _TOKEN_NAME: token}
    source = os.memfd_create("stdin") if stdin else os.open(os.devnull, os.O_RDONLY)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        if stdin:
            _write_whole(source, stdin)
        pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", _WRAPPER, "oboe-command", str(directory.absolute()), str((cwd or Path()).absolute()), *command],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(directory / "stdout"), flags, 0o600),
                (os.POSIX_SPAWN_OPEN, 2, str(directory / "stderr"), flags, 0o600),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULTED,
        )
    finally:
        os.close(source)
    # Not reaped before the reaper starts, so the start time read here is its own.
    leader = sessions.leader_of(pid)
    threading.Thread(target=_reap, args=(pid,), name=f"reaper-{pid}", daemon=True).start()
    if leader is None:
        raise Bug("command.no_process", f"child {pid} is not in /proc")
    return leader


def _write_whole(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)


def _reap(pid: int) -> None:
    """So that no child of ours stays a zombie, watched or not."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def _begun(directory: Path, token: str, *, seconds: float) -> Running | None:
    """What ``began`` says, once its line is whole; waits for that at most so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            text = (directory / "began").read_text()
        except FileNotFoundError:
            text = ""
        if text.endswith("\n"):
            return Running(directory, None if text.strip() == _NEVER else sessions.parse_leader(text), token)
        if time.monotonic() >= deadline:
            return None
        time.sleep(_LOOK_SECONDS / 10)


def _status(directory: Path) -> int | None:
    """128 + N is signal N, as for every shell; ssh's 255 and the like are no signals."""
    try:
        number = int((directory / "status").read_text())
    except FileNotFoundError:
        return None
    return 128 - number if 128 < number <= 128 + signal.SIGRTMAX else number


def _tail(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            # A character takes four bytes at most.
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * limit))
            return file.read().decode("utf-8", "replace")[-limit:] if limit > 0 else ""
    except FileNotFoundError:
        return ""
