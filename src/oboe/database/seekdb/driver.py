"""The driver of seekdb, as `oboe.database.port.Driver` asks: it keeps nothing but the binary's answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymysql.connections import Connection

from oboe.database.port import Certificates, Configured, DatabaseState, Endpoint, Instance, Observation
from oboe.database.seekdb import configuration, life, statements
from oboe.database.seekdb.binary import Binary
from oboe.database.seekdb.connecting import by_socket, by_tcp
from oboe.database.seekdb.layout import Layout
from oboe.domain.errors import OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.hosts import directories
from oboe.hosts.ports import is_free, listeners
from oboe.kit.run import Run
from oboe.kit.secret import Secret

__all__ = ["SeekdbDriver"]

_ROOT = "root"
_PROXY_USER = "proxyro"
_FIRST_BYTES = 256 << 20
"""Redo block, redo metadata, log: what a new instance writes beside its data file."""


class SeekdbDriver:
    """Implements `Driver`. ``binary`` names another server binary than the installed wheel's; ``memory`` is a file for what it answered."""

    name = "seekdb"
    primary_age_seconds = statements.PRIMARY_AGE_SECONDS

    def __init__(self, binary: Path | None = None, *, memory: Path | None = None) -> None:
        self._binary = Binary(binary, memory=memory)

    def version(self) -> str:
        return self._binary.version()

    def problem(self) -> str:
        return self._binary.problem()

    def configure(self, settings: Mapping[str, str], *, home: Path, ip: str, zone: str, taken_ports: Sequence[int] = ()) -> Configured:
        return configuration.configure(settings, home=home, ip=ip, zone=zone, taken_ports=taken_ports)

    # Life

    def disk_needed(self, instance: Instance) -> int:
        return _FIRST_BYTES + configuration.size_bytes("datafile_size", instance.settings.get("datafile_size", "32M"))

    def check_host(self, instance: Instance, run: Run) -> None:
        if problem := self.problem():
            raise StepFailed("database.unavailable", problem)
        layout = Layout(instance)
        layout.check_free()
        if layout.holder():
            run.log(f"seekdb {layout.holder()} runs already")
            return
        taken = [port for port in (instance.mysql_port, instance.rpc_port) if not is_free(port)]
        if taken:
            names = listeners(taken)
            text = ", ".join(f"port {port} is held by {names.get(port, 'an unknown process')}" for port in taken)
            raise StepFailed("database.port_taken", text, hint="end it, or configure another port")
        self._check_space(instance, layout, run)

    def _check_space(self, instance: Instance, layout: Layout, run: Run) -> None:
        import psutil  # on first use: an agent that starts does without

        needed = self.disk_needed(instance)
        for place in layout.places:
            if (free := directories.free_bytes(place)) < needed:
                raise StepFailed("database.no_disk", f"{place} has {free >> 20} MB free, {needed >> 20} MB are needed")
        log_disk = configuration.size_bytes("log_disk_size", instance.settings.get("log_disk_size", "2G"))
        if (free := directories.free_bytes(layout.places[-1])) < log_disk:
            run.warn(f"{layout.places[-1]} has {free >> 20} MB free, less than the log disk of {log_disk >> 20} MB")
        budget = configuration.size_bytes("memory_budget", instance.settings.get("memory_budget", "1G"))
        if (memory := psutil.virtual_memory().available) < budget:
            run.warn(f"this host has {memory >> 20} MB of memory available, less than the budget of {budget >> 20} MB")

    def deploy(self, instance: Instance, certificates: Certificates | None, run: Run) -> None:
        layout = Layout(instance)
        layout.claim()
        if certificates is not None:
            layout.write_certificates(certificates)
        run.log(f"{layout.base} is ready, {'with certificates' if certificates is not None else 'without certificates: no RPC service'}")

    def destroy(self, instance: Instance, run: Run) -> None:
        layout = Layout(instance)
        life.stop(instance, graceful=False, run=run)
        layout.remove()
        run.log(f"{layout.base} is gone" if not layout.base.exists() else f"{layout.base} is as it was before")

    def start(self, instance: Instance, *, source: Endpoint | None, run: Run) -> None:
        if problem := self.problem():
            raise StepFailed("database.unavailable", problem)
        if not Layout(instance).claimed:
            raise StepFailed("database.not_deployed", f"{instance.base_dir} was not made by oboe", hint="deploy it first")
        life.start(instance, self._binary, source, run)

    def stop(self, instance: Instance, *, graceful: bool, run: Run) -> None:
        life.stop(instance, graceful=graceful, run=run)

    # Looking

    def observe(self, instance: Instance, *, password: Secret | None = None, timeout: float = 2.0) -> Observation:
        layout = Layout(instance)
        pid = layout.holder()
        if not pid:
            reason = "it is not running" if layout.served else f"it never served in {layout.base}"
            return Observation(state=DatabaseState.ABSENT, reason=reason)
        try:
            with self._opened(instance, password or Secret(""), timeout=timeout) as connection:
                return replace(statements.standing(connection), pid=pid)
        except Refused as error:
            return Observation(state=DatabaseState.RESTRICTED, pid=pid, reason=error.message)
        except OboeError as error:
            return Observation(state=DatabaseState.PROCESS, pid=pid, reason=error.message)

    def sync_scn(self, instance: Instance, password: Secret) -> int:
        with self._opened(instance, password) as connection:
            return statements.standing(connection).sync_scn

    def replication(self, connection: Connection[Any]) -> Observation:
        return statements.standing(connection)

    def clone_obstacle(self, connection: Connection[Any]) -> str:
        return statements.clone_obstacle(connection)

    def minor_freeze(self, connection: Connection[Any]) -> None:
        statements.minor_freeze(connection)

    def checkpoint_scn(self, connection: Connection[Any]) -> int:
        return statements.checkpoint_scn(connection)

    def unreadable_tables(self, instance: Instance, password: Secret, since: float) -> list[str]:
        with self._opened(instance, password) as connection:
            return statements.unreadable_tables(connection, since)

    def hasten_clone(self, connection: Connection[Any]) -> None:
        statements.minor_freeze(connection)

    # Connections

    def connect(self, instance: Instance, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        layout = Layout(instance)
        if not layout.holder():
            raise Unreachable("database.down", f"the database in {instance.base_dir} is not running")
        return by_socket(layout.socket, instance.mysql_port, user=user, password=password, timeout=timeout, database=database)

    def dial(self, ip: str, port: int, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        return by_tcp(ip, port, user=user, password=password, timeout=timeout, database=database)

    @contextmanager
    def _opened(self, instance: Instance, password: Secret, *, timeout: float = 5.0) -> Iterator[Connection[Any]]:
        connection = self.connect(instance, user=_ROOT, password=password, timeout=timeout)
        try:
            yield connection
        finally:
            connection.close()

    # Users

    def secure(self, instance: Instance, invited: Sequence[str], password: Secret | None = None) -> None:
        """On a standby there is nothing to do: the list is replicated from the primary."""
        with self._opened(instance, password or Secret("")) as connection:
            if statements.standing(connection).role != "STANDBY":
                statements.invite(connection, invited)

    def let_in(self, connection: Connection[Any], invited: Sequence[str]) -> None:
        statements.invite(connection, invited)

    def set_root_password(self, instance: Instance, old: Secret, new: Secret) -> None:
        if self.accepts(instance, _ROOT, new):
            return
        with self._opened(instance, old) as connection:
            statements.set_password(connection, _ROOT, new)

    def accepts(self, instance: Instance, user: str, password: Secret) -> bool:
        try:
            self.connect(instance, user=user, password=password).close()
        except (Refused, Unreachable, TryAgain, StepFailed):
            return False
        return True

    def create_store_user(self, instance: Instance, root_password: Secret, user: str, password: Secret) -> None:
        with self._opened(instance, root_password) as connection:
            statements.create_store(connection, user, password)

    def drop_store(self, instance: Instance, root_password: Secret, user: str) -> None:
        with self._opened(instance, root_password) as connection:
            statements.drop_store(connection, user)

    def create_proxy_user(self, instance: Instance, root_password: Secret, password: Secret) -> None:
        with self._opened(instance, root_password) as connection:
            statements.create_reader(connection, _PROXY_USER, password)

    def drop_proxy_user(self, instance: Instance, root_password: Secret) -> None:
        with self._opened(instance, root_password) as connection:
            statements.drop_user(connection, _PROXY_USER)
