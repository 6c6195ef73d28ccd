"""Who is in a session of processes, as /proc says now, and signals that reach nobody else.

A leader is named by boot, pid and start time: a recycled pid is another leader. When the leader is gone its members are known by a
token in their environment, since a session number is not given again while anybody is in it, but may be afterwards.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = [
    "Leader",
    "Member",
    "boot",
    "carriers",
    "command_line",
    "find_leader",
    "leader_of",
    "lives",
    "members",
    "parse_leader",
    "signal_group",
    "wait_gone",
]


@dataclass(frozen=True, slots=True)
class Leader:
    """The first process of a session: ``started`` is in clock ticks since that boot."""

    boot: str
    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Member:
    """A process that runs, zombies not counted."""

    pid: int
    group: int
    session: int
    started: int


def leader_of(pid: int) -> Leader | None:
    """A process as it is now, zombie or not; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Leader(boot(), pid, _fields(text)[1].started)


def find_leader(token: str) -> Leader | None:
    """The leader of the session in which somebody carries that token; looks at every process."""
    for pid in _pids():
        member = _look(pid)
        if member is not None and member.session == pid and _carries(pid, token):
            return Leader(boot(), pid, member.started)
    return None


def parse_leader(text: str) -> Leader:
    """From ``<boot id> <stat line>``."""
    boot, _, stat = text.partition(" ")
    member = _fields(stat)[1]
    return Leader(boot, member.pid, member.started)


def lives(leader: Leader) -> bool:
    """Whether that very process runs; a zombie does not."""
    member = _look(leader.pid)
    return leader.boot == boot() and member is not None and member.started == leader.started


def members(leader: Leader, token: str) -> list[Member]:
    """Everybody in the session of ``leader``; none when its pid means somebody else by now."""
    if leader.boot != boot():
        return []
    found = [member for pid in _pids() if (member := _look(pid)) and member.session == leader.pid]
    if not found or lives(leader):
        return found
    now = leader_of(leader.pid)
    if now is not None and now.started != leader.started:
        return []
    return [member for member in found if _carries(member.pid, token)]


def carriers(token: str) -> list[Member]:
    """Everybody who carries that token, in whatever session: those too who left the leader's for one of their own."""
    return [member for pid in _pids() if _carries(pid, token) and (member := _look(pid))]


def remains(member: Member) -> bool:
    """Whether that very process still runs."""
    now = _look(member.pid)
    return now is not None and now.started == member.started


def command_line(pid: int) -> bytes:
    """What a process runs now; it changes with exec. Empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def signal_group(group: int, number: signal.Signals) -> None:
    """Signal a process group; one that is gone is fine."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def wait_gone(pids: Sequence[int], timeout: float) -> bool:
    """Wait until one of these processes is gone, children of ours or not; False after ``timeout`` seconds."""
    with ExitStack() as stack:
        poller = select.poll()
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except (ProcessLookupError, PermissionError):
                return True
            stack.callback(os.close, descriptor)
            poller.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + timeout
        return bool(poller.poll(max(0, int((deadline - time.monotonic()) * 1000) + 1)))


@cache
def boot() -> str:
    """Id of this boot of the host: pids and start times mean nothing in another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - half a millisecond instead of three


def _look(pid: int) -> Member | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - called for every process
            state, member = _fields(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else member


def _fields(stat: str) -> tuple[str, Member]:
    """State and facts of a stat line (proc(5)); the name in parentheses may hold anything."""
    before, _, after = stat.rpartition(")")
    rest = after.split()
    return rest[0], Member(int(before.split(" ", 1)[0]), int(rest[2]), int(rest[3]), int(rest[19]))


def _carries(pid: int, token: str) -> bool:
    try:
        return token.encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
