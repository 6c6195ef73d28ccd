"""Where and when figures were measured, and the means to leave nothing behind there."""

from __future__ import annotations

import os
import platform
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil

__all__ = ["describe", "end_processes", "limited"]

_END_SECONDS = 10.0


def describe(directory: Path) -> dict[str, Any]:
    """The machine, the disk, the commit, the day, how busy the machine is before, and with which priority it is asked."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total >> 20,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "file_system": _file_system(directory),
        "priority": _priority(),
        "load_before": load(),
    }


def load() -> float:
    """Processes that wanted a processor, on the average of the last minute."""
    return round(os.getloadavg()[0], 2)


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Whatever happens inside ends by then, and by SIGTERM: both leave by an exception, so that everything is taken down."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(f"given up after {seconds} s" if number == signal.SIGALRM else "ended by SIGTERM")

    before = {number: signal.signal(number, leave) for number in (signal.SIGALRM, signal.SIGTERM)}
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def end_processes(directory: Path) -> None:
    """Kill what names that directory on its command line: agents, and the databases that outlive them on purpose."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid not in ours and any(str(directory) in word for word in process.cmdline()):
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=_END_SECONDS)


def _priority() -> str:
    """Empty: none above other processes."""
    if os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO):
        return "real-time priority"
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return f"nice {nice}" if nice else ""


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _file_system(directory: Path) -> str:
    """Of the deepest mount above the directory."""
    mounts = [part for part in psutil.disk_partitions(all=True) if directory.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype if mounts else ""
