"""The composition root: builds the agent from its parts, runs it, takes it down. It decides nothing.

Order of life: lock the home, open the store, listen (public port), serve the own home, listen for agents once there is a certificate,
try for the cluster's lease once the agent is a CLUSTER AGENT. Nothing here waits for a database: an agent comes up without one, says
what it waits for, and takes the cluster up when it can.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette

from oboe import playbooks
from oboe.api.app import Api
from oboe.api.obshell.ids import encode
from oboe.api.serve import serve
from oboe.config import Settings
from oboe.control.clustering import Clustering
from oboe.control.keys import AgentKeys
from oboe.control.leadership import Leading, Led
from oboe.control.lifecycle import Lifecycle
from oboe.control.listing import Listing
from oboe.control.operating import Operating
from oboe.control.operations import Operations
from oboe.control.reading import Reading
from oboe.control.service import Oboe
from oboe.control.starting import Starter
from oboe.control.users import Users
from oboe.control.verbs import Membership, register_verbs
from oboe.control.waits import Waits
from oboe.database.port import Driver
from oboe.domain.errors import OboeError, Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind, Identity
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.server import Engine
from oboe.hosts.logs import start_logging
from oboe.hosts.process import end_recorded, launch
from oboe.hosts.signals import Signals
from oboe.kit.naming import Naming
from oboe.kit.registry import Registry
from oboe.kit.secret import Secret
from oboe.membership.enlisting import Enlisting
from oboe.membership.handshakes import Handshakes
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.owed import Owed
from oboe.remote.client import Peers
from oboe.remote.courier import RpcCourier, register_courier
from oboe.remote.handshake import Enlister, Joiner
from oboe.remote.reception import handshake_routes
from oboe.remote.secrecy import new_key_pair
from oboe.remote.server import RpcServer
from oboe.remote.tls import Credentials
from oboe.remote.verbs import Verbs
from oboe.store.audit import Audit
from oboe.store.sealing import Sealer, open_params, seal_params
from oboe.store.sqlite import DagCopies, Facts, Sqlite, SqliteHome, SqliteInbox

__all__ = ["Agent", "run"]

T = TypeVar("T")

_HANDSHAKES = ("/rpc/v1/join", "/rpc/v1/leave", "/rpc/v1/enlist")
"""What agents without a certificate may ask on the public port (`oboe.remote.handshake`)."""

_log = logging.getLogger(__name__)


class Agent:
    """One agent, from its parts. ``start`` once, ``stop`` once; several may live in one process."""

    def __init__(
        self,
        *,
        home: Path,
        address: Address,
        rpc_port: int,
        driver: Driver,
        settings: Settings,
        playbook_directories: tuple[Path, ...] = (),
    ) -> None:
        self.home = home
        self.address = address
        self._lock_file = _lock(home)
        self._sealer = Sealer.at(home)
        self._database = Sqlite(home / "oboe.db")
        facts = Facts(self._database, self._sealer)
        public_key, private_key = _key_pair(facts)
        self.local = LocalAgent(
            facts, address=address, rpc_port=rpc_port, home=home, public_key=public_key, database_version=driver.version()
        )
        self.link = ClusterLink(self.local, driver, announce=self._announce)
        self.keys = AgentKeys(self.local, driver, private_key)
        own, inbox, audit = SqliteHome(self._database), SqliteInbox(self._database), Audit(self._database)
        registry, copies = _registry(playbook_directories), DagCopies(self._database)
        self.registry = registry

        self._verbs = Verbs()
        self.peers = Peers(address, self.local.rpc_port_of, local=self._verbs.carry_out)
        self._rpc = RpcServer(address, self._verbs, port=rpc_port, allowed=self.local.answers)
        joiner, enlisting = Joiner(), Enlisting(self.local, Enlister())
        owed = Owed(self.local, self.link)
        services: dict[type[Any], Any] = {
            LocalAgent: self.local,
            ClusterLink: self.link,
            Driver: driver,
            Peers: self.peers,
            Joiner: joiner,
            Enlisting: enlisting,
            Naming: _Names(),
            Owed: owed,
        }
        tools = Tools(
            here=address,
            registry=registry,
            services=services,
            children=Leading(lambda: self.peers),
            open_params=self._open_params,
            launch=launch,
            end_recorded=end_recorded,
            work_root=home / "work",
            limits=Limits(),
            clock=time.time_ns,
        )
        courier = RpcCourier(self.peers, self._maintainer)
        self.engine = Engine(tools=tools, home=own, inbox=inbox, courier=courier)
        self._cluster = Clustering(self.local, self.link, self.engine, self.peers, owed, left=copies.clear)
        starter = Starter(address, registry, seal=self._seal_params, submit=self._cluster.submit)
        reading = Reading(self.local, own, self.link, lambda: self.peers, copies)
        operating = Operating(
            self.local, reading, self.engine, lambda: self.peers, lambda: self._cluster.maintainer(), audit.append, registry
        )
        waits = Waits(address, reading, self.engine.waiting, lambda: self.peers)
        listing = Listing(self.local, own, reading, lambda: self.peers)
        self.control = Oboe(
            keys=self.keys,
            local=self.local,
            driver=driver,
            link=self.link,
            own=own,
            peers=lambda: self.peers,
            reading=reading,
            operating=operating,
            operations=Operations(self.local, driver, self.link, enlisting, starter),
            waits=waits,
            listing=listing,
            users=Users(self.local, self.link, audit.append),
            life=Lifecycle(self.local, driver, self.link, starter, reading, lambda: self.peers),
            troubles=self._troubles,
        )
        led = Led(address, starter, registry, own, self.engine)
        self.starter = starter
        handshakes = Starlette(routes=list(handshake_routes(Handshakes(self.local, private_key, own.under_maintenance))))
        self._app = Api(self.control, dict.fromkeys(_HANDSHAKES, handshakes))
        register_verbs(
            self._verbs,
            membership=Membership(self.local, driver, self.link, self.control.status),
            reading=reading,
            operating=operating,
            led=led,
            waits=waits,
            listing=listing,
            begin_cluster=self._cluster.begin,
            forward=self._app.answer_forwarded,
        )
        register_courier(self._verbs, self.engine)
        self._driver = driver
        self._server: Any = None
        self.local.on_change(self._follow_identity)

    # Life

    def keep_address(self) -> None:
        """The address is the agent's name for ever once others know it. `Refused` ``agent.address_changed``."""
        path = self.home / "address.json"
        now = {"ip": self.address.ip, "port": self.address.port, "rpc_port": self.local.rpc_port}
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else now
        if kept != now and self.local.identity() is not Identity.SINGLE:
            was = f"{kept['ip']}:{kept['port']} (agents: {kept['rpc_port']})"
            hint = "start it with that address; an agent that is SINGLE may change it"
            raise Refused("agent.address_changed", f"this agent is known to its cluster as {was}", hint=hint)
        _write_whole(path, json.dumps(now))

    def start(self) -> None:
        """Listen and serve. `Refused` ``agent.port_taken``, ``rpc.port_taken``."""
        self._server = serve(self._app, self.address.ip, self.address.port)
        try:
            self._rpc.start(self._credentials())
        except OboeError:
            self._server.stop(2.0)
            raise
        self.peers.reload(self._credentials())
        self.engine.start()
        self._cluster.follow()
        _write_whole(
            self.home / "run" / "agent.json",
            json.dumps({"pid": os.getpid(), "started": time.time_ns(), "ip": self.address.ip, "port": self.address.port}),
        )
        _log.info("agent %s is up: %s", self.address, self.local.identity().name)

    def stop(self, timeout: float = 15.0) -> None:
        """Answer nobody, let what runs end or leave it for the next life, close the store."""
        deadline = time.monotonic() + timeout
        if self._server is not None:
            self._server.stop(3.0)
        self._cluster.stop()
        self.engine.stop(max(1.0, deadline - time.monotonic() - 3.0))
        self._rpc.stop(2.0)
        self.peers.close()
        self.link.close()
        self._database.close()
        (self.home / "run" / "agent.json").unlink(missing_ok=True)
        os.close(self._lock_file)
        _log.info("agent %s is down", self.address)

    # What follows a change of identity

    def _follow_identity(self) -> None:
        credentials = self._credentials()
        self.peers.reload(credentials)
        self._rpc.reload(credentials)
        self._cluster.follow()

    def _credentials(self) -> Credentials | None:
        key = self.local.secret("certificate_key")
        certificate = self.local.text("certificate")
        if key is None or not certificate:
            return None
        return Credentials(self.local.text("authority_certificate"), certificate, key)

    def _maintainer(self) -> Address | None:
        found = self.engine.maintainer()
        return None if found is None else found.agent

    def _announce(self) -> None:
        self._cluster.announce_members()

    def _troubles(self) -> list[str]:
        found = [f"{what}: {why}" for what, why in self.engine.status().troubles.items()]
        found += [f"dag {key}: {why}" for key, why in self.engine.status().set_aside.items()]
        return found + self._cluster.troubles()

    # Secrets in params: by the home that keeps them

    def _sealer_of(self, home: HomeKind) -> Sealer:
        if home is HomeKind.AGENT:
            return self._sealer
        key = self.local.secret("cluster_key")
        if key is None:
            raise Refused("cluster.none", "this agent has no cluster key")
        return Sealer(bytes.fromhex(key.reveal()))

    def _seal_params(self, home: HomeKind, params: Any) -> Mapping[str, Any]:
        return seal_params(params, self._sealer_of(home))

    def _open_params(self, home: HomeKind, kind: type[T], params: Mapping[str, Any]) -> T:
        return open_params(kind, params, self._sealer_of(home))


def run(*, home: Path, ip: str, port: int, rpc_port: int | None, driver: str, playbooks: tuple[Path, ...] = ()) -> int:
    """Run an agent in the foreground until SIGTERM or SIGINT; the exit status of the process."""
    home.mkdir(parents=True, exist_ok=True)
    start_logging(home / "log")
    settings = Settings.from_home(home)
    rpc = rpc_port or (port + settings.rpc_port_offset if port + settings.rpc_port_offset < 65536 else port - settings.rpc_port_offset)
    agent = Agent(
        home=home,
        address=Address(ip, port),
        rpc_port=rpc,
        driver=_driver(driver, home),
        settings=settings,
        playbook_directories=tuple(playbooks),
    )
    agent.keep_address()
    told = Signals(signal.SIGTERM, signal.SIGINT)
    agent.start()
    told.wait()
    agent.stop()
    return 0


class _Names:
    """Implements `Naming`: ids as OBShell's clients use them."""

    def dag(self, home: Home, number: int) -> str:
        return encode(home, number)


def _driver(name: str, home: Path) -> Driver:
    if name == "fake":
        from oboe.database.fake import FakeDriver

        return FakeDriver(Path(os.environ.get("OBOE_FAKE_DIRECTORY") or home / "fake"))
    from oboe.database.seekdb import SeekdbDriver

    return SeekdbDriver(memory=home / "run" / "seekdb.json")


def _registry(directories: tuple[Path, ...]) -> Registry:
    registry = Registry()
    registry.add_package(playbooks)
    for found in entry_points(group="oboe.playbooks"):
        registry.add_module(found.load())
    for directory in directories:
        registry.add_directory(directory)
    return registry


def _lock(home: Path) -> int:
    """One agent for each home: a lock that ends with the process."""
    run_directory = home / "run"
    run_directory.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    descriptor = os.open(run_directory / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Refused("agent.already_runs", f"an agent runs in {home} already", hint="oboe agent status") from error
    return descriptor


def _key_pair(facts: Facts) -> tuple[str, Secret]:
    """The agent's RSA key, made at its first start."""
    private, public = facts.get("private_key"), facts.get("public_key")
    if isinstance(private, Secret) and isinstance(public, str):
        return public, private
    made = new_key_pair()
    facts.put(private_key=made.private_pem, public_key=made.public_key)
    return made.public_key, made.private_pem


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
