"""TLS: the contexts of both sides between agents, that of the public port, and the address that a peer's certificate proves.

Between agents TLS 1.3 only, and only certificates of the cluster's authority: no other root is ever loaded.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.kit.secret import Secret

__all__ = ["Credentials", "certified_address", "client_context", "public_context", "server_context"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What makes an agent one of the cluster; PEM texts."""

    authority_certificate: str
    certificate: str
    certificate_key: Secret


def server_context(credentials: Credentials) -> ssl.SSLContext:
    """Asks every caller for a certificate of the authority. `Refused` ``authority.unreadable``."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, credentials)
    # Session tickets would arrive on idle connections of the pool, where whatever is readable means that the server is gone.
    context.num_tickets = 0
    return context


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Shows the own certificate; checks the server's against the authority and the ip that was dialled."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, credentials)
    context.check_hostname = True
    return context


def public_context(credentials: Credentials) -> ssl.SSLContext:
    """Of the public port: TLS 1.2 for the sake of older clients, which show no certificate. `Refused` ``authority.unreadable``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, credentials)
    return context


def certified_address(certificate: Mapping[str, Any] | None) -> Address | None:
    """The address in a verified certificate, as `ssl.SSLSocket.getpeercert` gives it; None when it names no agent."""
    names = [value for part in (certificate or {}).get("subject", ()) for key, value in part if key == "commonName"]
    if len(names) != 1:
        return None
    try:
        address = Address.parse(names[0])
    except ValueError:
        return None
    return address if str(address) == names[0] else None


def _context(protocol: int, credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, credentials)
    return context


def _load(context: ssl.SSLContext, credentials: Credentials) -> None:
    try:
        context.load_verify_locations(cadata=credentials.authority_certificate)
        with _file(credentials.certificate + credentials.certificate_key.reveal()) as path:
            context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as error:
        raise Refused("authority.unreadable", f"certificate and key cannot be used: {error}") from error


@contextmanager
def _file(text: str) -> Iterator[str]:
    """The ssl module takes a key from a file only: one in memory where the system has that, else one of mode 0600, gone at once."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("certificate")
        try:
            with os.fdopen(os.dup(descriptor), "w") as file:
                file.write(text)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            yield file.name
