"""What oboe asks of a server in SQL: who it is, how replication goes, users, and who may connect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymysql.connections import Connection

from oboe.database.port import DatabaseState, Observation
from oboe.database.seekdb.connecting import translated
from oboe.kit.secret import Secret

__all__ = ["create_reader", "create_store", "drop_store", "drop_user", "invite", "look", "set_password", "standing"]

# START_SERVICE_TIME is in microseconds, 0 until it serves; the age is by the server's own clock.
_STANDING = """
SELECT role, switchover_status, log_restore_source, sync_scn, readable_scn, start_service_time,
       CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED), VERSION()
  FROM oceanbase.__all_virtual_server_stat"""
STORE_DATABASE = "oboe"


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
