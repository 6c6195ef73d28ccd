"""The way from this agent to its cluster's home: which database is the primary, connections to it, and what the cluster's tables say.

Writes, and reads that must be current, go to the primary. The primary is found by asking every known database for its role, the last
one that said PRIMARY first; the answer is kept until a connection to it fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pymysql

from oboe.database.port import Driver, Instance, Observation
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.membership.local import SHARED_FACTS, LocalAgent
from oboe.membership.member import Member, member_from_row, member_row, numbered
from oboe.store.request_keys import RequestKeys

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from oboe.store.mysql import Directory, Lease, Mysql, MysqlHome

__all__ = ["ClusterLink", "Primary", "ServerRow"]

T = TypeVar("T")

STORE_USER = "oboe"
STORE_DATABASE = "oboe"
_ROLE_PROBE_SECONDS = 2.0
_HASTEN_EVERY_SECONDS = 10.0
"""Asking a primary to hurry more often gives it more to compact, and a clone must wait for that."""


@dataclass(frozen=True, slots=True)
class Primary:
    """The database that takes writes, and the agent that looks after it."""

    agent: Address
    ip: str
    mysql_port: int
    rpc_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """A database of the cluster, as its tables keep it."""

    ip: str
    rpc_port: int
    sql_port: int
    zone: str
    agent: Address
    status: str
    with_rootserver: bool = False
    build_version: str = ""


class ClusterLink:
    """Connections to the cluster's home. Thread-safe; opened on first use; `Unreachable` when there is no primary."""

    def __init__(self, local: LocalAgent, driver: Driver, *, announce: Callable[[], None] = lambda: None) -> None:
        self._local = local
        self._driver = driver
        self._announce = announce
        self._lock = threading.Lock()
        self._primary: Primary | None = None
        self._store: Mysql | None = None
        self._served: Mysql | None = None
        self._hasten_again_at = 0.0
        self.trouble = ""
        """Why the cluster's home could not be reached when it was last tried; empty when it could."""

    # Finding the primary

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
                role = self._driver.role(connection)
            finally:
                connection.close()
            if role == "PRIMARY":
                with self._lock:
                    self._primary = candidate
                self.trouble = ""
                return candidate
            answers.append(f"{candidate.ip}:{candidate.mysql_port} is {role or 'without a role'}")
        self.trouble = "; ".join(answers) or "no database is known"
        raise Unreachable("cluster.no_primary", f"no primary: {self.trouble}", hint="start the primary, or fail over to a standby")

    @property
    def here(self) -> Address:
        return self._local.address

    def fellows(self) -> list[Address]:
        """The other members, as this agent knows them without the cluster's tables."""
        return self._local.fellows()

    def seat(self) -> str:
        """Which database is the primary: ``ip:mysql_port``. `Unreachable` ``cluster.no_primary``."""
        return _seat(self.primary())

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

    def let_in(self, addresses: Sequence[str], root_password: Secret) -> None:
        """Have the primary let these addresses connect, and no others; its agent need not be there."""
        primary = self.primary()
        connection = self._driver.dial(primary.ip, primary.mysql_port, user="root", password=root_password, timeout=_ROLE_PROBE_SECONDS)
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

    def lost(self) -> None:
        """A connection failed: look for the primary again."""
        with self._lock:
            self._primary = None

    def close(self) -> None:
        with self._lock:
            self._primary = None
            stores = [store for store in (self._store, self._served) if store is not None]
            self._store = self._served = None
        for store in stores:
            store.close()

    # The home

    def home(self) -> MysqlHome:
        """Dags of the cluster."""
        from oboe.store.mysql import MysqlHome

        return MysqlHome(self._database())

    def request_keys(self) -> RequestKeys:
        """Those that every agent of the cluster knows."""
        return RequestKeys(self._database())

    def home_at(self, seat: str) -> MysqlHome:
        """Dags of the cluster, as long as its primary is that database: its connections go to no other."""
        from oboe.store.mysql import Mysql, MysqlHome

        database = Mysql(lambda: self._connect(seat), lost=self.lost)
        with self._lock:
            before, self._served = self._served, database
        if before is not None:
            before.close()
        return MysqlHome(database)

    def lease(self) -> Lease:
        from oboe.store.mysql import Lease

        return Lease(self._database())

    def create_schema(self) -> None:
        from oboe.store.mysql import create_schema

        connection = self._connect()
        try:
            create_schema(connection)
        finally:
            connection.close()

    # The directory

    def members(self) -> list[Member]:
        return [member_from_row(dict(row)) for row in self._tables().members()]

    def put_member(self, member: Member) -> None:
        """Add or replace it; a member without a number is given one."""
        self._tables().put_member(member_row(self._numbered(member)))

    def remove_member(self, address: Address) -> None:
        self._tables().remove_member(address.ip, address.port)

    def servers(self) -> list[ServerRow]:
        return [_server(row) for row in self._tables().servers()]

    def roll(self) -> tuple[list[ServerRow], list[Member]]:
        """Servers and members; while there is no primary, as this host's own database shows them."""
        try:
            return self.servers(), self.members()
        except (Unreachable, TryAgain) as trouble:
            try:
                return self._read_here(lambda tables: ([_server(row) for row in tables.servers()], self._members_of(tables)))
            except OboeError:
                raise trouble from None

    @staticmethod
    def _members_of(tables: Directory) -> list[Member]:
        return [member_from_row(dict(row)) for row in tables.members()]

    def put_server(self, row: ServerRow) -> None:
        self._tables().put_server(_server_row(row))

    def set_server(self, ip: str, rpc_port: int, status: str) -> None:
        self._tables().set_server_status(ip, rpc_port, status)

    def remove_server(self, ip: str, rpc_port: int) -> None:
        self._tables().remove_server(ip, rpc_port)

    def zones(self) -> Mapping[str, str]:
        return self._tables().zones()

    def has_zone(self, zone: str) -> bool:
        return zone in self.zones()

    def add_zone(self, zone: str) -> None:
        self._tables().put_zone(zone, "INACTIVE")

    def set_zone(self, zone: str, status: str) -> None:
        self._tables().put_zone(zone, status)

    def remove_zone(self, zone: str) -> None:
        self._tables().remove_zone(zone)

    def facts(self) -> Mapping[str, Any]:
        return self._tables().facts()

    def fill(self, rows: Sequence[tuple[Member, Instance, bool]], *, cluster_id: int, cluster_name: str, version: str) -> None:
        """The first content: members, zones, servers, the cluster's id and name. Again is harmless."""
        tables = self._tables()
        for member, instance, is_primary in rows:
            kept = member_row(self._numbered(member.become(Identity.CLUSTER_AGENT)))
            tables.put_member(kept | {"mysql_port": instance.mysql_port, "database_rpc_port": instance.rpc_port})
            tables.put_zone(member.zone, "ACTIVE")
            server = ServerRow(
                ip=instance.ip,
                rpc_port=instance.rpc_port,
                sql_port=instance.mysql_port,
                zone=member.zone,
                agent=member.address,
                status="ACTIVE",
                with_rootserver=is_primary,
                build_version=version,
            )
            tables.put_server(_server_row(server))
        tables.put_facts(cluster_id=cluster_id, cluster_name=cluster_name, version=version)
        for name in SHARED_FACTS:
            self._bring(name)

    def _bring(self, name: str) -> None:
        """What the MASTER has kept itself is the cluster's now."""
        known = self._local.value(name)
        if known:
            self.change_sealed_fact(name, lambda kept: kept or known)

    def sealed_fact(self, name: str) -> Any:
        """A fact of the cluster with its secrets opened; None: there is none."""
        return self._sealed_tables().fact(name)

    def change_sealed_fact(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Replace it by what ``change`` makes of it, with nobody in between; secrets are sealed with the cluster's key."""
        return self._sealed_tables().change_fact(name, change)

    def empty(self) -> None:
        """Forget all that `fill` wrote."""
        self._tables().clear()

    def members_here(self) -> list[Member]:
        """The members as this host's own database shows them, replica or not."""
        return [member_from_row(dict(row)) for row in self._read_here(lambda tables: tables.members())]

    def facts_here(self) -> Mapping[str, Any]:
        return self._read_here(lambda tables: tables.facts())

    def announce_members(self) -> None:
        """Let every agent know that the members have changed."""
        self._announce()

    # Connections

    def _database(self) -> Mysql:
        with self._lock:
            if self._store is None:
                from oboe.store.mysql import Mysql

                self._store = Mysql(self._connect, lost=self.lost)
            return self._store

    def _tables(self) -> Directory:
        from oboe.store.mysql import Directory

        return Directory(self._database())

    def _sealed_tables(self) -> Directory:
        from oboe.store.mysql import Directory
        from oboe.store.sealing import Sealer

        key = self._local.secret("cluster_key")
        if key is None:
            raise Refused("cluster.none", "this agent has no cluster key")
        return Directory(self._database(), sealer=Sealer(bytes.fromhex(key.reveal())))

    def _numbered(self, member: Member) -> Member:
        known: list[Member] = []

        def give(kept: Any) -> Any:
            found, given = numbered(member, kept or {})
            known[:] = [found]
            return given

        self._tables().change_fact("agent_numbers", give)
        return known[0]

    @contextmanager
    def replica(self) -> Iterator[tuple[MysqlHome, float]]:
        """The cluster's home as this host's own database shows it, replica or not, and how many seconds it may be behind; to read only."""
        from oboe.store.mysql import Mysql, MysqlHome

        instance = self._local.instance()
        if instance is None:
            raise Refused("database.none", "this agent has no database")
        connection = self._driver.connect(instance, user=STORE_USER, password=self._password())
        try:
            seen = self._driver.replication(connection)
        finally:
            connection.close()
        behind = max(0.0, time.time() - seen.readable_scn / 1e9) if seen.readable_scn else 0.0
        store = Mysql(lambda: self._driver.connect(instance, user=STORE_USER, password=self._password(), database=STORE_DATABASE))
        try:
            yield MysqlHome(store), behind
        finally:
            store.close()

    def _read_here(self, read: Callable[[Directory], T]) -> T:
        from oboe.store.mysql import Directory, Mysql

        instance = self._local.instance()
        if instance is None:
            raise Refused("database.none", "this agent has no database")
        store = Mysql(lambda: self._driver.connect(instance, user=STORE_USER, password=self._password(), database=STORE_DATABASE))
        try:
            return read(Directory(store))
        finally:
            store.close()

    def _connect(self, seat: str = "") -> Connection[Any]:
        """A connection to the primary's ``oboe`` database; with ``seat`` to that primary's only."""
        for last in (False, True):
            primary = self.primary()
            if seat and _seat(primary) != seat:
                raise TryAgain("cluster.primary_moved", f"the primary was {seat}, and is {_seat(primary)} now")
            try:
                return self._dial(primary.ip, primary.mysql_port, database=STORE_DATABASE)
            except Unreachable:
                self.lost()
                if last:
                    raise
        raise AssertionError("unreachable")

    def _dial(self, ip: str, port: int, *, database: str = "") -> Connection[Any]:
        return self._driver.dial(ip, port, user=STORE_USER, password=self._password(), timeout=_ROLE_PROBE_SECONDS, database=database)

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


def _server(row: Mapping[str, Any]) -> ServerRow:
    return ServerRow(
        ip=row["ip"],
        rpc_port=row["rpc_port"],
        sql_port=row["sql_port"],
        zone=row["zone"],
        agent=Address(row["agent_ip"], row["agent_port"]),
        status=row["status"],
        with_rootserver=bool(row["with_rootserver"]),
        build_version=row["build_version"],
    )


def _server_row(row: ServerRow) -> dict[str, Any]:
    return {
        "ip": row.ip,
        "rpc_port": row.rpc_port,
        "sql_port": row.sql_port,
        "zone": row.zone,
        "agent_ip": row.agent.ip,
        "agent_port": row.agent.port,
        "status": row.status,
        "with_rootserver": row.with_rootserver,
        "build_version": row.build_version,
    }


def _seat(primary: Primary) -> str:
    return f"{primary.ip}:{primary.mysql_port}"
