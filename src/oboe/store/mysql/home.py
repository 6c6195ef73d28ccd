"""The cluster home: dags in tables of the managed cluster itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from oboe.store.home import SqlHome
from oboe.store.mysql.connection import Connect, Mysql

__all__ = ["MysqlHome"]


class MysqlHome(SqlHome):
    """`oboe.engine.ports.DagStore` in the database that ``source`` connects to."""

    def __init__(self, source: Connect | Mysql, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.database = Mysql.of(source)
        super().__init__(self.database, clock=clock)

    def close(self) -> None:
        """Close idle connections; the next use opens again."""
        self.database.close()
