"""The driver port: everything that playbooks and reads ask of a managed database on this host. One driver for each product.

A driver works on an `Instance`: one database server of this host, by its base directory. It keeps no state of its own: what it
knows it reads from the instance. Its long calls take a `Run`, so that they can be interrupted and adopted after an agent restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from oboe.kit.run import Run
    from oboe.kit.secret import Secret

__all__ = ["Certificates", "Configured", "DatabaseState", "Driver", "Endpoint", "Instance", "Observation"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a database listens for another one: ``ip:rpc_port``."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A database server of this host. JSON-able: it is kept in agent facts and results."""

    base_dir: str
    ip: str
    mysql_port: int
    rpc_port: int
    zone: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Product parameters, as the product names them, validated."""
    data_dir: str = ""
    redo_dir: str = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.ip, self.rpc_port)


@dataclass(frozen=True, slots=True)
class Configured:
    """What a configuration map came to: settings the product takes, and one warning for each name kept but not used."""

    instance: Instance
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM texts for mutual TLS between databases. The certificate's subjectAltName holds the instance's ip."""

    ca: str
    certificate: str
    key: str


class DatabaseState(IntEnum):
    """OBShell's ``obState``."""

    ABSENT = 0
    PROCESS = 1
    RESTRICTED = 2
    AVAILABLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A look at an instance, bounded in time. ``reason`` says why it is not AVAILABLE."""

    state: DatabaseState
    role: str = ""
    """PRIMARY or STANDBY, empty when unknown."""
    status: str = ""
    """NORMAL when replication is as it should be; another word while the roles change."""
    source: str = ""
    sync_scn: int = 0
    readable_scn: int = 0
    age_seconds: float = 0.0
    """Since the server process began to serve."""
    version: str = ""
    pid: int = 0
    reason: str = ""

    @property
    def takes_writes(self) -> bool:
        """A primary that was told to become a standby says PRIMARY until it is started again, and takes none."""
        return self.role == "PRIMARY" and self.status == "NORMAL"


class Driver(Protocol):
    """One database product. Errors: `Refused` (bad configuration), `StepFailed` (a person decides), `Unreachable`."""

    name: str
    primary_age_seconds: float
    """How long a new primary must have served before it is cloned."""

    def version(self) -> str:
        """``<version>-<build>`` of the installed binary, empty when there is none (with `problem` saying why)."""

    def problem(self) -> str:
        """Why this host cannot run the product (no wheel, wrong libc, binary missing); empty when it can."""

    def configure(self, settings: Mapping[str, str], *, home: Path, ip: str, zone: str, taken_ports: Sequence[int] = ()) -> Configured:
        """Map OceanBase's names (``mysql_port``, ``rpc_port``, ``home_path``, ``data_dir``, ``redo_dir``, ``memory_limit``, …);
        free ports and small sizes where none are given. Values below a floor are `Refused` ``config.below_floor`` with a hint."""

    def disk_needed(self, instance: Instance) -> int:
        """Bytes that a first start writes in each of its directories."""

    def check_host(self, instance: Instance, run: Run) -> None:
        """Binary, ports, disk; `StepFailed` names what is wrong."""

    def deploy(self, instance: Instance, certificates: Certificates | None, run: Run) -> None:
        """Make its directories (absent or empty, else `StepFailed`) and write the certificates, 0600. Again is harmless."""

    def destroy(self, instance: Instance, run: Run) -> None:
        """End its process, remove what `deploy` and `start` made, and nothing that was there before. Again is harmless."""

    def start(self, instance: Instance, *, source: Endpoint | None, run: Run) -> None:
        """Start it and wait until it serves: first time as primary, or as a clone of ``source``; later as what it was.
        Already running is fine. A failed first clone is wiped and tried again, a bounded number of times, each told in the log."""

    def stop(self, instance: Instance, *, graceful: bool, run: Run) -> None:
        """End its process and wait until its directory is free. Not running is fine."""

    def observe(self, instance: Instance, *, password: Secret | None = None, timeout: float = 2.0) -> Observation: ...

    def sync_scn(self, instance: Instance, password: Secret) -> int:
        """How far this host's server has come, in nanoseconds; `Unreachable`, `Refused`."""

    def connect(self, instance: Instance, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        """To this host's server, over its unix socket. `Unreachable` or `Refused` ``database.access_denied``."""

    def dial(self, ip: str, port: int, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        """To any server, over TCP, with the session settings every connection of ours needs."""

    def secure(self, instance: Instance, invited: Sequence[str], password: Secret | None = None) -> None:
        """First thing after a first start, over the unix socket: who may connect. ``password`` is root's, when it has one."""

    def let_in(self, connection: Connection[Any], invited: Sequence[str]) -> None:
        """`secure`, asked of the server at the other end of a connection of root's."""

    def set_root_password(self, instance: Instance, old: Secret, new: Secret) -> None:
        """Already ``new`` is fine."""

    def accepts(self, instance: Instance, user: str, password: Secret) -> bool:
        """Whether that user may log in with that password; False also when the database does not answer."""

    def create_store_user(self, instance: Instance, root_password: Secret, user: str, password: Secret) -> None:
        """Database ``oboe`` and the agents' own user on it: everything on ``oboe.*``, reading ``oceanbase.*``, and what
        membership needs (system parameters and global variables). Again is harmless; the password is set anew."""

    def drop_store(self, instance: Instance, root_password: Secret, user: str) -> None:
        """The inverse; again is harmless."""

    def create_proxy_user(self, instance: Instance, root_password: Secret, password: Secret) -> None:
        """User ``proxyro``, reading ``oceanbase.*``."""

    def drop_proxy_user(self, instance: Instance, root_password: Secret) -> None: ...

    def replication(self, connection: Connection[Any]) -> Observation:
        """Role, status, source and positions of the server at the other end."""

    def clone_obstacle(self, connection: Connection[Any]) -> str:
        """What a clone of the server at the other end must still wait for; empty: nothing."""

    def hasten_clone(self, connection: Connection[Any]) -> None:
        """Ask that server for what would end the wait sooner; again, every few seconds, is fine."""

    def minor_freeze(self, connection: Connection[Any]) -> None:
        """Ask the server at the other end, a primary, for a checkpoint; it comes some seconds later."""

    def checkpoint_scn(self, connection: Connection[Any]) -> int:
        """How far that server's checkpoint is."""

    def unreadable_tables(self, instance: Instance, password: Secret, since: float) -> list[str]:
        """Tables made since then (Unix seconds) that a clone on this host can not show. ``password`` is root's."""
