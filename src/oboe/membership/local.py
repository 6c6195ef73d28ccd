"""This agent as it knows itself: typed access to its facts, kept in its own store.

Invariants: a change of identity and what goes with it are one transaction; listeners hear of it afterwards, on the thread that made it,
which holds no lock then.
A SINGLE agent may hold a certificate: of a cluster that is about to take it in, or has just let it go; it answers that cluster only.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from oboe import __version__
from oboe.database.port import Instance
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.membership.member import Member, member_from_row, member_row, numbered

__all__ = ["CONFIG_SCOPES", "SHARED_FACTS", "FactStore", "LocalAgent"]

CONFIG_SCOPES = ("GLOBAL", "ZONE", "SERVER")
"""From the weakest to the strongest layer of observer configuration."""

SHARED_FACTS = ("users", "hosts")
"""What an agent keeps itself until its cluster does (`oboe.membership.shared_fact`)."""

_LET_GO_MAX = 100

_CLUSTER_FACTS = (
    "zone",
    "cluster_id",
    "cluster_name",
    "root_password",
    "store_password",
    "cluster_key",
    "authority_certificate",
    "authority_key",
    "certificate",
    "certificate_key",
    "observer_config",
    "instance",
    "dismissal_token",
    "offered_key",
    "ports",
    "let_go",
    "agent_numbers",
    "owed",
    "store_mark",
    *SHARED_FACTS,
    *(f"{name}_copy" for name in SHARED_FACTS),
)


class FactStore(Protocol):
    """What is needed of the store: keyed JSON values, one transaction for each call, secrets sealed at rest."""

    def get(self, name: str, default: Any = None) -> Any: ...
    def put(self, **values: Any) -> None: ...
    def delete(self, *names: str) -> None: ...
    def members(self) -> Sequence[Mapping[str, Any]]: ...
    def put_member(self, row: dict[str, Any]) -> None: ...
    def remove_member(self, ip: str, port: int) -> None: ...
    def replace_members(self, rows: Sequence[dict[str, Any]]) -> None: ...


class LocalAgent:
    """The agent's own facts. Thread-safe; reads are from memory."""

    def __init__(self, facts: FactStore, *, address: Address, rpc_port: int, home: Path, public_key: str, database_version: str) -> None:
        self.address = address
        self.rpc_port = rpc_port
        self.home = home
        self.version = __version__
        self.public_key = public_key
        self.database_version = database_version
        self._facts = facts
        self._lock = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._cache: dict[str, Any] = {}

    # Identity

    def identity(self) -> Identity:
        return Identity(self._get("identity", int(Identity.SINGLE)))

    def become(self, identity: Identity, **facts: Any) -> None:
        """Take a new identity and the facts that go with it, at once; the own member row follows."""
        with self._lock:
            self._put(identity=int(identity), **facts)
            self._update_own_member()
        self._tell()

    def leave(self, *, answer_to: Address | None = None, keep: Sequence[str] = ()) -> None:
        """Become SINGLE: forget the cluster, its keys and its members. The agent's own keys and history stay.

        With ``answer_to`` the certificate stays, for that agent alone: it led us out and must hear how that ended, and callers of ours hear
        from it how that goes on there; so does the token by which a cluster that took us in lets us go. ``keep`` names facts that were
        there before the cluster was."""
        kept = {*keep, *(("certificate", "certificate_key", "authority_certificate", "dismissal_token") if answer_to else ())}
        with self._lock:
            ports = {str(answer_to): self.rpc_port_of(answer_to)} if answer_to else {}
            self._facts.replace_members([])
            self._facts.delete(*(name for name in _CLUSTER_FACTS if name not in kept))
            self._cache.clear()
            self._put(identity=int(Identity.SINGLE), answers_to=str(answer_to) if answer_to else "", **({"ports": ports} if ports else {}))
        self._tell()

    def undo_cluster(self, *, master: Address) -> None:
        """The cluster that was to be is not: its members are a MASTER and FOLLOWERs again, without databases.

        A FOLLOWER forgets what it has copied; the MASTER has most of it from its configuration, and keeps it."""
        self.forget("store_mark")
        if self.address != master:
            self.forget("root_password", "store_password", "authority_key", "cluster_id", "cluster_name")
        identities = {True: Identity.MASTER, False: Identity.FOLLOWER}
        members = [replace(one, identity=identities[one.address == master], mysql_port=0, database_rpc_port=0) for one in self.members()]
        with self._lock:
            self._facts.replace_members([member_row(member) for member in members])
            self._cache.pop("members", None)
            self._update_own_member()
        self._tell()

    def answers(self, address: Address) -> bool:
        """Whether that agent may call this one: a member, one that is being taken in from here, who took us in, who let us go."""
        if address == self.address or self.member(address) is not None:
            return True
        return str(address) == str(self._get("answers_to", "")) or str(address) in self._get("taking_in", [])

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every change of identity, members or cluster facts."""
        self._listeners.append(listener)

    def as_member(self) -> Member:
        instance = self.instance()
        return Member(
            address=self.address,
            rpc_port=self.rpc_port,
            identity=self.identity(),
            zone=self.zone(),
            version=self.version,
            home_path=str(self.home),
            os=platform.system().lower(),
            architecture=platform.machine(),
            public_key=self.public_key,
            database_version=self.database_version,
            mysql_port=instance.mysql_port if instance else 0,
            database_rpc_port=instance.rpc_port if instance else 0,
            number=self.number(),
        )

    def number(self) -> int:
        """This agent's in its cluster; 0: it belongs to none, or was not given one yet."""
        known = self.member(self.address)
        return known.number if known is not None and self.identity() not in (Identity.SINGLE, Identity.SCALING_OUT) else 0

    def give_number(self, member: Member) -> Member:
        """As the MASTER of a cluster to be: the member with a number that no other has."""
        with self._lock:
            known, given = numbered(member, self._get("agent_numbers", {}))
            self._put(agent_numbers=given)
        return known

    # Facts

    def zone(self) -> str:
        return str(self._get("zone", ""))

    def cluster_id(self) -> int:
        return int(self._get("cluster_id", 0))

    def cluster_name(self) -> str:
        return str(self._get("cluster_name", ""))

    def secret(self, name: str) -> Secret | None:
        """``root_password``, ``store_password``, ``agent_password``, ``cluster_key``, ``authority_key``, ``certificate_key``."""
        value = self._get(name)
        return value if isinstance(value, Secret) else None

    def text(self, name: str) -> str:
        """``authority_certificate``, ``certificate``: PEM, empty when there is none."""
        return str(self._get(name, "") or "")

    def value(self, name: str, default: Any = None) -> Any:
        """Any other fact."""
        return self._get(name, default)

    def remember(self, **facts: Any) -> None:
        """Write facts down, in one transaction; listeners hear of it."""
        with self._lock:
            self._put(**facts)
        self._tell()

    def keep(self, **facts: Any) -> None:
        """Write facts down that nobody waits to hear of."""
        with self._lock:
            self._put(**facts)

    def forget(self, *names: str) -> None:
        with self._lock:
            self._facts.delete(*names)
            for name in names:
                self._cache.pop(name, None)
        self._tell()

    # The database of this host

    def instance(self) -> Instance | None:
        kept = self._get("instance")
        return Instance(**kept) if kept else None

    def set_instance(self, instance: Instance | None) -> None:
        with self._lock:
            if instance is None:
                self._facts.delete("instance")
                self._cache.pop("instance", None)
            else:
                self._put(instance=asdict(instance))
            self._update_own_member()
        self._tell()

    def settings_for(self, member: Member) -> dict[str, str]:
        """Observer configuration of a member: GLOBAL, then its ZONE's, then its own; later wins."""
        merged: dict[str, str] = {}
        kept = self._get("observer_config", {})
        for scope, key in zip(CONFIG_SCOPES, ("", member.zone, str(member.address)), strict=True):
            merged.update(kept.get(scope, {}).get(key, {}))
        return merged

    def keep_settings(self, scope: str, targets: Sequence[str], settings: Mapping[str, str]) -> None:
        """Merge settings into one layer; GLOBAL has the single target ``""``."""
        with self._lock:
            kept = {name: {key: dict(value) for key, value in layer.items()} for name, layer in self._get("observer_config", {}).items()}
            layer = kept.setdefault(scope, {})
            for target in targets:
                layer.setdefault(target, {}).update(settings)
            self._put(observer_config=kept)

    def drop_settings(self, scope: str, target: str) -> None:
        with self._lock:
            kept = {name: {key: dict(value) for key, value in layer.items()} for name, layer in self._get("observer_config", {}).items()}
            kept.get(scope, {}).pop(target, None)
            self._put(observer_config=kept)

    # Members

    def members(self) -> list[Member]:
        """Every member, by address; on an agent that is being taken in, the members of the cluster that does it."""
        with self._lock:
            if "members" not in self._cache:
                self._cache["members"] = [member_from_row(dict(row)) for row in self._facts.members()]
            return list(self._cache["members"])

    def member(self, address: Address) -> Member | None:
        return next((member for member in self.members() if member.address == address), None)

    def master(self) -> Member | None:
        return next((member for member in self.members() if member.identity is Identity.MASTER), None)

    def put_member(self, member: Member) -> None:
        self._change_members(lambda: self._facts.put_member(member_row(member)))

    def remove_member(self, address: Address) -> None:
        self._change_members(lambda: self._facts.remove_member(address.ip, address.port))

    def replace_members(self, members: Sequence[Member]) -> None:
        self._change_members(lambda: self._facts.replace_members([member_row(member) for member in members]))

    def let_go(self, address: Address) -> None:
        """It is no member any more; its callers may still be told how it came to that."""
        with self._lock:
            others = [one for one in self._get("let_go", []) if one != str(address)]
            self._put(let_go=[*others, str(address)][-_LET_GO_MAX:])
        self.remove_member(address)

    def was_let_go(self, address: Address) -> bool:
        return str(address) in self._get("let_go", [])

    def rpc_port_of(self, address: Address) -> int:
        """Where that agent listens for agents; the default rule for one that is no member (yet)."""
        member = self.member(address)
        if member is not None:
            return member.rpc_port
        noted = self._get("ports", {}).get(str(address))
        if noted:
            return int(noted)
        return address.port + 1000 if address.port + 1000 < 65536 else address.port - 1000

    def note_port(self, address: Address, rpc_port: int) -> None:
        """Where an agent that is no member yet listens for agents."""
        with self._lock:
            self._put(ports=dict(self._get("ports", {})) | {str(address): rpc_port})

    def take_in(self, address: Address, rpc_port: int) -> None:
        """That agent is on its way to be a member, led from here: it is called at that port, and may call."""
        self.note_port(address, rpc_port)
        with self._lock:
            self._put(taking_in=sorted({*self._get("taking_in", []), str(address)}))

    def took_in(self, address: Address) -> None:
        """It is a member now, or never will be."""
        with self._lock:
            self._put(taking_in=[one for one in self._get("taking_in", []) if one != str(address)])

    def others(self) -> list[Address]:
        """The other members, of an agent that is one itself: one that is being taken in knows them, but is none of them yet."""
        if self.identity() in (Identity.SINGLE, Identity.SCALING_OUT):
            return []
        return [member.address for member in self.members() if member.address != self.address]

    def fellows(self) -> list[Address]:
        """Other agents of the cluster, also of one that is only being taken in."""
        return [member.address for member in self.members() if member.address != self.address]

    def _update_own_member(self) -> None:
        """Nobody is told here: a listener may wait for a thread that needs the lock, so none is called while it is held."""
        if self.member(self.address) is not None:
            self._facts.put_member(member_row(self.as_member()))
            self._cache.pop("members", None)

    def _change_members(self, change: Callable[[], None]) -> None:
        with self._lock:
            change()
            self._cache.pop("members", None)
        self._tell()

    def _get(self, name: str, default: Any = None) -> Any:
        with self._lock:
            if name not in self._cache:
                self._cache[name] = self._facts.get(name)
            kept = self._cache[name]
        return default if kept is None else kept

    def _put(self, **values: Any) -> None:
        self._facts.put(**values)
        self._cache.update(values)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    @property
    def pid(self) -> int:
        return os.getpid()
