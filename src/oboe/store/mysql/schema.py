"""The cluster store's tables: made and brought up to date by the agent that maintains it, checked by every agent."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from oboe.domain.errors import TryAgain
from oboe.store.mysql.errors import translated_errors
from oboe.store.schema import check_known, migrations

__all__ = ["check_schema", "create_schema"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)"
_FOUND = "SELECT COALESCE(MAX(version), 0) FROM schema_version"
_WHAT = "the cluster's store"


def create_schema(connection: Any) -> None:
    """Make or update all tables in the database of this connection. Again is harmless; `Refused` ``store.newer``."""
    with translated_errors(), connection.cursor() as cursor:
        cursor.execute("SET autocommit = 1")
        cursor.execute(_VERSION_TABLE)
        known = migrations(_MIGRATIONS)
        found = _found(cursor)
        check_known(found, len(known), _WHAT)
        for number, statements in known[found:]:
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("INSERT IGNORE INTO schema_version (version, applied_at) VALUES (%s, %s)", (number, time.time_ns()))


def check_schema(connection: Any) -> None:
    """`Refused` ``store.newer``; `TryAgain` ``store.older`` until its maintainer has brought it up to date."""
    with connection.cursor() as cursor:
        found, known = _found(cursor), len(migrations(_MIGRATIONS))
    check_known(found, known, _WHAT)
    if found < known:
        raise TryAgain(
            "store.older", f"{_WHAT} has tables of version {found}, this release needs {known}", hint="its maintainer updates it"
        )


def _found(cursor: Any) -> int:
    cursor.execute(_FOUND)
    return int(cursor.fetchone()[0])
