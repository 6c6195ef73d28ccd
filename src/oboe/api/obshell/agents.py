"""Routes about agents: what they are, joining, leaving, passwords, sessions (`obshell-wire.md` §4.6, §4.8, §5.2, §5.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any

import msgspec

from oboe.api.obshell.auth import Rule
from oboe.api.obshell.names import IDENTITIES, SUPPORTED_AUTH, agent_version
from oboe.api.obshell.objects import AgentAddress, AgentInfo, AgentStatus, DagObject, GitInfo, MemberIdentity, Named, PublicKey
from oboe.api.obshell.route import Call, Route
from oboe.api.shared.envelope import NO_DATA, wire_time
from oboe.control.views import StatusView
from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["ROUTES", "address_of"]

PROBE_SECONDS = 2.0
"""How long a database may take to be looked at."""
_MICROSECONDS_MAX = 10_000_000


class Join(msgspec.Struct, rename="camel"):
    """``agentInfo`` is the MASTER to be; the request goes to the agent that joins."""

    agent_info: AgentAddress
    zone_name: Named
    master_password: Secret | None = None


class NewPassword(msgspec.Struct):
    password: Annotated[Secret, msgspec.Meta(extra_json_schema={"minLength": 1})]


class Logout(msgspec.Struct):
    session_id: Secret


def get_info(call: Call) -> AgentInfo:
    """What this agent is."""
    view = call.control.agent()
    return AgentInfo(
        pid=view.pid,
        state=view.state,
        start_at=view.started_at,
        home_path=view.home_path,
        ob_version=view.database_version,
        architecture=view.architecture,
        ip=view.address.ip,
        port=view.address.port,
        zone=view.zone,
        identity=IDENTITIES[view.identity],
        version=agent_version(view.version),
        is_obproxy_agent=False,
        security=view.secured,
        supported_auth=SUPPORTED_AUTH,
    )


def get_status(call: Call) -> AgentStatus:
    """How this agent and its database do."""
    return _status(call.control.status(probe_timeout=_probe_seconds(call)))


def get_statuses(call: Call) -> dict[str, AgentStatus]:
    """How every agent that answers in time does, by address; the header X-Oboe-Missing names the others."""
    statuses = call.control.statuses(probe_timeout=_probe_seconds(call))
    call.note_missing(address for address, view in statuses.items() if view is None)
    answered = {str(address): view for address, view in statuses.items() if view is not None}
    return {address: _status(answered[address]) for address in sorted(answered)}


def get_time(call: Call) -> str:
    """This agent's clock."""
    return wire_time(time.time_ns())


def get_git_info(call: Call) -> GitInfo:
    """Members of the original's build; oboe is not built from a checkout."""
    return GitInfo()


def get_secret(call: Call) -> PublicKey:
    """The public key that headers are encrypted with."""
    address = call.control.agent().address
    return PublicKey(address.ip, address.port, call.control.keys.public_key())


def join(call: Call) -> Any:
    """Make this agent a MASTER, or a FOLLOWER of another."""
    asked = call.bind(Join)
    if not asked.zone_name:
        raise Refused("request.body", "the body names no zone")
    password = asked.master_password or Secret("")
    return _without_null(
        call, lambda dry: call.control.join(address_of(asked.agent_info), asked.zone_name, password, caller=call.caller, dry_run=dry)
    )


def remove(call: Call) -> Any:
    """Take an agent out of a cluster that is not initialised yet."""
    agent = address_of(call.bind(AgentAddress))
    return _without_null(call, lambda dry: call.control.remove(agent, caller=call.caller, dry_run=dry))


def set_password(call: Call) -> Any:
    """Set the agent password; every session ends."""
    password = call.bind(NewPassword).password
    if not password:
        raise Refused("request.body", "the body holds no password")
    call.control.set_agent_password(password)
    return NO_DATA


def login(call: Call) -> str:
    """Begin a session; its id comes encrypted with the request's keys."""
    return _sealed(call, call.door.sessions.begin)


def logout(call: Call) -> Any:
    """End a session; from inside a session, only that one."""
    wanted = call.bind(Logout).session_id
    if call.session_id and call.session_id != wanted:
        raise Refused("auth.session_unknown", "this is not the session that asks")
    call.door.sessions.end(wanted)
    return NO_DATA


def new_token(call: Call) -> str:
    """A one-time token for another window; it comes encrypted with the request's keys."""
    return _sealed(call, call.door.sessions.new_token)


def exchange_token(call: Call) -> str:
    """A session for a one-time token; its id comes encrypted with the request's keys."""
    return _sealed(call, lambda now: call.door.sessions.exchange(call.sso_token, now))


def address_of(agent: AgentAddress) -> Address:
    """`Refused` ``request.body`` (empty), ``address.bad_ip``, ``address.bad_port``. A scope (``%eth0``) means something on one host."""
    if not agent.ip or not agent.port:
        raise Refused("request.body", "the body names no ip or no port")
    if "%" in agent.ip:
        raise Refused("address.bad_ip", f"{agent.ip[:80]!r} has a scope", hint="agents are known by their IP addresses")
    if not 0 < agent.port < 65536:
        raise Refused("address.bad_port", f"{agent.port} is no port")
    try:
        return Address(str(ip_address(agent.ip)), agent.port)
    except ValueError as error:
        raise Refused("address.bad_ip", str(error), hint="agents are known by their IP addresses") from None


def _without_null(call: Call, make: Any) -> Any:
    """Membership never sends ``"data":null`` beside an error."""
    try:
        return call.started(make)
    finally:
        call.data_on_error = NO_DATA


def _status(view: StatusView) -> AgentStatus:
    agent = view.agent
    return AgentStatus(
        agent=MemberIdentity(agent.address.ip, agent.address.port, IDENTITIES[agent.identity]),
        state=agent.state,
        version=agent_version(agent.version),
        pid=agent.pid,
        start_at=agent.started_at,
        port=agent.address.port,
        ob_state=view.database_state,
        sql_port=view.sql_port or msgspec.UNSET,
        under_maintenance=view.under_maintenance,
    )


def _probe_seconds(call: Call) -> float:
    """``ob_query_timeout`` is in microseconds, as the database counts them; more than our own bound is not waited."""
    asked = call.number("ob_query_timeout", default=_MICROSECONDS_MAX, low=1, high=2**53)
    return min(asked / 1_000_000, PROBE_SECONDS)


def _sealed(call: Call, make: Callable[[float], Secret]) -> str:
    """Nothing is made that could not be told."""
    if len(call.keys) != secrecy.KEYS_BYTES:
        raise Refused("request.no_keys", "the header holds no AES key and IV, of 16 bytes each, to encrypt the answer with")
    return secrecy.seal_body(call.keys, make(call.received_at).reveal().encode()).decode()


def _of_another(call: Call) -> bool:
    """A FOLLOWER removes itself."""
    return address_of(call.bind(AgentAddress)) != call.control.agent().address


_PROBE = ("ob_query_timeout",)
_DRY = ("dry_run",)

ROUTES = (
    Route(method="GET", path="/info", handler=get_info, public=True, answers=AgentInfo),
    Route(method="GET", path="/status", handler=get_status, public=True, answers=AgentStatus, query=_PROBE),
    Route(method="POST", path="/status", handler=get_status, public=True, answers=AgentStatus, query=_PROBE),
    Route(method="GET", path="/time", handler=get_time, public=True, answers=str),
    Route(method="GET", path="/git-info", handler=get_git_info, public=True, answers=GitInfo),
    Route(method="GET", path="/secret", handler=get_secret, public=True, answers=PublicKey),
    Route(method="GET", path="/agents/status", handler=get_statuses, answers=dict[str, AgentStatus], query=_PROBE, gathers=True),
    Route(method="POST", path="/agent/join", handler=join, body=Join, answers=DagObject, query=_DRY),
    Route(method="POST", path="/agent", handler=join, body=Join, answers=DagObject, query=_DRY),
    Route(method="POST", path="/agent/remove", handler=remove, body=AgentAddress, answers=DagObject, query=_DRY, of_master=_of_another),
    Route(method="DELETE", path="/agent", handler=remove, body=AgentAddress, answers=DagObject, query=_DRY, of_master=_of_another),
    Route(method="POST", path="/agent/password", handler=set_password, rule=Rule.NEW_AGENT_PASSWORD, body=NewPassword),
    Route(method="POST", path="/login", handler=login, rule=Rule.LOGIN, answers=str),
    Route(method="POST", path="/logout", handler=logout, body=Logout),
    Route(method="POST", path="/sso/token", handler=new_token, answers=str),
    Route(method="GET", path="/sso/exchange", handler=exchange_token, rule=Rule.TOKEN, answers=str),
)
