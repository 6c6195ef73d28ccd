"""Membership and cluster operations: what is checked before a dag is created, and which dag that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oboe.control.port import Caller
from oboe.control.starting import Starter
from oboe.control.views import Preview
from oboe.database.port import Driver
from oboe.domain.errors import Refused
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.membership.enlisting import Enlisting, PublicInfo
from oboe.membership.link import ClusterLink
from oboe.membership.local import CONFIG_SCOPES, LocalAgent
from oboe.playbooks.agent.join import JoinSelfParams, JoinToMasterParams
from oboe.playbooks.agent.remove import (
    RemoveAllParams,
    RemoveFollowerParams,
    RemoveSelfParams,
)
from oboe.playbooks.cluster.config import ClusterConfigParams, ObserverConfigParams
from oboe.playbooks.cluster.init import InitParams
from oboe.playbooks.cluster.scale_out import ScaleOutParams
from oboe.remote.handshake import Joiner

__all__ = ["DENIED_SETTINGS", "Operations"]

DENIED_SETTINGS = frozenset({"cluster_id", "cluster", "root_pwd", "rootPwd", "rootservice_list", "zone", "local_ip", "devname"})
"""Observer settings that other routes own (`obshell-wire.md` §5.3)."""

_ALIASES = {"mysqlPort": "mysql_port", "rpcPort": "rpc_port"}


class Operations:
    """The checks and the start of every operation. Each returns the dag just created, or a preview."""

    def __init__(
        self, local: LocalAgent, driver: Driver, link: ClusterLink, *, enlisting: Enlisting, joiner: Joiner, starter: Starter
    ) -> None:
        self._local = local
        self._driver = driver
        self._link = link
        self._enlisting = enlisting
        self._joiner = joiner
        self._starter = starter

    def join(self, master: Address, zone: str, master_password: Secret, *, caller: Caller, dry_run: bool) -> Dag | Preview:
        self._require(Identity.SINGLE)
        if master == self._local.address:
            return self._start("Join self", JoinSelfParams(zone), caller, dry_run)
        info = self._enlisting.info(master)
        if info.identity != "MASTER":
            raise _wrong_identity(master, info.identity, "MASTER")
        self._same_versions(master, info)
        self._joiner.ask(master, self._local.address, master_password)
        return self._start("Join to master", JoinToMasterParams(str(master), zone, master_password), caller, dry_run)

    def remove(self, agent: Address, *, caller: Caller, dry_run: bool) -> Dag | Preview | None:
        identity = self._local.identity()
        if identity is Identity.SINGLE:
            if agent == self._local.address:
                return None
            raise _wrong_identity(self._local.address, "SINGLE", "MASTER")
        if identity is Identity.FOLLOWER and agent == self._local.address:
            return self._remove_self(caller, dry_run)
        self._require(Identity.MASTER)
        if agent == self._local.address:
            followers = [str(member.address) for member in self._local.members() if member.address != self._local.address]
            return self._start("Remove all agents", RemoveAllParams(followers), caller, dry_run)
        if self._local.member(agent) is None:
            return None
        return self._start("Remove follower agent", RemoveFollowerParams(str(agent)), caller, dry_run)

    def _remove_self(self, caller: Caller, dry_run: bool) -> Dag | Preview:
        """Asked over the socket only, because a FOLLOWER passes on what comes over the network."""
        master = self._local.master()
        if master is None:
            raise Refused("agent.no_master", "this FOLLOWER knows no MASTER")
        if self._enlisting.under_maintenance(master.address):
            raise Refused("maintenance.held", f"{master.address} is under maintenance", hint="wait for its task, or operate it")
        return self._start("Follower remove self", RemoveSelfParams(str(master.address)), caller, dry_run)

    def configure_observer(
        self, settings: Mapping[str, str], scope: str, target: Sequence[str], *, caller: Caller, dry_run: bool
    ) -> Dag | Preview:
        wanted = _checked_settings(settings)
        self._refuse_initialized()
        scope = scope.upper()
        targets = self._targets(scope, target)
        self._require(Identity.MASTER)
        warnings = self._try_settings(wanted)
        return self._start("Update observer config", ObserverConfigParams(scope, targets, wanted, warnings), caller, dry_run)

    def configure_cluster(
        self, cluster_id: int, name: str, root_password: Secret, *, rs_list: str, caller: Caller, dry_run: bool
    ) -> Dag | Preview:
        if cluster_id <= 0:
            raise Refused("cluster.id_invalid", f"cluster id {cluster_id} is not above 0")
        if not name:
            raise Refused("cluster.name_empty", "the cluster needs a name")
        self._refuse_initialized()
        self._require(Identity.MASTER)
        return self._start("Update cluster config", ClusterConfigParams(cluster_id, name, root_password, rs_list), caller, dry_run)

    def init(
        self, *, create_proxyro_user: bool, proxyro_password: Secret, import_script: bool, caller: Caller, dry_run: bool
    ) -> Dag | Preview:
        self._refuse_initialized()
        self._require(Identity.MASTER)
        if not self._local.cluster_name():
            raise Refused("cluster.not_configured", "the cluster has neither id nor name yet", hint="POST /api/v1/obcluster/config first")
        if self._driver.problem():
            raise Refused("database.unavailable", self._driver.problem())
        own = self._local.address
        agents = [str(own), *(str(member.address) for member in self._local.members() if member.address != own)]
        params = InitParams(agents, create_proxyro_user, proxyro_password, import_script)
        notes = tuple(f"{text}: {'primary' if text == str(own) else 'standby'}" for text in agents)
        return self._start("Initialize cluster", params, caller, dry_run, notes)

    def scale_out(
        self, agent: Address, zone: str, settings: Mapping[str, str], *, agent_password: Secret, caller: Caller, dry_run: bool
    ) -> Dag | Preview:
        self._require(Identity.CLUSTER_AGENT)
        if any(member.address == agent for member in self._link.members()):
            raise Refused("agent.already_member", f"{agent} is a member already")
        wanted = _checked_settings(settings) if settings else {}
        self._try_settings(wanted)
        info = self._enlisting.info(agent)
        if info.identity != "SINGLE":
            raise Refused("agent.not_single", f"{agent} is {info.identity}, only a SINGLE agent can be added")
        self._same_versions(agent, info)
        offer = self._offer(agent, agent_password)
        new_zone = not self._link.has_zone(zone)
        params = ScaleOutParams(str(agent), zone, new_zone, dict(wanted), agent_password, offer)
        primary = self._link.primary()
        notes = (f"{agent}: a standby cloned from {primary.endpoint}", f"zone {zone}: {'new' if new_zone else 'existing'}")
        return self._start("Cluster scale out", params, caller, dry_run, notes)

    def _offer(self, agent: Address, password: Secret) -> dict[str, Any]:
        """Nothing when it refuses the password: then the dag does, as the original's, where people look for it."""
        try:
            return self._enlisting.offer(agent, password)
        except Refused as refused:
            if refused.code != "auth.agent_password":
                raise
            return {}

    def _start(self, playbook: str, params: object, caller: Caller, dry_run: bool, notes: tuple[str, ...] = ()) -> Dag | Preview:
        if dry_run:
            return self._starter.preview(playbook, params, notes=notes)
        return self._starter.start(playbook, params, caller=caller)

    def _require(self, *identities: Identity) -> None:
        identity = self._local.identity()
        if identity not in identities:
            raise _wrong_identity(self._local.address, _words(identity), " or ".join(_words(one) for one in identities))

    def _refuse_initialized(self) -> None:
        if self._local.identity() is Identity.CLUSTER_AGENT:
            raise Refused("cluster.already_initialized", "the cluster runs already")

    def _same_versions(self, agent: Address, info: PublicInfo) -> None:
        if info.version != self._local.version:
            order = "higher" if info.version > self._local.version else "lower"
            code = f"agent.version_{order}" if self._local.identity() is Identity.CLUSTER_AGENT else "agent.version_differs"
            raise Refused(code, f"{agent} runs oboe {info.version}, this agent {self._local.version}", hint="bring both to one release")
        if info.database_version != self._local.database_version:
            message = f"{agent} has database {info.database_version or 'none'}, this agent {self._local.database_version or 'none'}"
            raise Refused("agent.database_version_differs", message)

    def _try_settings(self, settings: Mapping[str, str]) -> list[str]:
        """Refuse now what every host would refuse later; names that are kept but not used are told."""
        tried = self._driver.configure(settings, home=Path(self._local.home), ip=self._local.address.ip, zone="")
        return list(tried.warnings)

    def _targets(self, scope: str, target: Sequence[str]) -> list[str]:
        if scope not in CONFIG_SCOPES:
            raise Refused("scope.invalid", f"scope {scope!r} is none of {', '.join(CONFIG_SCOPES)}")
        if scope == "GLOBAL":
            return []
        targets = list(dict.fromkeys(target))
        if not targets:
            raise Refused("scope.invalid", f"scope {scope} names no target")
        zones = {member.zone for member in self._local.members()}
        agents = {str(member.address) for member in self._local.members()}
        for one in targets:
            if scope == "ZONE" and one not in zones:
                raise Refused("zone.unknown", f"no member is in zone {one}")
            if scope == "SERVER" and one not in agents:
                raise Refused("agent.unknown", f"{one} is no member")
        return targets


def _checked_settings(settings: Mapping[str, str]) -> dict[str, str]:
    if not settings:
        raise Refused("config.empty", "no setting was given")
    checked: dict[str, str] = {}
    for name, value in settings.items():
        name = _ALIASES.get(name, name)
        if name in DENIED_SETTINGS:
            raise Refused("config.denied", f"{name} is not set here", hint="POST /api/v1/obcluster/config or the agent's join sets it")
        if checked.setdefault(name, value) != value:
            raise Refused("config.conflict", f"{name} is given twice, as {checked[name]} and {value}")
    return checked


def _words(identity: Identity) -> str:
    return identity.name.replace("_", " ")


def _wrong_identity(agent: Address, identity: str, required: str) -> Refused:
    return Refused("agent.wrong_identity", f"'{agent}' is '{identity}', instead of '{required}', does not support this operation")
