"""One SQLite file: a writer that commits whatever is queued at once, and readers that never wait for it.

Invariants: one connection writes, under ``_mutex``; a caller returns from `Sqlite.write` only after the commit that holds its work is on
the disk (WAL, ``synchronous=FULL``); work that fails leaves no trace and does not disturb what shares its commit (`oboe.store.together`).
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from oboe.domain.errors import Bug, OboeError, Refused, TryAgain
from oboe.store.database import Row, Session
from oboe.store.schema import check_known, migrations
from oboe.store.together import Place, Together

__all__ = ["OLDEST", "Sqlite"]

T = TypeVar("T")
_Job = Place[Callable[[Session], Any], Any]

OLDEST = (3, 35, 0)
"""The first SQLite that understands ``ON CONFLICT DO UPDATE`` without naming an index."""

LOG_BYTES = 1000 * (4096 + 24) + 32
"""The write-ahead log when SQLite begins to write it from the start again: a thousand pages."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL)"
_PASSES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@lru_cache(maxsize=1024)
def _translated(statement: str) -> str:
    """SQLite's words for those of MySQL that it does not know."""
    statement = statement.replace(" FOR UPDATE", "").replace("INSERT IGNORE", "INSERT OR IGNORE")
    if "ON DUPLICATE KEY UPDATE" not in statement:
        return statement
    return re.sub(r"VALUES\((\w+)\)", r"excluded.\1", statement.replace("ON DUPLICATE KEY UPDATE", "ON CONFLICT DO UPDATE SET"))


class _SqliteSession:
    """`Session` over one connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        try:
            return self._connection.execute(_translated(statement), values).fetchall()
        except sqlite3.OperationalError as failure:
            if "decode to UTF-8" not in str(failure):
                raise
            return self._damaged_rows(statement, values)

    def _damaged_rows(self, statement: str, values: Sequence[Any]) -> list[Row]:
        """The same with escapes that no JSON has: a damaged body is known for what it is, and hides no other row."""
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
        try:
            return self._connection.execute(_translated(statement), values).fetchall()
        finally:
            self._connection.text_factory = str

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(_translated(statement), values).rowcount

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(_translated(statement), rows)


class Sqlite:
    """A file that homes, inbox and facts share; opening it brings its tables up to date.

    `Refused` ``store.newer`` for a file of a later release, ``store.unusable`` for what is none;
    `TryAgain` ``store.busy`` and ``store.no_space`` for what passes."""

    def __init__(
        self, path: Path, *, busy_seconds: float = 5.0, readers_max: int = 8, batch_max: int = 256, log_bytes: int = LOG_BYTES
    ) -> None:
        self.path = path
        self._busy_seconds = busy_seconds
        self._together: Together[Callable[[Session], Any], Any] = Together(self._commit, batch_max=batch_max)
        self._mutex = threading.Lock()
        """Held by whoever uses the writing connection."""
        self._idle: list[sqlite3.Connection] = []
        self._readers = threading.BoundedSemaphore(readers_max)
        self._closed = False
        if sqlite3.sqlite_version_info < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise Refused(
                "store.library_too_old", f"SQLite {sqlite3.sqlite_version} is older than {oldest}", hint="use a newer Python build"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as failure:
            raise Refused("store.unusable", f"{path}: {failure.strerror}", hint="it must be a file that the agent may write") from failure
        with _translated_errors():
            self._writer = self._connect()
            try:
                self._prepare()
                self._grow_log(log_bytes)
            except BaseException:
                self._writer.close()
                raise

    def write(self, work: Callable[[Session], T]) -> T:
        result: T = self._together(work)
        return result

    def read(self, work: Callable[[Session], T]) -> T:
        with self._reader() as connection, _translated_errors():
            connection.execute("BEGIN")
            try:
                return work(_SqliteSession(connection))
            finally:
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Wait for the commit under way, then close every connection that is not in use."""
        with self._mutex:
            self._closed = True
            while self._idle:
                self._idle.pop().close()
            self._writer.close()

    # The writer

    def _commit(self, jobs: Sequence[_Job]) -> None:
        """Carry the jobs out in one transaction."""
        try:
            with self._mutex, _translated_errors():
                if self._closed:
                    raise TryAgain("store.closed", f"{self.path} is closed: the agent stops")
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    for job in jobs:
                        self._carry_out(job, alone=len(jobs) == 1)
                    self._writer.execute("COMMIT")
                finally:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
        except (OboeError, sqlite3.Error) as failure:
            for job in jobs:
                job.failure = job.failure or failure

    def _carry_out(self, job: _Job, *, alone: bool) -> None:
        """Run one job; when it fails, undo it and keep why."""
        if not alone:
            self._writer.execute("SAVEPOINT job")
        try:
            job.answer = job.item(_SqliteSession(self._writer))
        except BaseException as failure:
            job.failure = _as_ours(failure)
            if not self._writer.in_transaction:
                raise  # a full disk, for example, ends the transaction, and with it what the others did in it
            self._writer.execute("ROLLBACK" if alone else "ROLLBACK TO job")
            if alone:
                self._writer.execute("BEGIN")
        if not alone:
            self._writer.execute("RELEASE job")

    # Connections

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if not self._readers.acquire(timeout=self._busy_seconds):
            raise TryAgain("store.busy", "every reader of the store is in use")
        connection = None
        try:
            with _translated_errors():
                connection = self._idle.pop() if self._idle else self._connect()
            yield connection
        finally:
            if connection is not None:
                if self._closed:
                    connection.close()
                else:
                    self._idle.append(connection)
            self._readers.release()

    def _prepare(self) -> None:
        known = migrations(_MIGRATIONS)
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            self._writer.execute(_VERSION_TABLE)
            (found,) = self._writer.execute("SELECT COALESCE(MAX(version), 0) FROM schema_version").fetchone()
            check_known(found, len(known), str(self.path))
            for number, statements in known[found:]:
                for statement in statements:
                    self._writer.execute(statement)
                self._writer.execute("INSERT INTO schema_version (version, applied_at) VALUES (?, ?)", (number, time.time_ns()))
            self._writer.execute("COMMIT")
        finally:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _grow_log(self, size: int) -> None:
        """Give the write-ahead log its full size now: a commit that makes it longer takes nearly twice as long.

        Zeros after the last frame are no frames to SQLite. Nobody writes frames meanwhile, because we hold the write lock."""
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            log = os.open(f"{self.path}-wal", os.O_WRONLY | os.O_APPEND)
            try:
                os.write(log, bytes(max(size - os.fstat(log).st_size, 0)))
                os.fsync(log)
            finally:
                os.close(log)
        except OSError as failure:
            raise TryAgain(
                "store.no_space", f"the store cannot grow: {failure}", hint="make room on its disk", after_seconds=5
            ) from failure
        finally:
            self._writer.execute("ROLLBACK")


def _as_ours(failure: BaseException) -> BaseException:
    """The error as the port says it: what passes is `TryAgain`, what contradicts us is a `Bug`, everything else stays."""
    if not isinstance(failure, sqlite3.Error):
        return failure
    code = getattr(failure, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return TryAgain("store.no_space", f"the store cannot grow: {failure}", hint="make room on its disk", after_seconds=5)
    if code in _PASSES:
        return TryAgain("store.busy", f"the store does not answer: {failure}")
    damaged = code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
    return Bug("store.failed", f"the store: {failure}", hint="restore oboe.db of this home from a backup" if damaged else "")


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as failure:
        raise _as_ours(failure) from failure
