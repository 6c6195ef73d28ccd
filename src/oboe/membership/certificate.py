"""The certificate that this agent shows: of the cluster's authority, and before there is one, of an authority of its own.

The own one lets a port speak TLS from the agent's first hour on. Its authority's key signs once and is forgotten; certificate and key are
kept as the cluster's are, the key sealed.
"""

from __future__ import annotations

from oboe.membership.local import LocalAgent
from oboe.remote.authority import Authority, make_request
from oboe.remote.tls import Credentials

__all__ = ["own_credentials", "shown_credentials"]


def shown_credentials(local: LocalAgent) -> Credentials | None:
    """Of the cluster that the agent belongs to; None: of none yet."""
    return _kept(local, "")


def own_credentials(local: LocalAgent) -> Credentials:
    """Of the agent's own authority, made when they are first asked for, and again for another address."""
    kept = _kept(local, "own_")
    if kept is not None and local.text("own_certificate_address") == str(local.address):
        return kept
    request, key = make_request(local.address)
    authority = Authority.make(f"agent {local.address}")
    made = Credentials(authority.certificate_pem, authority.sign(request, address=local.address), key)
    local.remember(
        own_authority_certificate=made.authority_certificate,
        own_certificate=made.certificate,
        own_certificate_key=made.certificate_key,
        own_certificate_address=str(local.address),
    )
    return made


def _kept(local: LocalAgent, prefix: str) -> Credentials | None:
    key, certificate = local.secret(f"{prefix}certificate_key"), local.text(f"{prefix}certificate")
    if key is None or not certificate:
        return None
    return Credentials(local.text(f"{prefix}authority_certificate"), certificate, key)
