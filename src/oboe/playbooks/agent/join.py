"""*Join self* and *Join to master*: how a SINGLE agent becomes the MASTER, or a FOLLOWER, of a cluster to be."""

from __future__ import annotations

import secrets

import msgspec

from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.membership.local import SHARED_FACTS, LocalAgent
from oboe.membership.member import member_from_row, member_row
from oboe.remote.authority import Authority, check_certificate, make_request
from oboe.remote.handshake import Joiner, JoinRequest

__all__ = ["JoinSelfParams", "JoinToMasterParams", "join_self", "join_to_master"]

_PENDING = ("pending", "pending_cluster_key", "pending_certificate_key")
"""What the MASTER gave, between the step that asked for it and the one that takes it."""


class JoinSelfParams(msgspec.Struct):
    zone: str


class JoinToMasterParams(msgspec.Struct):
    master: str
    """``ip:port``"""
    zone: str
    master_password: Secret


class BecomeMaster(Step):
    """Make the cluster's CA and key, sign the own certificate, take the identity. Again is harmless: new keys, nobody has the old."""

    resumable = True
    cancellable = False
    timeout = 60

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        params = run.params(JoinSelfParams)
        authority = Authority.make(f"oboe {local.address}")
        request, key = make_request(local.address)
        local.become(
            Identity.MASTER,
            zone=params.zone,
            cluster_key=Secret(secrets.token_hex(32)),
            authority_certificate=authority.certificate_pem,
            authority_key=authority.key_pem,
            certificate=authority.sign(request, address=local.address),
            certificate_key=key,
        )
        local.put_member(local.give_number(local.as_member()))
        run.log("set agent identity to master")

    def rollback(self, run: Run) -> None:
        run.use(LocalAgent).leave(keep=SHARED_FACTS)


@playbook(
    "Join self", home=HomeKind.AGENT, params=JoinSelfParams, maintenance=Maintenance(MaintenanceKind.GLOBAL), started_by="oboe cluster join"
)
def join_self(params: JoinSelfParams, sketch: Sketch) -> None:
    """A SINGLE agent becomes the MASTER of a cluster to be."""
    sketch.stage("Join self", BecomeMaster)


class AskMaster(Step):
    """Ask the master for membership: certificate, cluster key and the list of members."""

    resumable = True
    cancellable = False
    timeout = 120

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        params = run.params(JoinToMasterParams)
        master = Address.parse(params.master)
        run.log("creating token")
        request, key = make_request(local.address)
        run.log("token created")
        run.log("send join rpc to master")
        asked = JoinRequest(member_row(local.as_member()), request, params.zone)
        answer = run.use(Joiner).join(master, asked, params.master_password)
        check_certificate(answer.certificate, key, answer.authority_certificate, address=local.address)
        members = [member_from_row(row) for row in answer.members]
        local.remember(
            pending={
                "members": answer.members,
                "authority_certificate": answer.authority_certificate,
                "certificate": answer.certificate,
            },
            pending_cluster_key=Secret(answer.cluster_key),
            pending_certificate_key=key,
        )
        run.log(f"join to master success, master agent info: {members[0].address if members else master}")

    def rollback(self, run: Run) -> None:
        """The MASTER lets go of an agent that is SINGLE again: one that still were its FOLLOWER would pass requests on to it in vain."""
        local = run.use(LocalAgent)
        if local.value("pending"):
            run.use(Joiner).leave(Address.parse(run.params(JoinToMasterParams).master), local.address, local.secret("pending_cluster_key"))
            local.remember(answers_to="")
            local.forget("authority_certificate", "certificate", "certificate_key", *_PENDING)


class BecomeFollower(Step):
    """Take what the master gave, at once."""

    resumable = True
    cancellable = False
    timeout = 60

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        pending = local.value("pending")
        if pending:
            local.replace_members([member_from_row(row) for row in pending["members"]])
            # First what it takes to speak to the MASTER: a FOLLOWER forwards requests from the moment that it is one.
            local.remember(
                authority_certificate=pending["authority_certificate"],
                certificate=pending["certificate"],
                cluster_key=local.secret("pending_cluster_key"),
                certificate_key=local.secret("pending_certificate_key"),
            )
            local.become(Identity.FOLLOWER, zone=run.params(JoinToMasterParams).zone)
            local.forget(*_PENDING)
        run.log("set agent identity to follower")

    def rollback(self, run: Run) -> None:
        """SINGLE, and again what the MASTER gave, so that this can be done once more; the MASTER is told by the step before."""
        local = run.use(LocalAgent)
        if local.identity() is Identity.FOLLOWER:
            local.remember(
                pending={
                    "members": [member_row(member) for member in local.members()],
                    "authority_certificate": local.text("authority_certificate"),
                    "certificate": local.text("certificate"),
                },
                pending_cluster_key=local.secret("cluster_key"),
                pending_certificate_key=local.secret("certificate_key"),
            )
        local.leave(answer_to=Address.parse(run.params(JoinToMasterParams).master), keep=SHARED_FACTS)


@playbook(
    "Join to master",
    home=HomeKind.AGENT,
    params=JoinToMasterParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster join",
)
def join_to_master(params: JoinToMasterParams, sketch: Sketch) -> None:
    """A SINGLE agent becomes a FOLLOWER of a MASTER."""
    sketch.stage("Join to master", AskMaster)
    sketch.stage("Be follower", BecomeFollower)
