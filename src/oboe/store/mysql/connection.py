"""Connections to the cluster's database, pooled; one transaction at a time on each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, TypeVar

import pymysql
from dbutils.pooled_db import PooledDB  # type: ignore[import-untyped]
from pymysql.connections import Connection

from oboe.domain.errors import Bug, OboeError, TryAgain
from oboe.store.database import Row, Session
from oboe.store.mysql.errors import LOST, READ_ONLY, TIMED_OUT, UNKNOWN_VARIABLE, error_number, translated_errors
from oboe.store.mysql.schema import check_schema

__all__ = ["Connect", "Mysql"]

T = TypeVar("T")
Connect = Callable[[], "Connection[Any]"]

_SETTINGS = (
    "SET time_zone = '+00:00', autocommit = 1",
    "SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'NO_BACKSLASH_ESCAPES', '')",  # see `_quoted`
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)
_LOCK_WAIT = "SET ob_trx_lock_timeout = 3000000, ob_query_timeout = 10000000"
"""Microseconds. A commit waits for another maintainer's that long at most; then the caller tries again."""
_LOCK_WAIT_ELSEWHERE = "SET innodb_lock_wait_timeout = 3"
_STATEMENT_CHARS_MAX = 1 << 20


def _quoted(text: str) -> str:
    """A text as a literal. The driver escapes six more characters that need not be, double quotes first of all, and bodies are JSON."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _literal(value: object) -> str:
    """A whole number, a text, or None."""
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return _quoted(value)
    if value is None:
        return "NULL"
    raise Bug("store.value", f"no literal for {type(value).__name__}")


@lru_cache(maxsize=64)
def _cut(statement: str) -> tuple[str, str, str]:
    """What comes before the ``VALUES`` group, the group with the driver's marks, what comes after it."""
    before, word, rest = statement.partition("VALUES (")
    group, end, after = rest.partition(")")
    return before + word[:-1], f"({group.replace('?', '%s')}{end}", after


@lru_cache(maxsize=1024)
def _translated(statement: str) -> str:
    """The driver's mark for a parameter."""
    return statement.replace("?", "%s")


class _MysqlSession:
    """`Session` over one cursor."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        self._cursor.execute(_translated(statement), values)
        return list(self._cursor.fetchall())

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return int(self._cursor.execute(_translated(statement), values))

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement with a ``VALUES`` group for each row, more where it would become longer than 1 MB: as the driver's own
        ``executemany``, at a tenth of its price. Values are whole numbers, texts, or None."""
        before, group, after = _cut(statement)
        groups: list[str] = []
        size = 0
        for row in rows:
            groups.append(group % tuple([_literal(value) for value in row]))
            size += len(groups[-1])
            if size > _STATEMENT_CHARS_MAX:
                self._cursor.execute(before + ",".join(groups) + after)
                groups, size = [], 0
        if groups:
            self._cursor.execute(before + ",".join(groups) + after)


class Mysql:
    """A database of the cluster, opened on first use. Thread-safe.

    ``connect`` gives a new connection to the primary's database; ``lost`` hears when the one it gave turned out to be gone or read-only.
    `TryAgain` ``store.away``, ``store.read_only``, ``store.busy``, ``store.absent``; `Refused` ``store.newer``."""

    def __init__(
        self, connect: Connect, *, lost: Callable[[], None] = lambda: None, connections_max: int = 8, wait_seconds: float = 10.0
    ) -> None:
        self._connect = connect
        self._lost = lost
        self._connections_max = connections_max
        self._wait_seconds = wait_seconds
        self._slots = threading.BoundedSemaphore(connections_max)
        self._mutex = threading.Lock()
        self._pool: PooledDB | None = None
        self._checked = False

    @classmethod
    def of(cls, source: Connect | Mysql) -> Mysql:
        """The database itself, or a new one over that way to connect."""
        return source if isinstance(source, Mysql) else cls(source)

    def write(self, work: Callable[[Session], T]) -> T:
        with self._connection() as connection:
            _begin(connection)
            cursor = connection.cursor()
            try:
                result = work(_MysqlSession(cursor))
                connection.commit()
            except BaseException:
                with suppress(pymysql.err.Error):
                    connection.rollback()
                raise
            finally:
                cursor.close()
            return result

    def read(self, work: Callable[[Session], T]) -> T:
        with self._connection() as connection:
            cursor = connection.cursor()
            try:
                return work(_MysqlSession(cursor))
            finally:
                cursor.close()

    def change(self, statement: str, values: Sequence[Any]) -> int:
        """Run one statement in a transaction of its own, which is one round trip; what it gave to ``LAST_INSERT_ID``, 0: no row changed."""
        with self._connection() as connection:
            cursor = connection.cursor()
            try:
                return int(cursor.lastrowid) if cursor.execute(_translated(statement), values) else 0
            finally:
                cursor.close()

    def close(self) -> None:
        """Close what is idle. The next use opens again."""
        with self._mutex:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise TryAgain("store.busy", f"all {self._connections_max} connections to the cluster's store are in use")
        try:
            with translated_errors(), self._watched():
                connection = self._pooled().connection()
                try:
                    if not self._checked:
                        check_schema(connection)
                        self._checked = True
                    yield connection
                finally:
                    connection.close()
        finally:
            self._slots.release()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """After a sign that the primary is another one now, nothing old is used again."""
        try:
            yield
        except OboeError:
            raise
        except pymysql.err.Error as error:
            if error_number(error) in READ_ONLY | LOST | {TIMED_OUT} or isinstance(error, pymysql.err.InterfaceError):
                self.close()
                self._lost()
            raise

    def _pooled(self) -> PooledDB:
        with self._mutex:
            if self._pool is None:
                self._pool = PooledDB(self._open, maxcached=self._connections_max, ping=0, reset=False)
            return self._pool

    def _open(self) -> Connection[Any]:
        connection = self._connect()
        try:
            with connection.cursor() as cursor:
                for statement in _SETTINGS:
                    cursor.execute(statement)
                try:
                    cursor.execute(_LOCK_WAIT)
                except pymysql.err.Error as error:
                    if error_number(error) != UNKNOWN_VARIABLE:
                        raise
                    cursor.execute(_LOCK_WAIT_ELSEWHERE)
        except BaseException:
            connection.close()
            raise
        return connection


def _begin(connection: Any) -> None:
    """Begin; on a pooled connection that died while it was idle, begin again on a new one: nothing was done on it yet."""
    try:
        connection.begin()
    except pymysql.err.Error as error:
        if error_number(error) not in LOST and not isinstance(error, pymysql.err.InterfaceError):
            raise
        with suppress(pymysql.err.Error):
            connection.rollback()  # it fails, and the pool replaces the connection
        connection.begin()
