"""The inventory of hosts: where they are, how to log in, which host key was accepted, and which agent lives there.

A `SharedFact`, so every agent of a cluster can reach every host, also while the database is away. Credentials are sealed at rest and never
shown. Invariants: a host's number and name are its own, a number is never given twice, and each agent is on one host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.hosts.ssh import Login, Target
from oboe.kit.secret import Secret
from oboe.kit.typed import converted
from oboe.membership.shared_fact import SharedFact

__all__ = ["Host", "Inventory"]

HOSTS_MAX = 10_000
DRIVERS = ("seekdb", "fake")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}")
_PATH = re.compile(r"[/~][^\x00-\x1f\x7f]{0,1000}")


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One machine that runs, or is to run, one agent. Paths are that machine's; ``~`` is its user's home."""

    id: int = 0
    name: str
    address: str
    """Of its SSH server: an IP address or a name."""
    port: int = 22
    user: str
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    host_key: str = ""
    agent: str
    """``ip:port`` of the agent."""
    rpc_port: int = 0
    """0: the agent's default."""
    home: str = "~/oboe-home"
    prefix: str = "~/oboe"
    """Where versions of oboe are installed."""
    python: str = "python3"
    driver: str = "seekdb"

    @property
    def agent_address(self) -> Address:
        return Address.parse(self.agent)

    @property
    def target(self) -> Target:
        login = Login(self.user, self.password, self.private_key, self.passphrase)
        return Target(self.address, self.port, login, self.host_key)

    def shown(self) -> dict[str, Any]:
        """Everything but what is secret."""
        hidden = ("password", "private_key", "passphrase")
        plain = {name: getattr(self, name) for name in self.__struct_fields__ if name not in hidden}
        return plain | {"credentials": [name for name in hidden[:2] if getattr(self, name)]}


class _Kept(msgspec.Struct, frozen=True):
    last_id: int = 0
    hosts: tuple[Host, ...] = ()


class Inventory:
    """The hosts that this agent knows. Thread-safe."""

    def __init__(self, kept: SharedFact, audit: Callable[..., None]) -> None:
        self._kept = kept
        self._audit = audit

    def all(self) -> tuple[Host, ...]:
        """In order of their numbers."""
        return _read(self._kept.read()).hosts

    def find(self, text: str) -> Host:
        """By name or number. `Refused` ``host.unknown``."""
        for fresh in (False, True):  # another agent may have added it just now
            for host in _read(self._kept.read(fresh=fresh)).hosts:
                if text in (host.name, str(host.id)):
                    return host
        raise Refused("host.unknown", f"there is no host {text[:80]}", hint="oboe host list")

    def of_agent(self, agent: Address) -> Host | None:
        """The host where that agent lives."""
        return next((host for host in self.all() if host.agent_address == agent), None)

    def add(self, host: Host, *, who: str) -> Host:
        """The host with its number. `Refused` ``host.invalid``, ``host.exists``, ``host.limit``."""
        check_host(host)

        def change(known: _Kept) -> _Kept:
            for other in known.hosts:
                if other.name == host.name or other.agent_address == host.agent_address:
                    raise Refused("host.exists", f"there is a host {other.name} with agent {other.agent} already")
            if len(known.hosts) >= HOSTS_MAX:
                raise Refused("host.limit", f"there are {HOSTS_MAX} hosts already")
            number = known.last_id + 1
            return _Kept(number, (*known.hosts, msgspec.structs.replace(host, id=number)))

        return self._named(self._change(change, who, "host add", host.name), host.name)

    def accept_key(self, name: str, host_key: str, *, who: str) -> Host:
        """Its key is this one from now on. `Refused` ``host.unknown``."""
        self.find(name)

        def change(known: _Kept) -> _Kept:
            edited = (msgspec.structs.replace(host, host_key=host_key) if host.name == name else host for host in known.hosts)
            return _Kept(known.last_id, tuple(edited))

        return self._named(self._change(change, who, "host accept key", name), name)

    def remove(self, name: str, *, who: str) -> None:
        """Forget it; nothing happens there. `Refused` ``host.unknown``."""
        self.find(name)
        self._change(lambda known: _Kept(known.last_id, tuple(host for host in known.hosts if host.name != name)), who, "host remove", name)

    def _change(self, change: Callable[[_Kept], _Kept], who: str, what: str, name: str) -> _Kept:
        before: list[_Kept] = []

        def apply(kept: Any) -> Any:
            before[:] = [_read(kept)]
            return _written(change(before[0]))

        known = _read(self._kept.change(apply))
        self._audit(who, what, _shown(before[0], name), _shown(known, name))
        return known

    @staticmethod
    def _named(known: _Kept, name: str) -> Host:
        return next(host for host in known.hosts if host.name == name)


def check_host(host: Host) -> None:
    """`Refused` ``host.invalid`` names the member that makes no sense, and what would."""
    rules: Mapping[str, tuple[bool, str]] = {
        "name": (bool(_NAME.fullmatch(host.name)) and not host.name.isdigit(), "letters, digits, . _ -; at most 64, not digits alone"),
        "address": (bool(_ADDRESS.fullmatch(host.address)), "an IP address or the name of a host"),
        "port": (0 < host.port < 65536, "1 to 65535"),
        "user": (bool(_USER.fullmatch(host.user)), "the name of a user there"),
        "agent": (_is_address(host.agent), "IP:PORT, an address that other agents reach"),
        "rpc_port": (0 <= host.rpc_port < 65536, "1 to 65535, or 0 for the agent's default"),
        "home": (bool(_PATH.fullmatch(host.home)), "a path that begins with / or ~"),
        "prefix": (bool(_PATH.fullmatch(host.prefix)) and host.prefix != host.home, "a path that begins with / or ~, not the agent's home"),
        "python": (bool(host.python) and not host.python.startswith("-") and len(host.python) <= 1000, "a command or a path"),
        "driver": (host.driver in DRIVERS, f"one of {', '.join(DRIVERS)}"),
        "credentials": (bool(host.password or host.private_key), "a password, a private key, or both"),
    }
    for name, (fits, hint) in rules.items():
        if not fits:
            raise Refused("host.invalid", f"{name} of host {host.name[:64]!r} is missing or makes no sense", hint=hint)


def _is_address(text: str) -> bool:
    try:
        return bool(Address.parse(text))
    except ValueError:
        return False


def _read(kept: Any) -> _Kept:
    """From the fact; its secrets are `Secret` already."""
    return converted(kept or {}, _Kept, dec_hook=lambda kind, value: value)


def _written(known: _Kept) -> dict[str, Any]:
    """As the fact: plain but for `Secret`."""
    return {"last_id": known.last_id, "hosts": [{name: getattr(host, name) for name in host.__struct_fields__} for host in known.hosts]}


def _shown(known: _Kept, name: str) -> dict[str, Any] | None:
    """For the record: nothing that is secret."""
    return next((host.shown() for host in known.hosts if host.name == name), None)
