"""The cluster's home for crash runs: one seekdb server, a fresh database for each run."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from oboe.store.mysql import create_schema
from tests.crash.agent import World
from tests.store.seekdb_server import SeekdbServer, missing

__all__ = ["Server", "missing"]


class Server:
    """A primary that runs until it is stopped."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="oboe-crash-seekdb-"))
        self._server = SeekdbServer(self._directory)
        self._count = 0

    def world(self, directory: Path, story: str) -> World:
        """A world with a database that nobody used before; the one before it is dropped."""
        before, self._count = f"crash_{self._count}", self._count + 1
        name = f"crash_{self._count}"
        with contextlib.closing(self._server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {before}")
            cursor.execute(f"CREATE DATABASE {name}")
        with contextlib.closing(self._server.connect(name)) as connection:
            create_schema(connection)
        return World(directory, story, self._server.port, name)

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._directory, ignore_errors=True)
