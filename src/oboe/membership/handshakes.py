"""Who answers handshakes on this agent's public port: as a MASTER lets followers in, as a SINGLE agent is taken into a cluster."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable

from oboe.domain.errors import Refused
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.membership.local import LocalAgent
from oboe.membership.member import member_from_row, member_row
from oboe.remote.authority import Authority, check_certificate, make_request
from oboe.remote.handshake import Acceptance, Dismissal, JoinAnswer, JoinRequest, LeaveRequest, MayJoinRequest, Offer, OfferRequest

__all__ = ["Handshakes"]


class Handshakes:
    """Implements `oboe.remote.handshake.HandshakeHandlers`. ``busy`` says whether a dag holds this agent."""

    def __init__(self, local: LocalAgent, private_key: Secret, busy: Callable[[], bool]) -> None:
        self._local = local
        self._private_key = private_key
        self._busy = busy
        self._offering = threading.Lock()

    def private_key(self) -> Secret:
        return self._private_key

    def authenticate(self, password: Secret) -> None:
        known = self._local.secret("agent_password")
        if known is not None and not hmac.compare_digest(known.reveal().encode(), password.reveal().encode()):
            raise Refused("auth.agent_password", "the agent password is wrong")

    def cluster_key(self) -> Secret | None:
        return self._local.secret("cluster_key")

    def dismissal_token(self) -> Secret | None:
        return self._local.secret("dismissal_token")

    # As a MASTER

    def may_join(self, request: MayJoinRequest) -> None:
        self._require(Identity.MASTER)

    def join(self, request: JoinRequest) -> JoinAnswer:
        local = self._local
        self._require(Identity.MASTER)
        if self._busy():
            raise Refused("maintenance.held", f"{local.address} is under maintenance")
        if request.member.get("version") != local.version:
            raise Refused("agent.version_differs", f"{request.address} runs oboe {request.member.get('version')}, not {local.version}")
        authority = Authority.load(local.text("authority_certificate"), self._secret("authority_key"))
        certificate = authority.sign(request.csr, address=request.address)
        joiner = member_from_row(request.member | {"identity": int(Identity.FOLLOWER), "zone": request.zone})
        local.put_member(local.give_number(joiner))
        members = sorted(local.members(), key=lambda member: member.identity is not Identity.MASTER)
        return JoinAnswer(
            authority_certificate=authority.certificate_pem,
            certificate=certificate,
            cluster_key=self._secret("cluster_key").reveal(),
            members=[member_row(member) for member in members],
            master=str(local.address),
        )

    def leave(self, request: LeaveRequest) -> None:
        if self._local.identity() is Identity.MASTER:
            self._local.remove_member(request.agent)

    # As a SINGLE agent

    def offer(self, request: OfferRequest) -> Offer:
        self._require_free()
        with self._offering:  # one key until it is accepted: clients send a request twice, and the first of them may be under way
            csr, key = make_request(self._local.address, self._local.secret("offered_key"))
            self._local.remember(offered_key=key)
        return Offer(member_row(self._local.as_member()), csr)

    def accept(self, request: Acceptance) -> None:
        self._require_free()
        key = self._secret("offered_key")
        check_certificate(request.certificate, key, request.authority_certificate, address=self._local.address)
        self._local.replace_members([member_from_row(row) for row in request.members])
        self._local.remember(
            authority_certificate=request.authority_certificate,
            certificate=request.certificate,
            certificate_key=key,
            cluster_key=request.cluster_key,
            dismissal_token=request.token,
            answers_to=str(request.leader),
        )
        self._local.forget("offered_key")

    def dismiss(self, request: Dismissal) -> None:
        if self._busy():
            raise Refused("maintenance.held", f"{self._local.address} is under maintenance")
        self._require(Identity.SINGLE)
        self._local.leave()

    def _require_free(self) -> None:
        self._require(Identity.SINGLE)
        if self._busy():
            raise Refused("maintenance.held", f"{self._local.address} is under maintenance", hint="wait for its task, or operate it")

    def _require(self, identity: Identity) -> None:
        found = self._local.identity()
        if found is not identity:
            words = f"'{self._local.address}' is '{found.name.replace('_', ' ')}', instead of '{identity.name}'"
            raise Refused("agent.wrong_identity", f"{words}, does not support this operation")

    def _secret(self, name: str) -> Secret:
        value = self._local.secret(name)
        if value is None:
            raise Refused("secret.missing", f"this agent has no {name.replace('_', ' ')}")
        return value
