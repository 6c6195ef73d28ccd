"""What *Cluster scale in* and *Delete zone* have in common: a server's row, its agent's identity, the end of its database."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from oboe.database.port import Endpoint
from oboe.domain.errors import OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.domain.values import Address, Identity
from oboe.kit import Run, Step
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import member_from_row
from oboe.membership.server_row import ServerRow
from oboe.membership.verbs import Become
from oboe.playbooks.agent.kill_observer import KillObserverParams, RestartParams
from oboe.playbooks.leading import end_of, lead
from oboe.remote.client import Peers
from oboe.remote.handshake import ask_public
from oboe.remote.messages import Nothing

__all__ = ["Departing", "DepartingStep", "RowDeleting", "RowGone", "forget_members", "kill", "revive", "tell_identity"]

_ASK_SECONDS = 5.0
_REACH_SECONDS = 15.0
"""How long an agent that goes may be away before the cluster goes on without it."""
_KILL_SECONDS = 300.0


class Departing(msgspec.Struct):
    """A server that leaves the cluster, as it was when that was asked."""

    agent: str
    """``ip:port`` of its agent."""
    member: dict[str, Any]
    """The agent's member row; empty: the cluster knows none."""
    ip: str
    rpc_port: int
    sql_port: int
    zone: str
    build_version: str = ""
    listed: bool = True
    """Whether the cluster's tables had its row."""

    @property
    def address(self) -> Address:
        return Address.parse(self.agent)

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.ip, self.rpc_port)


class DepartingStep(Step):
    """Catalogue flags: all five, where a class does not say otherwise."""

    resumable = True
    skippable = True

    def server(self, run: Run) -> Departing:
        """The server that this node is about."""
        raise NotImplementedError


class RowDeleting(DepartingStep):
    """The server's row is DELETING."""

    def run(self, run: Run) -> None:
        _begin_delete(run, self.server(run))

    def rollback(self, run: Run) -> None:
        _undo_delete(run, self.server(run))


class RowGone(DepartingStep):
    """The server's row is gone."""

    def run(self, run: Run) -> None:
        _take_row(run, self.server(run))

    def rollback(self, run: Run) -> None:
        _give_row_back(run, self.server(run))

    def cancelled(self, run: Run) -> None:
        _cancel_delete(run, self.server(run))


# The row


def _begin_delete(run: Run, server: Departing) -> None:
    """The row is DELETING. The primary is refused: nobody would be left to take writes."""
    link = run.use(ClusterLink)
    if link.primary().endpoint == server.endpoint:
        raise StepFailed("server.is_primary", f"{server.endpoint} is the primary", hint="switch over to a standby first")
    link.set_server(server.ip, server.rpc_port, "DELETING")


def _undo_delete(run: Run, server: Departing) -> None:
    run.use(ClusterLink).set_server(server.ip, server.rpc_port, "ACTIVE")


def _take_row(run: Run, server: Departing) -> None:
    """A standby holds nothing that others would need: its row goes at once."""
    run.use(ClusterLink).remove_server(server.ip, server.rpc_port)
    run.log(f"observer '{server.endpoint}' is already not in cluster.")
    run.log(f"observer '{server.endpoint}' has been deleted successfully")


def _give_row_back(run: Run, server: Departing) -> None:
    if not server.listed:
        return
    row = ServerRow(
        ip=server.ip,
        rpc_port=server.rpc_port,
        sql_port=server.sql_port,
        zone=server.zone,
        agent=server.address,
        status="DELETING",
        build_version=server.build_version,
    )
    run.use(ClusterLink).put_server(row)


def _cancel_delete(run: Run, server: Departing) -> None:
    run.log(f"cancel delete observer {server.endpoint} start")
    _undo_delete(run, server)


# The agent


def tell_identity(run: Run, server: Departing, identity: Identity, *, must_hear: bool) -> bool:
    """Note it in the agent's row, and tell the agent. Whether it heard; `StepFailed` when it must and does not.

    The log has a line for the way out only, as the original's. It comes first: an agent that maintains the cluster stops to when it
    hears that it goes, and this step goes on elsewhere."""
    if not server.member:
        return False
    link = run.use(ClusterLink)
    link.put_member(member_from_row(server.member).become(identity))
    if identity is Identity.SCALING_IN:
        run.log("change agent identity to 'SCALING IN' success")
    heard = [""]

    def told() -> bool:
        try:
            run.use(Peers).call(server.address, "agent.become", Become(int(identity)), Nothing, timeout=_ASK_SECONDS)
        except (Unreachable, TryAgain) as error:
            heard[0] = error.message
            return False
        return True

    try:
        return run.wait_until(told, why=lambda: f"word from {server.agent}: {heard[0]}", timeout=_REACH_SECONDS)
    except StepFailed:
        if must_hear:
            hint = "RETRY when it answers again"
            raise StepFailed("agent.unreachable", f"{server.agent} could not be told: {heard[0]}", hint=hint) from None
        run.warn(f"{server.agent} does not answer: {heard[0]}")
        return False


def forget_members(run: Run, servers: list[Departing]) -> None:
    """Off the list of members, and off the list of those who may connect to the databases."""
    link, local = run.use(ClusterLink), run.use(LocalAgent)
    for server in servers:
        if server.member:
            local.note_port(server.address, int(server.member["rpc_port"]))
        link.remove_member(server.address)
    run.log("delete agents success")
    with suppress(OboeError):
        link.let_in(sorted({member.address.ip for member in link.members()}))
    link.announce_members()


def kill(run: Run, server: Departing, *, leave: bool) -> None:
    """Have the agent end its database and, with ``leave``, go. One that does not answer is left behind, and the log says so."""
    if not server.member:
        return
    run.use(LocalAgent).note_port(server.address, int(server.member["rpc_port"]))
    said = _status(run, server)
    if said is None:
        run.warn(f"{server.agent} does not answer; when it does again, ask it to scale in itself, so that its home is clean")
        return
    if said.get("agent", {}).get("identity") == "SINGLE":
        run.log(f"agent {server.agent} is SINGLE already")
        return
    run.log(f"agent {server.agent} ob state: {said.get('obState', 0)}")
    _lead(run, server, "Kill observer", KillObserverParams(str(run.here), leave))


def revive(run: Run, server: Departing) -> None:
    """Have the agent start its database again."""
    if server.member:
        _lead(run, server, "Start observer for scale in rollback", RestartParams(str(run.here)))


def _lead(run: Run, server: Departing, playbook: str, params: Any) -> None:
    child = lead(run, server.address, playbook, params, name=playbook)
    end_of(run, child, playbook, timeout=_KILL_SECONDS)


def _status(run: Run, server: Departing) -> dict[str, Any] | None:
    """What it tells anybody; None: it does not answer, or not as a member."""
    why = [""]

    def asked() -> dict[str, Any] | None:
        try:
            said = ask_public(server.address, "/api/v1/status", timeout=_ASK_SECONDS)
        except (Unreachable, Refused) as error:
            why[0] = error.message
            return None
        return said if isinstance(said, dict) and said else None

    try:
        return run.wait_until(asked, why=lambda: f"word from {server.agent}: {why[0]}", timeout=_REACH_SECONDS)
    except StepFailed:
        return None
