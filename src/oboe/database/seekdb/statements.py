"""What oboe asks of a server in SQL: who it is, how replication goes, users, and who may connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymysql
from pymysql.connections import Connection

from oboe.database.port import DatabaseState, Observation
from oboe.database.seekdb.connecting import translated
from oboe.kit.secret import Secret

__all__ = [
    "checkpoint_scn",
    "clone_obstacle",
    "create_reader",
    "create_store",
    "drop_store",
    "drop_user",
    "invite",
    "look",
    "minor_freeze",
    "set_password",
    "standing",
    "unreadable_tables",
]

# START_SERVICE_TIME is in microseconds, 0 until it serves; the age is by the server's own clock.
_STANDING = """
SELECT role, switchover_status, log_restore_source, sync_scn, readable_scn, start_service_time,
       CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), VERSION()
  FROM oceanbase.__all_virtual_server_stat"""
# A schema version is the microsecond in which the newest table was made; a checkpoint's position is in nanoseconds.
_CHECKPOINT_BEHIND = """
SELECT (SELECT MAX(schema_version) FROM oceanbase.__all_table_history)
     - (SELECT MIN(checkpoint_scn) FROM oceanbase.__all_virtual_ls_info) / 1000"""
# A compaction replaces what a clone is copying at that moment: it fails with -4735 and has to begin anew (measured).
_COMPACTION_RESTS = """
SELECT TIMESTAMPDIFF(MICROSECOND, MAX(finish_time), NOW(6)) / 1000000 FROM oceanbase.V$OB_TABLET_COMPACTION_HISTORY"""
COMPACTION = "the primary's compaction"
REST_SECONDS = 3.0
_NEW_TABLES = """
SELECT d.database_name, t.table_name
  FROM oceanbase.__all_table t JOIN oceanbase.__all_database d ON d.database_id = t.database_id
 WHERE t.table_type = 3 AND t.schema_version >= %s LIMIT %s"""
_NEW_TABLES_MAX = 500
_QUERY_TIMEOUT = 4012
_DAY = 86_400.0
STORE_DATABASE = "oboe"
PRIMARY_AGE_SECONDS = 10.0
"""A clone of a younger primary mostly fails, and its directory never recovers (measured)."""


def look(connection: Connection[Any]) -> None:
    """The least a server must answer."""
    _run(connection, ("SELECT 1", ()))


def standing(connection: Connection[Any]) -> Observation:
    """Role, replication and age of the server at the other end."""
    with translated("the other end"), connection.cursor() as cursor:
        cursor.execute(_STANDING)
        row = cursor.fetchone()
    if row is None:
        return Observation(state=DatabaseState.RESTRICTED, reason="it serves, but does not know itself yet")
    role, status, source, sync, readable, began, now, version = row
    return Observation(
        state=DatabaseState.AVAILABLE,
        role=str(role),
        status=str(status),
        source=str(source or ""),
        sync_scn=int(sync or 0),
        readable_scn=int(readable or 0),
        age_seconds=max(0.0, (int(now) - int(began)) / 1e6) if began else 0.0,
        version=str(version).rpartition("seekdb-v")[2],
    )


def clone_obstacle(connection: Connection[Any]) -> str:
    """Why a clone made of this server now would not be whole; empty when it would.

    Measured: a table that is newer than the primary's checkpoint when the clone begins can never be read on the clone (4012, -6231)."""
    age = standing(connection).age_seconds
    if age < PRIMARY_AGE_SECONDS:
        return f"primary age ≥ {PRIMARY_AGE_SECONDS:.0f} s, now {age:.1f}"
    with translated("the other end"), connection.cursor() as cursor:
        cursor.execute(_CHECKPOINT_BEHIND)
        row = cursor.fetchone()
        cursor.execute(_COMPACTION_RESTS)
        rests = cursor.fetchone()
    behind = float(row[0] or 0) / 1e6 if row else 0.0
    if behind < 0:
        rested = float(rests[0]) if rests and rests[0] is not None else REST_SECONDS
        return "" if rested >= REST_SECONDS else f"{COMPACTION} to rest for {REST_SECONDS:.0f} s, now {rested:.1f}"
    return "the primary's " + (f"checkpoint to pass its newest table, {behind:.1f} s behind it" if behind < _DAY else "first checkpoint")


def checkpoint_scn(connection: Connection[Any]) -> int:
    """How far its checkpoint is; 0: it has none yet."""
    with translated("the other end"), connection.cursor() as cursor:
        cursor.execute("SELECT MIN(checkpoint_scn) FROM oceanbase.__all_virtual_ls_info")
        row = cursor.fetchone()
    return int(row[0] or 0) if row else 0


def unreadable_tables(connection: Connection[Any], since: float) -> list[str]:
    """Tables made since then (Unix seconds, by this host's clock) that cannot be read here: a clone that has any will never be whole."""
    lost = []
    with translated("the other end"), connection.cursor() as cursor:
        cursor.execute(_NEW_TABLES, (int(since * 1e6), _NEW_TABLES_MAX))
        tables = cursor.fetchall()
        cursor.execute("SET ob_query_timeout = 1000000")
        for database, table in tables:
            try:
                cursor.execute(f"SELECT 1 FROM `{database.replace('`', '``')}`.`{table.replace('`', '``')}` LIMIT 1")
            except pymysql.err.Error as error:
                if error.args and error.args[0] == _QUERY_TIMEOUT:
                    lost.append(f"{database}.{table}")
    return lost


def minor_freeze(connection: Connection[Any]) -> None:
    """Asks for a checkpoint; it comes some seconds later."""
    _run(connection, ("ALTER SYSTEM MINOR FREEZE", ()))


def invite(connection: Connection[Any], addresses: Sequence[str]) -> None:
    """Only these may connect from now on; loopback always may."""
    listed = ",".join(dict.fromkeys(["127.0.0.1", *addresses]))
    _run(connection, ("SET GLOBAL ob_tcp_invited_nodes = %s", (listed,)))


def set_password(connection: Connection[Any], user: str, password: Secret) -> None:
    _run(connection, ("ALTER USER %s IDENTIFIED BY %s", (user, password.reveal())))


def create_store(connection: Connection[Any], user: str, password: Secret) -> None:
    """Database ``oboe`` and the user who owns it."""
    _run(
        connection,
        (f"CREATE DATABASE IF NOT EXISTS {STORE_DATABASE}", ()),
        *_user(user, password),
        (f"GRANT ALL PRIVILEGES ON {STORE_DATABASE}.* TO %s", (user,)),
        ("GRANT SELECT ON oceanbase.* TO %s", (user,)),
        ("GRANT ALTER SYSTEM ON *.* TO %s", (user,)),
    )


def create_reader(connection: Connection[Any], user: str, password: Secret) -> None:
    """A user who reads ``oceanbase``."""
    _run(connection, *_user(user, password), ("GRANT SELECT ON oceanbase.* TO %s", (user,)))


def drop_store(connection: Connection[Any], user: str) -> None:
    _run(connection, (f"DROP DATABASE IF EXISTS {STORE_DATABASE}", ()), ("DROP USER IF EXISTS %s", (user,)))


def drop_user(connection: Connection[Any], user: str) -> None:
    _run(connection, ("DROP USER IF EXISTS %s", (user,)))


def _user(user: str, password: Secret) -> list[tuple[str, tuple[str, ...]]]:
    text = password.reveal()
    return [("CREATE USER IF NOT EXISTS %s IDENTIFIED BY %s", (user, text)), ("ALTER USER %s IDENTIFIED BY %s", (user, text))]


def _run(connection: Connection[Any], *statements: tuple[str, tuple[str, ...]]) -> None:
    with translated("the other end"), connection.cursor() as cursor:
        for text, values in statements:
            cursor.execute(text, values)
