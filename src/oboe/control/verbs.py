"""What other agents may ask of this one: every verb, its request, and who answers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from oboe.control.hosts import Hosts
from oboe.control.leadership import Led
from oboe.control.listing import Listing, ManyDags, SearchDags
from oboe.control.looking import LookAt, Looking
from oboe.control.operating import OperateDag, Operating
from oboe.control.port import ForwardedRequest
from oboe.control.reading import FIND, FindDag, ListDags, Reading, Views
from oboe.control.views import StatusView
from oboe.control.waits import Waits, WaitsOf
from oboe.database.port import Driver
from oboe.domain.errors import Refused
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.verbs import (
    AskDag,
    AskStatus,
    Become,
    Configure,
    ConfigureAnswer,
    FollowDag,
    Invite,
    LeadDag,
    Leave,
    LedBy,
    OperateHosts,
    SignalDag,
    StoreMark,
    WakeDag,
)
from oboe.remote.messages import Nothing

__all__ = ["Membership", "Verbs", "register_verbs"]


class Verbs(Protocol):
    """The listener for agents, as far as registering goes."""

    def on(self, verb: str, request_type: type[Any], handler: Callable[[Address, Any], Any], *, long: bool = False) -> None: ...


class Membership:
    """Verbs about what this agent is and what its database is."""

    def __init__(self, local: LocalAgent, driver: Driver, link: ClusterLink, status: Callable[..., StatusView]) -> None:
        self._local = local
        self._driver = driver
        self._link = link
        self._status = status

    def become(self, caller: Address, request: Become) -> Nothing:
        """The MASTER converts its followers, and back when an init is undone: then what was copied from the cluster is forgotten."""
        identity = Identity(request.identity)
        self._local.become(identity)
        if identity is Identity.FOLLOWER:
            self._local.undo_cluster(master=caller)
        return Nothing()

    def configure(self, caller: Address, request: Configure) -> ConfigureAnswer:
        found = self._driver.configure(
            request.settings,
            home=Path(self._local.home),
            ip=self._local.address.ip,
            zone=request.zone,
            taken_ports=tuple(request.taken_ports),
        )
        return ConfigureAnswer(found.instance, list(found.warnings))

    def invite(self, caller: Address, request: Invite) -> Nothing:
        instance = self._local.instance()
        if instance is None:
            raise Refused("database.none", "this agent has no database")
        self._driver.secure(instance, request.addresses, password=self._local.secret("root_password") or Secret(""))
        return Nothing()

    def leave(self, caller: Address, request: Leave) -> Nothing:
        """A member that never began, or that is let go, is taken off the list."""
        agent = Address.parse(request.agent)
        if caller != agent and caller != self._local.address:
            raise Refused("agent.not_yourself", f"{caller} cannot take {agent} off the list")
        self._local.remove_member(agent)
        return Nothing()

    def refresh(self, caller: Address, request: Nothing) -> Nothing:
        """The members have changed."""
        if self._local.identity() is Identity.CLUSTER_AGENT:
            self._local.replace_members(self._link.members())
        return Nothing()

    def status(self, caller: Address, request: AskStatus) -> StatusView:
        return self._status(probe_timeout=request.probe_seconds)


def register_verbs(
    verbs: Verbs,
    *,
    membership: Membership,
    reading: Reading,
    operating: Operating,
    led: Led,
    waits: Waits,
    looking: Looking,
    listing: Listing,
    hosts: Hosts,
    begin_cluster: Callable[[str], Any],
    compare_marks: Callable[[StoreMark], StoreMark],
    forward: Callable[[ForwardedRequest], Any],
) -> None:
    """Register all verbs but those of the engine's messages."""
    verbs.on("agent.become", Become, membership.become)
    verbs.on("agent.status", AskStatus, membership.status)
    verbs.on("instance.configure", Configure, membership.configure)
    verbs.on("database.invite", Invite, membership.invite)
    verbs.on("member.leave", Leave, membership.leave)
    verbs.on("members.refresh", Nothing, membership.refresh)
    verbs.on(FIND, FindDag, lambda caller, request: reading.found_for(caller, request))
    verbs.on("dag.list", ListDags, lambda caller, request: Views(list(reading.listed(request.which, request.details))))
    verbs.on("dag.by_key", ListDags, lambda caller, request: _by_key(reading, request))
    verbs.on("dag.waits", WaitsOf, lambda caller, request: waits.here(request))
    verbs.on("dag.look", LookAt, lambda caller, request: looking.here(request), long=True)
    verbs.on("dag.search", SearchDags, lambda caller, request: listing.own(request))
    verbs.on("dag.many", ManyDags, lambda caller, request: listing.own_many(request))
    verbs.on("dag.operate", OperateDag, lambda caller, request: operating.carry_out(request))
    verbs.on("dag.lead", LeadDag, lambda caller, request: led.lead(request))
    verbs.on("dag.led_by", LedBy, lambda caller, request: led.led_by(request))
    verbs.on("dag.signal", SignalDag, lambda caller, request: led.signal(request))
    verbs.on("dag.ask", AskDag, lambda caller, request: led.ask(request), long=True)
    verbs.on("dag.follow", FollowDag, lambda caller, request: led.follow(request), long=True)
    verbs.on("host.operate", OperateHosts, lambda caller, request: hosts.carry_out(request), long=True)
    verbs.on("cluster.begin", WakeDag, lambda caller, request: begin_cluster(request.dag_key))
    verbs.on("store.mark", StoreMark, lambda caller, request: compare_marks(request))
    verbs.on("http.forward", ForwardedRequest, lambda caller, request: forward(request), long=True)


def _by_key(reading: Reading, request: ListDags) -> Views:
    found = reading.by_key(request.which, request.details)
    return Views([] if found is None else [found])
