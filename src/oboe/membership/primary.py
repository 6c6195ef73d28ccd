"""Which database of the cluster takes writes, found by asking every known one, and what is asked of databases directly.

The last one that was it is asked first; the answer is kept until a connection to it fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymysql

from oboe.database.port import Driver, Endpoint, Observation
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.membership.local import LocalAgent

if TYPE_CHECKING:
    from pymysql.connections import Connection

__all__ = ["STORE_DATABASE", "STORE_USER", "Databases", "Primary", "seat_of"]

STORE_USER = "oboe"
STORE_DATABASE = "oboe"
_ROLE_PROBE_SECONDS = 2.0
_SILENCE_SECONDS = 1.0
"""Who takes so long to fail hangs: one that is down says so at once."""
_SPARED_SECONDS = 3.0
"""So long a database that hangs is not asked again: whoever asks would wait for it anew, at every request."""
_HASTEN_EVERY_SECONDS = 10.0
"""Asking a primary to hurry more often gives it more to compact, and a clone must wait for that."""


@dataclass(frozen=True, slots=True)
class Primary:
    """The database that takes writes, and the agent that looks after it."""

    agent: Address
    ip: str
    mysql_port: int
    rpc_port: int

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.ip, self.rpc_port)


class Databases:
    """The databases of the cluster that this agent knows. Thread-safe; `Unreachable` when none of them is the primary."""

    def __init__(self, local: LocalAgent, driver: Driver) -> None:
        self._local = local
        self._driver = driver
        self._lock = threading.Lock()
        self._primary: Primary | None = None
        self._hasten_again_at = 0.0
        self._hung: dict[tuple[str, int], tuple[float, OboeError]] = {}
        """Databases that did not answer in time: when, monotonic seconds, and what came of it."""
        self.trouble = ""
        """Why the cluster's home could not be reached when it was last tried; empty when it could."""

    # Which one it is

    def primary(self) -> Primary:
        """The current primary; `Unreachable` ``cluster.no_primary`` says what each database answered."""
        with self._lock:
            known = self._primary
        if known is not None:
            return known
        answers = []
        for candidate in self._candidates():
            try:
                connection = self._dial(candidate.ip, candidate.mysql_port)
            except OboeError as error:
                answers.append(f"{candidate.ip}:{candidate.mysql_port} {error.message}")
                continue
            try:
                seen = self._driver.replication(connection)
            finally:
                connection.close()
            if seen.takes_writes:
                with self._lock:
                    self._primary = candidate
                self.trouble = ""
                return candidate
            answers.append(f"{candidate.ip}:{candidate.mysql_port} is {seen.role or 'without a role'} {seen.status}".rstrip())
        self.trouble = "; ".join(answers) or "no database is known"
        raise Unreachable("cluster.no_primary", f"no primary: {self.trouble}", hint="start the primary, or fail over to a standby")

    def lost(self) -> None:
        """A connection failed: look for the primary again."""
        with self._lock:
            self._primary = None

    def seat(self) -> str:
        """Which database is the primary: ``ip:mysql_port``. `Unreachable` ``cluster.no_primary``."""
        return seat_of(self.primary())

    # What is asked of them

    def clone_obstacle(self, *, hasten: bool = False) -> str:
        """What a clone of the primary must still wait for; empty: nothing. ``hasten`` also asks the primary to get there sooner."""
        try:
            primary = self.primary()
            connection = self._dial(primary.ip, primary.mysql_port)
        except OboeError as error:
            return f"the primary: {error.message}"
        try:
            obstacle = self._driver.clone_obstacle(connection)
            if obstacle and hasten and time.monotonic() >= self._hasten_again_at:
                self._driver.hasten_clone(connection)
                self._hasten_again_at = time.monotonic() + _HASTEN_EVERY_SECONDS
            return obstacle
        finally:
            connection.close()

    def freeze(self) -> int:
        """Ask the primary for a checkpoint; how far the last one was."""
        primary = self.primary()
        connection = self._dial(primary.ip, primary.mysql_port)
        try:
            before = self._driver.checkpoint_scn(connection)
            self._driver.minor_freeze(connection)
            return before
        finally:
            connection.close()

    def checkpoint(self) -> int:
        """How far the primary's last checkpoint is."""
        primary = self.primary()
        connection = self._dial(primary.ip, primary.mysql_port)
        try:
            return self._driver.checkpoint_scn(connection)
        finally:
            connection.close()

    def let_in(self, addresses: Sequence[str]) -> None:
        """Have the primary let these addresses connect, and no others. Neither its agent nor root's password is needed."""
        primary = self.primary()
        connection = self._dial(primary.ip, primary.mysql_port)
        try:
            self._driver.let_in(connection, addresses)
        finally:
            connection.close()

    def reads_at(self, ip: str, mysql_port: int) -> bool:
        """Whether that database shows the cluster's tables."""
        connection = self._dial(ip, mysql_port, database=STORE_DATABASE)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET ob_query_timeout = 1500000")
                cursor.execute("SELECT COUNT(*) FROM member")
                return bool(cursor.fetchone())
        except pymysql.err.Error:
            return False
        finally:
            connection.close()

    def replication_of(self, ip: str, mysql_port: int) -> Observation:
        """Role and positions of any database of the cluster."""
        connection = self._dial(ip, mysql_port)
        try:
            return self._driver.replication(connection)
        finally:
            connection.close()

    # Connections

    def _dial(self, ip: str, port: int, *, database: str = "") -> Connection[Any]:
        self._check_hung(ip, port)
        began = time.monotonic()
        try:
            return self._driver.dial(ip, port, user=STORE_USER, password=self._password(), timeout=_ROLE_PROBE_SECONDS, database=database)
        except Unreachable as error:
            if time.monotonic() - began >= _SILENCE_SECONDS:
                self._hung[ip, port] = (time.monotonic(), error)
            raise

    def _check_hung(self, ip: str, port: int) -> None:
        """`Unreachable` while that database is not to be asked again."""
        at, error = self._hung.get((ip, port), (0.0, None))
        if error is not None and time.monotonic() - at < _SPARED_SECONDS:
            raise Unreachable(error.code, error.message, hint=error.hint)

    def _password(self) -> Secret:
        password = self._local.secret("store_password")
        if password is None:
            raise Refused("cluster.none", "this agent belongs to no running cluster")
        return password

    def _candidates(self) -> list[Primary]:
        found = {}
        own = self._local.instance()
        if own is not None:
            found[(own.ip, own.mysql_port)] = Primary(self._local.address, own.ip, own.mysql_port, own.rpc_port)
        for member in self._local.members():
            if member.mysql_port:
                address = member.address
                found.setdefault((address.ip, member.mysql_port), Primary(address, address.ip, member.mysql_port, member.database_rpc_port))
        return list(found.values())


def seat_of(primary: Primary) -> str:
    """Its name as a place: ``ip:mysql_port``."""
    return f"{primary.ip}:{primary.mysql_port}"
