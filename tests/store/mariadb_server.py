"""A MariaDB server, where one is installed, to keep the SQL honest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pymysql

__all__ = ["MariadbServer", "missing"]

_READY_SECONDS = 120.0


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec:/usr/local/sbin"
"""Distributions keep servers where only root's shell looks."""
_SERVER, _INSTALL = (shutil.which(name, path=_PATH) for name in ("mariadbd", "mariadb-install-db"))


def missing() -> str:
    """Why there is no server here; empty when there is one."""
    return "" if _SERVER and _INSTALL else "MariaDB is not installed"


class MariadbServer:
    """One server in a directory of its own, on a unix socket."""

    def __init__(self, directory: Path) -> None:
        data, self._socket = directory / "data", str(directory / "sock")
        plain = ["--no-defaults", f"--datadir={data}"]
        install = [str(_INSTALL), *plain, "--auth-root-authentication-method=normal", "--skip-test-db"]
        made = subprocess.run(install, check=False, capture_output=True, text=True, timeout=400)
        assert made.returncode == 0, made.stdout + made.stderr
        command = [str(_SERVER), *plain, f"--socket={self._socket}", "--skip-networking", "--innodb-flush-log-at-trx-commit=1"]
        if os.geteuid() == 0:
            command.append("--user=root")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.Error:
                assert self.process.poll() is None, "mariadbd ended"
                assert time.monotonic() < deadline, "mariadbd does not answer"
                time.sleep(0.05)

    def connect(self, database: str = "") -> Any:
        """A connection as a driver would give it."""
        return pymysql.connect(unix_socket=self._socket, user="root", database=database or None, charset="utf8mb4")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
