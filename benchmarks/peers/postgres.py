"""A PostgreSQL server, where one is installed, with its defaults: ``fsync`` and ``synchronous_commit`` on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.sizes import Unmeasured

__all__ = ["Server", "missing", "server"]

_PORT = 5432
"""Names the socket only: it listens on no network."""
_READY_SECONDS = 60.0
_USER = "nobody"
"""Runs it when we are root, which PostgreSQL refuses to be."""


class Server(NamedTuple):
    pid: int
    start_s: float
    """Until it answered."""
    dsn: str
    """An empty database."""


def missing() -> str:
    """Why there is no server here; empty when there is one."""
    installed = all(shutil.which(name) for name in ("initdb", "postgres", "pg_isready", "createdb"))
    return "" if installed else "PostgreSQL is not installed"


@contextmanager
def server(directory: Path) -> Iterator[Server]:
    """One server with its data below the directory. `Unmeasured` when it cannot be had."""
    user = _USER if os.geteuid() == 0 else None
    data = directory / "data"
    data.mkdir(mode=0o700)
    # A socket's path has 107 bytes at most, so it cannot be below the directory; and that user may not search our directories.
    sockets = Path(tempfile.mkdtemp(prefix="pg-"))
    held = [directory, *(parent for parent in directory.parents if user and not parent.stat().st_mode & 0o001)]
    if len(held) > 1:
        raise Unmeasured(f"{_USER} may not search {held[1]}")
    if user:
        directory.chmod(0o755)
        shutil.chown(data, user)
        shutil.chown(sockets, user)
    process = None
    try:
        _run(["initdb", "--pgdata", str(data), "--username", "bench", "--auth", "trust", "--encoding", "UTF8", "--no-locale"], user)
        command = [
            "postgres",
            "-D",
            str(data),
            "-k",
            str(sockets),
            "-c",
            "listen_addresses=",
            "-p",
            str(_PORT),
            "-c",
            "max_connections=200",
        ]
        began = time.monotonic()
        with (directory / "output").open("wb") as output:
            process = subprocess.Popen(command, user=user, cwd="/", stdout=output, stderr=output, start_new_session=True)
        _await_answer(process, sockets)
        start_s = time.monotonic() - began
        _run(["createdb", "-h", str(sockets), "-p", str(_PORT), "-U", "bench", "bench"], user)
        yield Server(process.pid, start_s, f"postgresql://bench@/bench?host={sockets}&port={_PORT}")
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # at once, its children too
            process.wait(30)
        shutil.rmtree(sockets, ignore_errors=True)


def _run(command: list[str], user: str | None) -> None:
    try:
        subprocess.run(command, user=user, cwd="/", check=True, capture_output=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise Unmeasured(f"{command[0]}: {error} {said.decode(errors='replace')[-300:]}") from error


def _await_answer(process: subprocess.Popen[bytes], sockets: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    asked = ["pg_isready", "-q", "-h", str(sockets), "-p", str(_PORT)]
    while subprocess.run(asked, timeout=30, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unmeasured("PostgreSQL does not answer")
        time.sleep(0.05)
