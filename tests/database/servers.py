"""Real seekdb servers for tests: made, looked at, read and written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pymysql
import pytest

from oboe.database.port import Instance
from oboe.database.seekdb import SeekdbDriver
from oboe.kit.secret import Secret

__all__ = ["AGE_SECONDS", "BOUND", "NOBODY", "REAL", "configured", "driver", "eventually", "processes_in", "read", "write"]

driver = SeekdbDriver()
REAL = [pytest.mark.seekdb, pytest.mark.skipif(bool(driver.problem()), reason=driver.problem())]
NOBODY = Secret("")
AGE_SECONDS = 10.0
BOUND = 60.0


def eventually(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + BOUND
    while not ready():
        assert time.monotonic() < deadline, "not within the bound"
        time.sleep(0.02)


def configured(home: Path, **settings: str) -> Instance:
    return driver.configure(settings, home=home, ip="127.0.0.1", zone="zone1").instance


def processes_in(home: Path) -> list[int]:
    """Every process that mentions a directory below, the wrapper included."""
    return [one.pid for one in psutil.process_iter(["cmdline"]) if any(str(home) in part for part in one.info["cmdline"] or [])]


def write(instance: Instance, *statements: str) -> None:
    with driver.connect(instance, user="root", password=NOBODY) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def read(instance: Instance, statement: str) -> object:
    try:
        with driver.connect(instance, user="root", password=NOBODY) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()
    except pymysql.err.ProgrammingError:
        return None
