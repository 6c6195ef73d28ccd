"""The cluster's home for crash runs: one seekdb server, and for each run a database as it is when it was just made."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pymysql

from oboe.store.mysql import create_schema
from tests.store.seekdb_server import SeekdbServer, missing

__all__ = ["Database", "Server", "missing"]

_SCHEMA_VERSION = "schema_version"
_OTHERS = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = %s AND id <> connection_id()"
_ALONE_SECONDS = 30.0

Contents = dict[str, list[tuple[Any, ...]]]
"""The rows of every table."""


class Server:
    """A primary that runs until it is stopped."""

    def __init__(self, place: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="seekdb-", dir=place))
        self._server = SeekdbServer(self._directory)
        self.port = self._server.port

    def stop(self) -> None:
        self._server.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


class Database:
    """A database that one run after the other uses.

    It is made once, because making one costs the server as much as ten runs. Between runs it is emptied, once nobody is connected to
    it any more, and compared row by row with what it held when it was new."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        with contextlib.closing(self._connect("")) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        with contextlib.closing(self._connect(name)) as connection:
            create_schema(connection)
            with connection.cursor() as cursor:
                cursor.execute("SHOW TABLES")
                self._tables = sorted(table for (table,) in cursor.fetchall())
                self._new = self._contents(cursor)

    def renew(self) -> None:
        """Let it be as it was when it was made."""
        with contextlib.closing(self._connect(self.name)) as connection, connection.cursor() as cursor:
            self._await_alone(cursor)
            connection.begin()
            for table in self._tables:
                if table != _SCHEMA_VERSION:
                    cursor.execute(f"DELETE FROM {table}")
                    for row in self._new[table]:
                        cursor.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
            connection.commit()
            if self._contents(cursor) != self._new:
                raise AssertionError(f"database {self.name} is not as new")

    def _await_alone(self, cursor: Any) -> None:
        """A dead agent's last transaction is over once the server has noticed that its connection is gone."""
        deadline = time.monotonic() + _ALONE_SECONDS
        while True:
            cursor.execute(_OTHERS, (self.name,))
            if cursor.fetchone() == (0,):
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"somebody is still connected to database {self.name}")
            time.sleep(0.01)

    def _contents(self, cursor: Any) -> Contents:
        contents = {}
        for table in self._tables:
            cursor.execute(f"SELECT * FROM {table}")
            contents[table] = sorted(cursor.fetchall())
        return contents

    def _connect(self, database: str) -> Any:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", database=database or None, connect_timeout=5, read_timeout=30, ssl_disabled=True
        )
