"""Connections to a server, by unix socket or TCP, with the session settings that all of ours need; what goes wrong is translated here."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection

from oboe.domain.errors import OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.kit.secret import Secret

__all__ = ["STATEMENT_SECONDS", "by_socket", "by_tcp", "translated"]

STATEMENT_SECONDS = 10.0
"""How long the server works at one statement; the client waits half as long again."""
_LOCK_SECONDS = 5.0
_SOCKET_PATH_MAX = 107
"""sun_path of AF_UNIX, without its final zero."""
_LOST = {0, 2002, 2003, 2006, 2013, 4012}
_DENIED = {1045, 1698, 1251}
_AGAIN = {1040, 1205, 1213, 4023, 4688, 6002, 6235}


class _Connection(Connection):
    """Encrypted where the server offers it, without looking at its certificate, as the library does by itself.

    But the library reads the host's certificate authorities for every connection, which it does not use: over 20 ms each, the greater part
    of what an agent computed while it carried out a dag."""

    def _create_ssl_ctx(self, sslp: object) -> ssl.SSLContext:
        return _tls()


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def by_socket(path: Path, port: int, *, user: str, password: Secret, timeout: float, database: str = "") -> Connection[Any]:
    """To a server of this host; over TCP to loopback, which is never refused, when the path is too long for a socket address."""
    if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
        return by_tcp("127.0.0.1", port, user=user, password=password, timeout=timeout, database=database)
    return _opened(f"socket {path}", user=user, password=password, timeout=timeout, database=database, unix_socket=str(path))


def by_tcp(ip: str, port: int, *, user: str, password: Secret, timeout: float, database: str = "") -> Connection[Any]:
    return _opened(f"{ip}:{port}", user=user, password=password, timeout=timeout, database=database, host=ip, port=port)


def _opened(where: str, *, user: str, password: Secret, timeout: float, database: str, **place: Any) -> Connection[Any]:
    settings = (
        f"SET time_zone = '+00:00', ob_query_timeout = {int(STATEMENT_SECONDS * 1e6)}, ob_trx_lock_timeout = {int(_LOCK_SECONDS * 1e6)}"
    )
    with translated(where):
        connection = _Connection(
            user=user,
            password=password.reveal(),
            database=database or None,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=max(timeout, 0.1),
            read_timeout=max(timeout, 0.1),
            write_timeout=max(timeout, 0.1),
            **place,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(settings)
        except BaseException:
            connection.close()
            raise
    # Greeting and login obey the caller's bound; statements have their own, which the library fixes at connect.
    for name in ("_read_timeout", "_write_timeout"):
        setattr(connection, name, 1.5 * STATEMENT_SECONDS)
    return connection


@contextmanager
def translated(where: str) -> Iterator[None]:
    """What the driver library raises, as errors of `oboe.domain.errors`."""
    try:
        yield
    except (pymysql.err.MySQLError, OSError) as error:
        raise _translation(error, where) from error


def _translation(error: Exception, where: str) -> OboeError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = str(error.args[1]) if len(error.args) > 1 else str(error)
    if number in _DENIED:
        return Refused("database.access_denied", f"the database at {where} does not accept this user and password")
    if number == 1227 and "Access denied" in text:
        return Refused("database.not_invited", f"the database at {where} refuses: {text}", hint="is this host among ob_tcp_invited_nodes?")
    if number == 1049:
        return Refused("database.unknown_schema", f"the database at {where} has no such schema: {text}")
    if number in _AGAIN:
        return TryAgain("database.busy", f"the database at {where} answers {number}: {text}")
    if number in _LOST or isinstance(error, OSError | pymysql.err.InterfaceError):
        return Unreachable("database.unreachable", f"the database at {where} does not answer: {text}")
    return StepFailed("database.statement", f"the database at {where} answers {number}: {text}")
