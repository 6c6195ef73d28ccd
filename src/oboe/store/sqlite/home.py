"""The agent home: dags in this agent's own SQLite file."""

from __future__ import annotations

from oboe.store.home import SqlHome

__all__ = ["SqliteHome"]


class SqliteHome(SqlHome):
    """`oboe.engine.ports.DagStore` over a `Sqlite`; every save that is queued together shares one fsync."""
