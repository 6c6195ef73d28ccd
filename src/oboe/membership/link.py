"""The way from this agent to its cluster's home: connections to the primary, and what the cluster's tables say.

Writes, and reads that must be current, go to the primary (`oboe.membership.primary`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from oboe.database.port import Driver, Instance
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import Address, Identity
from oboe.membership.local import SHARED_FACTS, LocalAgent
from oboe.membership.member import Member, member_from_row, member_row, numbered
from oboe.membership.primary import STORE_DATABASE, STORE_USER, Databases, seat_of
from oboe.membership.server_row import ServerRow, server_from_row, server_row
from oboe.store.request_keys import RequestKeys

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from oboe.store.mysql import Directory, Lease, Mysql, MysqlHome

__all__ = ["ClusterLink"]

READ_SECONDS = 2.0
"""So long this host's own database may take to answer before something else is read."""

T = TypeVar("T")


class ClusterLink(Databases):
    """Connections to the cluster's home. Thread-safe; opened on first use; `Unreachable` when there is no primary."""

    def __init__(self, local: LocalAgent, driver: Driver, *, announce: Callable[[], None] = lambda: None) -> None:
        super().__init__(local, driver)
        self._announce = announce
        self._store: Mysql | None = None
        self._served: Mysql | None = None

    @property
    def here(self) -> Address:
        return self._local.address

    def fellows(self) -> list[Address]:
        """The other members, as this agent knows them without the cluster's tables."""
        return self._local.fellows()

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
        return [server_from_row(row) for row in self._tables().servers()]

    def roll(self) -> tuple[list[ServerRow], list[Member]]:
        """Servers and members; while there is no primary, as this host's own database shows them."""
        try:
            return self.servers(), self.members()
        except (Unreachable, TryAgain) as trouble:
            try:
                return self._read_here(lambda tables: ([server_from_row(row) for row in tables.servers()], self._members_of(tables)))
            except OboeError:
                raise trouble from None

    @staticmethod
    def _members_of(tables: Directory) -> list[Member]:
        return [member_from_row(dict(row)) for row in tables.members()]

    def put_server(self, row: ServerRow) -> None:
        self._tables().put_server(server_row(row))

    def set_server(self, ip: str, rpc_port: int, status: str) -> None:
        self._tables().set_server_status(ip, rpc_port, status)

    def mark_primary(self, seat: str) -> None:
        """The servers' rows tell which one is the primary, also while none can be asked."""
        ip, _, sql_port = seat.rpartition(":")
        self._tables().mark_primary(ip, int(sql_port))

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
            tables.put_server(server_row(server))
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
        self._check_hung(instance.ip, instance.mysql_port)
        connection = self._driver.connect(instance, user=STORE_USER, password=self._password(), timeout=READ_SECONDS)
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
            if seat and seat_of(primary) != seat:
                raise TryAgain("cluster.primary_moved", f"the primary was {seat}, and is {seat_of(primary)} now")
            try:
                connection = self._dial(primary.ip, primary.mysql_port, database=STORE_DATABASE)
            except Unreachable:
                self.lost()
                if last:
                    raise
                continue
            if self._driver.replication(connection).takes_writes:
                return connection
            connection.close()
            self.lost()
        raise TryAgain("cluster.primary_moved", "the primary is being replaced by another database", hint="ask again in a moment")
