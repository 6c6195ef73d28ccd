"""A real seekdb server for the tests of stores, started from the wheel."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pymysql

from demo.ports import free_ports

__all__ = ["SeekdbServer", "missing"]

_READY_SECONDS = 120.0


def missing() -> str:
    """Why there is no server here; empty when there is one."""
    found = importlib.util.find_spec("pylibseekdb")
    if found is None or found.origin is None:
        return "the wheel pylibseekdb is not installed"
    return "" if (Path(found.origin).parent / "seekdb").exists() else "this pylibseekdb has no server in it"


class SeekdbServer:
    """One primary in a directory of its own, on ports that no outgoing connection can take: seekdb, asked to use one that was, ends."""

    def __init__(self, directory: Path) -> None:
        found = importlib.util.find_spec("pylibseekdb")
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        self.port, rpc_port = free_ports(2)
        self._output = (directory / "output").open("wb")
        command = [str(package / "seekdb"), "--base-dir", str(directory / "base"), "--port", str(self.port), "--nodaemon"]
        for setting in ("memory_budget=1G", "log_disk_size=2G", "datafile_size=32M", "syslog_level=ERROR", f"rpc_port={rpc_port}"):
            command += ["--parameter", setting]
        command += ["--variable", "auto_increment_cache_size=100"]
        self.process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, "LD_LIBRARY_PATH": str(package), "TELEMETRY_ENABLED": "0"},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._await_ready(directory)
        except BaseException:
            self.stop()
            raise

    def connect(self, database: str = "") -> Any:
        """A connection as a driver would give it: no session settings of ours."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database or None, connect_timeout=5, read_timeout=30, ssl_disabled=True
        )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)
        self._output.close()

    def _await_ready(self, directory: Path) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.Error as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"seekdb does not answer: {(directory / 'output').read_text()[-2000:]}") from error
                time.sleep(0.05)
