"""The parts of an agent, one piece for each layer, each built from those below it.

::

    Stores      what the home keeps
    Membership  what this agent is, and whom it belongs to
    Wires       how it talks to other agents
    Work        playbooks and the engine that runs them
    Uses        the use cases, as every face and other agents' verbs call them
    Faces       what answers on the public port

Nothing here starts a thread, listens or waits: `oboe.daemon.agent` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette

from oboe import playbooks
from oboe.api.app import Api
from oboe.api.obshell.ids import encode
from oboe.api.shared.room import Room
from oboe.config import Settings
from oboe.control.chronicle import Chronicle
from oboe.control.clustering import Clustering
from oboe.control.hosts import Hosts
from oboe.control.keys import AgentKeys
from oboe.control.leadership import Leading, Led
from oboe.control.lifecycle import Lifecycle
from oboe.control.listing import Listing
from oboe.control.looking import Looking
from oboe.control.operating import Operating
from oboe.control.operations import Operations
from oboe.control.playbooks import Playbooks
from oboe.control.reading import FIND, Reading
from oboe.control.repeating import Repeating
from oboe.control.service import Oboe
from oboe.control.starting import Starter
from oboe.control.users import Users
from oboe.control.verbs import Membership as MembershipVerbs
from oboe.control.verbs import register_verbs
from oboe.control.waits import Waits
from oboe.daemon.public import bounds_of
from oboe.database.port import Driver
from oboe.domain.errors import OboeError, Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.recollection import orphan_words
from oboe.engine.server import Engine
from oboe.hosts.process import end_recorded, launch
from oboe.kit.naming import Naming
from oboe.kit.registry import Registry
from oboe.kit.secret import Secret
from oboe.membership.enlisting import Enlisting
from oboe.membership.handshakes import Handshakes
from oboe.membership.inventory import Inventory
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.owed import Owed
from oboe.membership.reach import Reach
from oboe.membership.shared_fact import SharedFact
from oboe.remote.client import Peers
from oboe.remote.courier import RpcCourier, register_courier
from oboe.remote.handshake import Enlister, Joiner
from oboe.remote.reception import handshake_routes
from oboe.remote.secrecy import new_key_pair
from oboe.remote.server import RpcServer
from oboe.remote.verbs import Verbs
from oboe.store.audit import Audit
from oboe.store.request_keys import RequestKeys
from oboe.store.sealing import Sealer, open_params, resealed, seal_params
from oboe.store.sqlite import DagCopies, Facts, Sqlite, SqliteHome, SqliteInbox

__all__ = ["Faces", "Membership", "Stores", "Uses", "Whereabouts", "Wires", "Work", "limits_of"]

T = TypeVar("T")

_HANDSHAKES = ("/rpc/v1/join", "/rpc/v1/leave", "/rpc/v1/enlist")
"""What agents without a certificate may ask on the public port (`oboe.remote.handshake`)."""


def limits_of(settings: Settings) -> Limits:
    """`Refused` ``config.out_of_bounds`` for bounds that contradict each other."""
    limits = Limits(**{each.name: getattr(settings, f"engine_{each.name}") for each in fields(Limits)})
    if limits.lease_renew_seconds > limits.lease_seconds / 2:
        hint = f"at most half of engine_lease_seconds = {limits.lease_seconds:g}: one renewal may be lost"
        raise Refused("config.out_of_bounds", f"engine_lease_renew_seconds = {limits.lease_renew_seconds:g}", hint=hint)
    if limits.backoff_seconds_min > limits.backoff_seconds_max:
        hint = f"at most engine_backoff_seconds_max = {limits.backoff_seconds_max:g}"
        raise Refused("config.out_of_bounds", f"engine_backoff_seconds_min = {limits.backoff_seconds_min:g}", hint=hint)
    return limits


class Stores:
    """The agent's SQLite file, and what is kept in it."""

    def __init__(self, home: Path) -> None:
        self.sealer = Sealer.at(home)
        self.database = Sqlite(home / "oboe.db")
        self.facts = Facts(self.database, self.sealer)
        self.own = SqliteHome(self.database)
        self.inbox = SqliteInbox(self.database)
        self.copies = DagCopies(self.database)
        self.audit = Audit(self.database)


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where an agent lives and answers."""

    home: Path
    address: Address
    rpc_port: int


class Membership:
    """Who the agent is, its keys, and its way to the cluster's home. ``announce`` tells the other members that their list changed."""

    def __init__(self, stores: Stores, where: Whereabouts, driver: Driver, settings: Settings, announce: Callable[[], None]) -> None:
        self.driver = driver
        public_key, self.private_key = _key_pair(stores.facts)
        self.local = LocalAgent(
            stores.facts,
            address=where.address,
            rpc_port=where.rpc_port,
            home=where.home,
            public_key=public_key,
            database_version=driver.version(),
        )
        self.link = ClusterLink(self.local, driver, announce=announce)
        self.joiner, self.enlisting = Joiner(), Enlisting(self.local, Enlister())
        self.owed = Owed(self.local, self.link)
        self.inventory = Inventory(SharedFact("hosts", self.local, self.link), stores.audit.append)
        self.reach = Reach(settings)
        self._sealer = stores.sealer

    def seal_params(self, home: HomeKind, params: Any) -> Mapping[str, Any]:
        return seal_params(params, self._sealer_of(home))

    def open_params(self, home: HomeKind, kind: type[T], params: Mapping[str, Any]) -> T:
        return open_params(kind, params, self._sealer_of(home))

    def wrap_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a dag of this agent's home, for another member: sealed with the cluster's key."""
        return dict(resealed(dict(params), lambda: self._sealer, lambda: self._sealer_of(HomeKind.CLUSTER)))

    def unwrap_params(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Of a dag of another member's home, for this agent's inbox: sealed with its own key."""
        return dict(resealed(dict(params), lambda: self._sealer_of(HomeKind.CLUSTER), lambda: self._sealer))

    def _sealer_of(self, home: HomeKind) -> Sealer:
        """Secrets are sealed by the home that keeps them."""
        if home is HomeKind.AGENT:
            return self._sealer
        key = self.local.secret("cluster_key")
        if key is None:
            raise Refused("cluster.none", "this agent has no cluster key")
        return Sealer(bytes.fromhex(key.reveal()))


class Wires:
    """Other agents: asked over `peers`, answered on a port of their own by what is registered in `verbs`."""

    def __init__(self, membership: Membership) -> None:
        local = membership.local
        self.verbs = Verbs()
        self.peers = Peers(local.address, local.rpc_port_of, local=self.verbs.carry_out)
        let_go = local.was_let_go
        self.rpc = RpcServer(
            local.address,
            self.verbs,
            port=local.rpc_port,
            allowed=local.answers,
            allowed_one=lambda caller, verb: verb == FIND and let_go(caller),
        )


class Work:
    """What can be done, and the engine that runs it."""

    def __init__(self, stores: Stores, membership: Membership, wires: Wires, directories: tuple[Path, ...], limits: Limits) -> None:
        local, peers = membership.local, wires.peers
        self.registry = _registry(directories)
        services: dict[type[Any], Any] = {
            LocalAgent: local,
            ClusterLink: membership.link,
            Driver: membership.driver,
            Peers: peers,
            Joiner: membership.joiner,
            Enlisting: membership.enlisting,
            Naming: _Names(),
            Owed: membership.owed,
            Inventory: membership.inventory,
            Reach: membership.reach,
        }
        tools = Tools(
            here=local.address,
            registry=self.registry,
            services=services,
            children=Leading(lambda: peers),
            open_params=membership.open_params,
            launch=launch,
            end_recorded=end_recorded,
            work_root=local.home / "work",
            limits=limits,
            clock=time.time_ns,
        )
        courier = RpcCourier(peers, self._maintainer, wrap=membership.wrap_params)
        self.engine = Engine(tools=tools, home=stores.own, inbox=stores.inbox, courier=courier, members=lambda: _members(local))
        register_courier(wires.verbs, self.engine, unwrap=membership.unwrap_params)

    def _maintainer(self) -> Address | None:
        found = self.engine.maintainer()
        return None if found is None else found.agent


class Uses:
    """The use cases. ``control`` is what every face calls."""

    def __init__(self, stores: Stores, membership: Membership, wires: Wires, work: Work) -> None:
        local, link, driver, engine = membership.local, membership.link, membership.driver, work.engine
        here, peers = local.address, lambda: wires.peers
        engine.listen(Chronicle(_Names()).tell)
        self.cluster = Clustering(
            local, link, engine, wires.peers, owed=membership.owed, enlisting=membership.enlisting, left=stores.copies.clear
        )
        self.starter = Starter(
            here,
            work.registry,
            seal=membership.seal_params,
            submit=self.cluster.submit,
            members=lambda: sorted({here, *(member.address for member in local.members())}),
        )
        self.reading = Reading(local, stores.own, link, peers, stores.copies)
        self.operating = Operating(local, self.reading, engine, peers, self.cluster.maintainer, stores.audit.append, work.registry)
        self.waits = Waits(here, self.reading, engine, peers, self.cluster.maintainer)
        self.looking = Looking(here, self.reading, engine, peers, self.cluster.maintainer)
        self.listing = Listing(local, stores.own, self.reading, peers)
        self.led = Led(here, self.starter, work.registry, stores.own, engine)
        self.hosts = Hosts(local, membership.inventory, membership.reach, self.starter, peers)
        self.keys = AgentKeys(local, driver, membership.private_key)
        self._engine = engine
        self.control = Oboe(
            keys=self.keys,
            local=local,
            driver=driver,
            link=link,
            own=stores.own,
            peers=peers,
            reading=self.reading,
            operating=self.operating,
            operations=Operations(local, driver, link, enlisting=membership.enlisting, joiner=membership.joiner, starter=self.starter),
            waits=self.waits,
            looking=self.looking,
            listing=self.listing,
            users=Users(local, link, stores.audit.append),
            repeating=Repeating(local, RequestKeys(stores.database), link, clock=time.time_ns),
            life=Lifecycle(local, driver, link, self.starter, self.reading, peers),
            hosts=self.hosts,
            troubles=self._troubles,
            running=lambda: len(engine.executor.attempts()),
            playbooks=Playbooks(work.registry, self.starter, self.reading.cluster_home),
        )

    def _troubles(self) -> list[str]:
        status = self._engine.status()
        found = [f"{what}: {why}" for what, why in status.troubles.items()]
        found += [f"dag {self._called(key)}: {why}" for key, why in status.set_aside.items()]
        found += [orphan_words(orphan) for orphan in self._engine.orphans()]
        return found + self.cluster.troubles()

    def _called(self, dag_key: str) -> str:
        """The dag's id, as commands take it, and its name; its key where it cannot be read."""
        for kind in HomeKind:
            try:
                dag = self._engine.get(kind, dag_key)
            except OboeError:
                continue
            if dag is not None:
                return f"{_Names().dag(dag.home, dag.id)} {dag.name}"
        return dag_key


class Faces:
    """What strangers and clients reach: the API and, on the same port, the handshakes of agents without a certificate."""

    def __init__(self, stores: Stores, membership: Membership, wires: Wires, uses: Uses, settings: Settings) -> None:
        room = Room(bounds_of(settings))
        hands = Handshakes(membership.local, membership.private_key, stores.own.under_maintenance)
        routes = handshake_routes(hands, guessed=lambda source: room.throttle.failed(source, time.monotonic()))
        others = dict.fromkeys(_HANDSHAKES, Starlette(routes=list(routes)))
        used_headers = membership.local.home / "run" / "used-headers"
        self.api = Api(uses.control, others, room=room, tls_only=settings.tls == "required", used_headers=used_headers)
        register_verbs(
            wires.verbs,
            membership=MembershipVerbs(membership.local, membership.driver, membership.link, uses.control.status),
            reading=uses.reading,
            operating=uses.operating,
            led=uses.led,
            waits=uses.waits,
            looking=uses.looking,
            listing=uses.listing,
            hosts=uses.hosts,
            begin_cluster=uses.cluster.begin,
            compare_marks=uses.cluster.compare,
            forward=self.api.answer_forwarded,
        )


def _members(local: LocalAgent) -> tuple[Address, ...]:
    return tuple(member.address for member in local.members())


class _Names:
    """Implements `Naming`: ids as OBShell's clients use them."""

    def dag(self, home: Home, number: int) -> str:
        return encode(home, number)


def _registry(directories: tuple[Path, ...]) -> Registry:
    registry = Registry()
    registry.add_package(playbooks)
    registry.add_entry_points(entry_points(group="oboe.playbooks"))
    for directory in directories:
        registry.add_directory(directory)
    return registry


def _key_pair(facts: Facts) -> tuple[str, Secret]:
    """The agent's RSA key, made at its first start."""
    private, public = facts.get("private_key"), facts.get("public_key")
    if isinstance(private, Secret) and isinstance(public, str):
        return public, private
    made = new_key_pair()
    facts.put(private_key=made.private_pem, public_key=made.public_key)
    return made.public_key, made.private_pem
