"""Taking an agent into a running cluster before it has a certificate, and letting it go: the side of the cluster."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from oboe.domain.errors import Refused, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.membership.local import LocalAgent
from oboe.membership.member import member_row
from oboe.remote.authority import Authority
from oboe.remote.handshake import Acceptance, Enlister, OfferRequest, ask_public

__all__ = ["Enlisting", "PublicInfo"]

_INFO_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PublicInfo:
    """What any agent says of itself to anybody (``/api/v1/info``); words as on the wire."""

    identity: str
    version: str
    """oboe's own release; empty for an agent of another make."""
    database_version: str


class Enlisting:
    """Calls to agents that are no members (yet), over their public port."""

    def __init__(self, local: LocalAgent, enlister: Enlister) -> None:
        self._local = local
        self._enlister = enlister

    def info(self, agent: Address) -> PublicInfo:
        """`Unreachable` when nobody answers there."""
        said = ask_public(agent, "/api/v1/info", timeout=_INFO_SECONDS)
        if not isinstance(said, dict) or not isinstance(said.get("identity"), str):
            raise Unreachable("agent.unreachable", f"what answers at {agent} is no agent")
        _, _, release = str(said.get("version", "")).partition("-")
        return PublicInfo(said["identity"], release, str(said.get("obVersion", "")))

    def under_maintenance(self, agent: Address) -> bool:
        """As far as it says so: one that does not answer is not."""
        try:
            said = ask_public(agent, "/api/v1/status", timeout=_INFO_SECONDS)
        except Unreachable:
            return False
        return isinstance(said, dict) and said.get("underMaintenance") is True

    def offer(self, agent: Address, password: Secret) -> dict[str, Any]:
        """The target's member row, if it would join; `Refused` when it would not, or the password is wrong."""
        return self._enlister.offer(agent, OfferRequest(self._local.address, self._local.version), password).member

    def accept(self, agent: Address, password: Secret) -> dict[str, Any]:
        """Give it its certificate, the cluster's key and the members; its member row. Again is harmless."""
        local = self._local
        offer = self._enlister.offer(agent, OfferRequest(local.address, local.version), password)
        authority = Authority.load(local.text("authority_certificate"), self._secret("authority_key"))
        acceptance = Acceptance(
            authority_certificate=authority.certificate_pem,
            certificate=authority.sign(offer.csr, address=agent),
            cluster_key=self._secret("cluster_key"),
            members=[member_row(member) for member in local.members()],
            leader=local.address,
            token=self._token(agent),
        )
        self._enlister.accept(agent, acceptance, password)
        local.take_in(agent, int(offer.member["rpc_port"]))
        return offer.member

    def dismiss(self, agent: Address) -> None:
        """Have it forget the cluster. One that forgot already, or never was accepted, is fine."""
        try:
            self._enlister.dismiss(agent, self._local.address, self._token(agent))
        except Refused:
            if self.info(agent).identity != "SINGLE":
                raise
        self._local.took_in(agent)

    def _token(self, agent: Address) -> Secret:
        """The same from every member: whoever maintains the cluster may dismiss whom another accepted."""
        key = bytes.fromhex(self._secret("cluster_key").reveal())
        return Secret(hmac.new(key, f"dismiss {agent}".encode(), hashlib.sha256).hexdigest())

    def _secret(self, name: str) -> Secret:
        value = self._local.secret(name)
        if value is None:
            raise Refused("secret.missing", f"this agent has no {name.replace('_', ' ')}")
        return value
