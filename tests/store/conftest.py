"""The stores that the conformance suite runs on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from oboe.store.database import Database
from oboe.store.memory import MemoryHome, MemoryInbox
from oboe.store.mysql import Mysql, MysqlHome, create_schema
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox
from tests.store.mariadb_server import MariadbServer
from tests.store.mariadb_server import missing as mariadb_missing
from tests.store.seekdb_server import SeekdbServer

_TABLES = (
    "dag",
    "dag_state",
    "sub_task",
    "sub_task_log",
    "maintenance_lock",
    "audit",
    "member",
    "zone",
    "server",
    "cluster_fact",
    "request_key",
    "dag_search",
)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Sqlite]:
    opened = Sqlite(tmp_path / "oboe.db")
    yield opened
    opened.close()


def _prepared(server: Any) -> Callable[[], Any]:
    """The way to connect to a new database with our tables."""
    with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE oboe")
    with contextlib.closing(server.connect("oboe")) as connection:
        create_schema(connection)
        create_schema(connection)
    return lambda: server.connect("oboe")


def _emptied(connect: Callable[[], Any]) -> None:
    with contextlib.closing(connect()) as connection, connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("UPDATE counter SET value = 0")
        cursor.execute("UPDATE lease SET ip = '', port = 0, epoch = 0, expires_at = 0")
        connection.commit()


@pytest.fixture(scope="session")
def seekdb(store_server: SeekdbServer) -> Callable[[], Any]:
    return _prepared(store_server)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Any]]:
    if mariadb_missing():
        pytest.skip(mariadb_missing())
    server = MariadbServer(tmp_path_factory.mktemp("mariadb"))
    try:
        yield _prepared(server)
    finally:
        server.stop()


_SERVERS = [pytest.param("seekdb", marks=pytest.mark.seekdb), "mariadb"]


@pytest.fixture(params=_SERVERS)
def mysql(request: pytest.FixtureRequest) -> Iterator[Mysql]:
    connect = request.getfixturevalue(request.param)
    _emptied(connect)
    opened = Mysql(connect)
    yield opened
    opened.close()


def _database(request: pytest.FixtureRequest) -> Iterator[Database]:
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    connect = request.getfixturevalue(request.param)
    _emptied(connect)
    opened = Mysql(connect)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", *_SERVERS])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from _database(request)


def _home_in(database: Database) -> Any:
    return MysqlHome(database) if isinstance(database, Mysql) else SqliteHome(database)


@pytest.fixture
def table_home(database: Database) -> Any:
    """A home in tables, on each product."""
    return _home_in(database)


@pytest.fixture(params=["memory", "sqlite", *_SERVERS])
def home(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A home, of each kind."""
    if request.param == "memory":
        yield MemoryHome()
        return
    for opened in _database(request):
        yield _home_in(opened)


@pytest.fixture(params=["memory", "sqlite"])
def inbox(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryInbox()
    return SqliteInbox(request.getfixturevalue("sqlite"))


@pytest.fixture
def denied() -> Callable[[], Any]:
    """A way to connect that leads nowhere."""

    def connect() -> Any:
        return pymysql.connect(host="127.0.0.1", port=1, connect_timeout=1)

    return connect
