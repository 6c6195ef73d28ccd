"""Hosts as the faces ask for them: the inventory, what is wrong with a host, and the operations on its agent.

An operation on a host is a dag of the asked agent's own home, because it must run while there is no database; when the host's agent is
the asked one, another member does it, because nobody can pull himself out. The host itself is locked for the time, so that dags of other
homes do not meet there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from oboe.control.port import Caller
from oboe.control.starting import Starter
from oboe.control.views import DagView, Preview
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.model import Dag
from oboe.hosts.checks import Problem
from oboe.hosts.ssh import HostKey, scan_host_key
from oboe.membership.inventory import Host, Inventory, check_host
from oboe.membership.local import LocalAgent
from oboe.membership.reach import Reach
from oboe.membership.verbs import OperateHosts
from oboe.playbooks.host.visit import HostParams, HostsParams

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["ACTIONS", "HOSTS_AT_ONCE_MAX", "HostReport", "Hosts"]

HOSTS_AT_ONCE_MAX = 500
_HAND_OVER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class HostReport:
    """What was seen on a host; ``seen`` is empty when it could not be asked."""

    host: Host
    problems: Sequence[Problem]
    seen: dict[str, Any]


class Hosts:
    """The use cases about hosts."""

    def __init__(self, local: LocalAgent, inventory: Inventory, reach: Reach, starter: Starter, peers: Callable[[], Peers]) -> None:
        self._local = local
        self._inventory = inventory
        self._reach = reach
        self._starter = starter
        self._peers = peers

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

    # Operations on their agents

    def operate(self, action: str, names: Sequence[str], *, package: str = "", caller: Caller, dry_run: bool = False) -> Dag | Preview:
        """The dag just created, or a preview. ``action`` is a key of `ACTIONS`; several names are for those that have a batch.

        `Refused` ``host.unknown`` ``host.is_self`` ``host.action`` ``host.package`` ``maintenance.held``."""
        hosts = list({host.id: host for host in map(self._inventory.find, names)}.values())
        playbook, params = _planned(action, hosts, package)
        notes = tuple(f"host {host.name}: agent {host.agent}, {host.target}" for host in hosts)
        if dry_run:
            return self._starter.preview(playbook, params, notes=notes)
        if all(host.agent_address != self._local.address for host in hosts):
            return self._starter.start(playbook, params, caller=caller)
        return self._handed_over(OperateHosts(action, [host.id for host in hosts], package, caller.name), hosts)

    def carry_out(self, request: OperateHosts) -> DagView:
        """Asked by a member that is about one of these hosts itself."""
        made = self.operate(
            request.action, [str(number) for number in request.hosts], package=request.package, caller=Caller(request.caller)
        )
        assert isinstance(made, Dag)
        return DagView(made, None)

    def _handed_over(self, request: OperateHosts, hosts: Sequence[Host]) -> Dag:
        """Nobody can pull himself out: another member that is about none of these hosts does it."""
        concerned = {host.agent_address for host in hosts}
        for member in self._local.others():
            if member in concerned:
                continue
            try:
                return self._peers().call(member, "host.operate", request, DagView, timeout=_HAND_OVER_SECONDS).dag
            except Unreachable:
                continue
        hint = "ask an agent of another host; with one agent alone: `oboe agent stop` and `start` on its host"
        raise Refused("host.is_self", f"agent {self._local.address} cannot do that to itself, and no other member can", hint=hint)


ACTIONS: Mapping[str, tuple[str, str]] = {
    "install": ("Prepare host", ""),
    "reinstall": ("Reinstall OCP agent", ""),
    "uninstall": ("Uninstall OCP agent", ""),
    "restart": ("Restart OCP agent", "Batch restart OCP agent"),
    "stop": ("Stop OCP agent", "Batch stop OCP agent"),
    "start": ("Start OCP agent", ""),
}
"""What may be done: the playbook for one host, and that for several; empty: one at a time."""


def _planned(action: str, hosts: Sequence[Host], package: str) -> tuple[str, HostParams | HostsParams]:
    if action not in ACTIONS:
        raise Refused("host.action", f"{action[:40]!r} is none of {', '.join(ACTIONS)}")
    if package and action not in ("install", "reinstall"):
        raise Refused("host.package", f"{action} takes no package")
    if not hosts or len(hosts) > HOSTS_AT_ONCE_MAX:
        raise Refused("host.action", f"name 1 to {HOSTS_AT_ONCE_MAX} hosts")
    one, several = ACTIONS[action]
    if len(hosts) > 1 and not several:
        raise Refused("host.action", f"{action} is for one host at a time")
    if len(hosts) > 1:
        return several, HostsParams([host.id for host in hosts])
    return one, HostParams(hosts[0].id, hosts[0].agent, package)


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
