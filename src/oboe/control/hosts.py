"""Hosts as the faces ask for them: the inventory, what is wrong with a host, and the operations on its agent.

An operation on a host is a dag of the asked agent's own home, because it must run while there is no database; when the host's agent is
the asked one, another member does it, because nobody can pull himself out. The host itself is locked for the time, so that dags of other
homes do not meet there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from oboe.domain.errors import OboeError, Refused
from oboe.hosts.checks import Problem
from oboe.hosts.ssh import HostKey, scan_host_key
from oboe.membership.inventory import Host, Inventory, check_host
from oboe.membership.reach import Reach

__all__ = ["HostReport", "Hosts"]


@dataclass(frozen=True, slots=True)
class HostReport:
    """What was seen on a host; ``seen`` is empty when it could not be asked."""

    host: Host
    problems: Sequence[Problem]
    seen: dict[str, Any]


class Hosts:
    """The use cases about hosts."""

    def __init__(self, inventory: Inventory, reach: Reach) -> None:
        self._inventory = inventory
        self._reach = reach

    # The inventory

    def all(self) -> Sequence[Host]:
        return self._inventory.all()

    def find(self, text: str) -> Host:
        """By name or number. `Refused` ``host.unknown``."""
        return self._inventory.find(text)

    def add(self, host: Host, *, fingerprint: str, accept_new: bool, who: str) -> Host:
        """Take a host in once its key is accepted: it is the one of that fingerprint, or any that it shows now.

        `Refused` ``host.invalid`` ``host.exists`` ``ssh.host_key_unknown`` ``ssh.host_key_changed``; `Unreachable` ``ssh.*``."""
        check_host(host)
        key = _accepted(host, fingerprint, accept_new=accept_new)
        return self._inventory.add(_with_key(host, key), who=who)

    def accept_key(self, name: str, *, fingerprint: str, accept_new: bool, who: str) -> Host:
        """Accept another key of a host that is known. As `add`."""
        host = self._inventory.find(name)
        key = _accepted(host, fingerprint, accept_new=accept_new)
        return self._inventory.accept_key(host.name, key.text, who=who)

    def remove(self, name: str, *, who: str) -> None:
        """Forget a host; nothing happens there. `Refused` ``host.unknown``."""
        self._inventory.remove(self._inventory.find(name).name, who=who)

    def unlock(self, name: str) -> None:
        """Let a host go that a dag of a lost agent still holds. `Refused` ``host.unknown``; `StepFailed` ``host.*``."""
        host = self._inventory.find(name)
        with self._reach.far(host) as far:
            far.ask("unlock", prefix=host.prefix, dag="")

    def check(self, name: str) -> HostReport:
        """Log in and look; nothing is touched. A host that cannot be asked has that as its problem. `Refused` ``host.unknown``."""
        host = self._inventory.find(name)
        try:
            with self._reach.far(host) as far:
                seen, wrong = self._reach.look(far, host)
        except OboeError as error:
            return HostReport(host, [Problem(error.code, error.message, error.hint)], {})
        return HostReport(host, wrong, seen)


def _with_key(host: Host, key: HostKey) -> Host:
    return msgspec.structs.replace(host, host_key=key.text)


def _accepted(host: Host, fingerprint: str, *, accept_new: bool) -> HostKey:
    shown = scan_host_key(host.address, host.port)
    if not fingerprint and not accept_new:
        hint = f"compare it with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there, then give --fingerprint {shown.fingerprint}"
        raise Refused("ssh.host_key_unknown", f"{host.address}:{host.port} shows a key that nobody has accepted", hint=hint)
    if fingerprint and fingerprint != shown.fingerprint:
        raise Refused("ssh.host_key_changed", f"{host.address}:{host.port} shows {shown.fingerprint}, not the key that was named")
    return shown
