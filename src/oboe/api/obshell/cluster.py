"""Routes about the cluster: its configuration, its start, what it consists of (`obshell-wire.md` §5.2 to §5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from oboe.api.obshell.agents import address_of
from oboe.api.obshell.names import IDENTITIES, agent_version
from oboe.api.obshell.objects import (
    AgentAddress,
    ClusterInfo,
    ClusterMember,
    ClusterSummary,
    ClusterTopology,
    DagObject,
    Named,
    ObserverInfo,
)
from oboe.api.obshell.route import Call, Route
from oboe.api.shared.envelope import Contents
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["ROUTES"]

CLUSTER_ID_MAX = 4_294_901_759
"""The database's own bound."""

Value = str | int | float | bool
"""Settings are texts; numbers are taken as they are written."""


_NAMES_A_TARGET = {
    "anyOf": [
        {"properties": {"type": {"const": "GLOBAL"}}},
        {"required": ["target"], "properties": {"target": {"type": "array", "minItems": 1}}},
    ]
}


class Scope(msgspec.Struct):
    type: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["GLOBAL", "ZONE", "SERVER"]})]
    target: list[str] | None = None


class ObserverConfig(msgspec.Struct, rename="camel"):
    observer_config: dict[str, Value]
    scope: Annotated[Scope, msgspec.Meta(extra_json_schema=_NAMES_A_TARGET)]
    restart: bool | None = None


class ClusterConfig(msgspec.Struct, rename="camel"):
    cluster_id: Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": CLUSTER_ID_MAX})] | None = None
    cluster_name: str | None = None
    rs_list: str | None = None
    root_pwd: Secret | None = None


class Init(msgspec.Struct):
    import_script: bool | None = None
    create_proxyro_user: bool | None = None
    proxyro_password: Secret | None = None


class ScaleIn(msgspec.Struct):
    agent_info: AgentAddress
    force_kill: bool | None = None


class ScaleOut(msgspec.Struct, rename="camel"):
    agent_info: AgentAddress
    zone: Named
    ob_configs: dict[str, Value] | None = None
    target_agent_password: Secret | None = None


def configure_observer(call: Call) -> Any:
    """Set configuration for the observers of the cluster to be."""
    asked = call.bind(ObserverConfig)
    target = asked.scope.target or []
    if asked.scope.type.upper() in ("ZONE", "SERVER") and not target:
        raise Refused("scope.empty", f"scope {asked.scope.type} names no target")
    settings = _texts(asked.observer_config)
    return call.started(
        lambda dry: call.control.configure_observer(settings, asked.scope.type, target, caller=call.caller, dry_run=dry),
    )


def configure_cluster(call: Call) -> Any:
    """Set id, name and root password of the cluster to be."""
    asked = call.bind(ClusterConfig)
    password = _root_password(call, asked.root_pwd or Secret(""))
    if (asked.cluster_id or 0) > CLUSTER_ID_MAX:
        raise Refused("cluster.id_invalid", f"cluster id {str(asked.cluster_id)[:20]} is above {CLUSTER_ID_MAX}")
    return call.started(
        lambda dry: call.control.configure_cluster(
            asked.cluster_id or 0, asked.cluster_name or "", password, rs_list=asked.rs_list or "", caller=call.caller, dry_run=dry
        )
    )


def init(call: Call) -> Any:
    """Bring the cluster up on all its agents."""
    asked = call.bind(Init)
    return call.started(
        lambda dry: call.control.init(
            create_proxyro_user=bool(asked.create_proxyro_user),
            proxyro_password=asked.proxyro_password or Secret(""),
            import_script=bool(asked.import_script),
            caller=call.caller,
            dry_run=dry,
        )
    )


def scale_out(call: Call) -> Any:
    """Add the server of a SINGLE agent to the running cluster."""
    asked = call.bind(ScaleOut)
    agent = address_of(asked.agent_info)
    if not asked.zone:
        raise Refused("request.body", "the body names no zone")
    settings, password = _texts(asked.ob_configs or {}), asked.target_agent_password or Secret("")
    return call.started(
        lambda dry: call.control.scale_out(agent, asked.zone, settings, agent_password=password, caller=call.caller, dry_run=dry),
        null_on_error=True,
    )


def scale_in(call: Call) -> Any:
    """Take an agent and its server out of the running cluster."""
    asked = call.bind(ScaleIn)
    agent = address_of(asked.agent_info)
    return call.started(
        lambda dry: call.control.life.scale_in(agent, force_kill=bool(asked.force_kill), caller=call.caller, dry_run=dry),
    )


def get_cluster(call: Call) -> ClusterInfo:
    """The members, and the servers by zone."""
    view = call.control.cluster()
    topology: dict[str, list[ClusterTopology]] = {}
    for server in view.servers:
        topology.setdefault(server.zone, []).append(
            ClusterTopology(
                svr_ip=server.svr_ip,
                svr_port=server.svr_port,
                sql_port=server.sql_port,
                agent_port=server.agent_port,
                with_rootserver="YES" if server.with_rootserver else "NO",
                status=server.status,
                build_version=server.build_version,
            )
        )
    members = [
        ClusterMember(each.address.ip, each.address.port, each.zone, IDENTITIES[each.identity], agent_version(each.version))
        for each in view.members
    ]
    return ClusterInfo(members, ClusterSummary(view.id, view.name, view.version, dict(sorted(topology.items())) or None))


def get_agents(call: Call) -> Contents:
    """The members' addresses."""
    return Contents([AgentAddress(each.address.ip, each.address.port) for each in call.control.members()])


def get_observer(call: Call) -> ObserverInfo:
    """The server on this agent's host, as far as the cluster and the agent know it."""
    status = call.control.status()
    own = status.agent.address
    info = ObserverInfo(ip=own.ip, sql_port=status.sql_port, ob_status=status.database_state, architecture=status.agent.architecture)
    for server in call.control.cluster().servers:
        if (server.svr_ip, server.agent_port) == (own.ip, own.port):
            info.svr_port, info.sql_port = server.svr_port, server.sql_port
            info.version, info.inner_status = server.build_version, server.status
            info.with_rootserver = server.with_rootserver
            info.obshell_port = own.port
    return info


def _texts(settings: Mapping[str, Value]) -> dict[str, str]:
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in settings.items()}


def _root_password(call: Call, given: Secret) -> Secret:
    """Older clients encrypt it for the agent that they ask; what cannot be opened is the password itself.

    A FOLLOWER that was asked cannot open it before the MASTER has verified who asks, and the MASTER cannot open it at all."""
    if call.forwarded_by is not None and secrecy.looks_sealed(given.reveal()):
        raise Refused("cluster.password_encrypted", "the password is encrypted for another agent", hint="send it to the MASTER")
    try:
        return Secret(secrecy.open_text(call.door.private_key(), given.reveal()).decode())
    except (Refused, UnicodeDecodeError):
        return given


def _always(call: Call) -> bool:
    """What concerns all agents is the MASTER's, whoever asks."""
    return True


_DRY = ("dry_run",)
_OF_THE_TARGET = {
    "maintenance.held": "maintenance.cluster_held",
    "agent.unreachable": "agent.unavailable",
    "agent.no_certificate": "agent.unavailable",
    "auth.agent_password": "agent.unavailable",
    "auth.expired": "agent.unavailable",
    "auth.bad_timestamp": "agent.unavailable",
    "secrecy.undecipherable": "agent.unavailable",
}
"""The agent to be added does not answer, or refuses the password that was given for it: no reason for the caller to log in again."""

_CLUSTER_HELD = {"maintenance.held": "maintenance.cluster_held"}

ROUTES = (
    Route(
        method="POST",
        path="/observer/config",
        handler=configure_observer,
        body=ObserverConfig,
        answers=DagObject,
        query=_DRY,
        of_master=_always,
    ),
    Route(
        method="PUT",
        path="/observer/config",
        handler=configure_observer,
        body=ObserverConfig,
        answers=DagObject,
        query=_DRY,
        of_master=_always,
    ),
    Route(
        method="POST",
        path="/obcluster/config",
        handler=configure_cluster,
        body=ClusterConfig,
        answers=DagObject,
        query=_DRY,
        of_master=_always,
    ),
    Route(
        method="PUT",
        path="/obcluster/config",
        handler=configure_cluster,
        body=ClusterConfig,
        answers=DagObject,
        query=_DRY,
        of_master=_always,
    ),
    Route(method="POST", path="/ob/init", handler=init, body=Init, answers=DagObject, query=_DRY, of_master=_always),
    Route(method="POST", path="/ob/scale_out", handler=scale_out, body=ScaleOut, answers=DagObject, query=_DRY, lookup=_OF_THE_TARGET),
    Route(method="POST", path="/ob/scale_in", handler=scale_in, body=ScaleIn, answers=DagObject, query=_DRY, lookup=_CLUSTER_HELD),
    Route(method="DELETE", path="/observer", handler=scale_in, body=ScaleIn, answers=DagObject, query=_DRY, lookup=_CLUSTER_HELD),
    Route(method="GET", path="/ob/info", handler=get_cluster, answers=ClusterInfo, of_master=_always),
    Route(method="GET", path="/ob/agents", handler=get_agents, answers=list[AgentAddress], of_master=_always),
    Route(method="GET", path="/observer/info", handler=get_observer, answers=ObserverInfo),
)
