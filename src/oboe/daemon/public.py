"""The public port of an agent: its API over TCP, plain or TLS, and over the unix socket in its home."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from oboe.api.serve import PortTls, Serving, serve
from oboe.api.shared.bounds import Bounds
from oboe.config import Settings
from oboe.domain.values import Identity
from oboe.hosts.files import write_whole
from oboe.membership.certificate import own_credentials, shown_credentials
from oboe.membership.local import LocalAgent
from oboe.remote.tls import Credentials, public_context

if TYPE_CHECKING:
    from oboe.api.app import Api

__all__ = ["PublicPort", "bounds_of"]


def bounds_of(settings: Settings) -> Bounds:
    return Bounds(**{each.name: getattr(settings, f"http_{each.name}") for each in fields(Bounds)})


class PublicPort:
    """``start`` once, ``stop`` once; `follow` whenever the agent's certificates may have changed."""

    def __init__(self, api: Api, local: LocalAgent, settings: Settings) -> None:
        self._api = api
        self._local = local
        self._settings = settings
        self._tls = PortTls() if settings.tls != "off" else None
        self._shown: Credentials | None = None
        self._serving: Serving | None = None

    @property
    def socket(self) -> Path:
        return self._local.home / "run" / "oboe.sock"

    @property
    def authority_file(self) -> Path:
        """By which clients know this agent's certificate."""
        return self._local.home / "run" / "ca.pem"

    def start(self) -> None:
        """`Refused` ``agent.port_taken``."""
        self.follow()
        here = self._local.address
        self._serving = serve(self._api, here.ip, here.port, tls=self._tls, local=self.socket, bounds=bounds_of(self._settings))

    def follow(self) -> None:
        """Connections from now on see the certificate of the cluster, of a SINGLE agent its own."""
        if self._tls is None:
            self.authority_file.unlink(missing_ok=True)
            return
        of_cluster = shown_credentials(self._local) if self._local.identity() is not Identity.SINGLE else None
        credentials = of_cluster or own_credentials(self._local)
        if credentials == self._shown:
            return
        self._tls.show(public_context(credentials))
        self._shown = credentials
        write_whole(self.authority_file, credentials.authority_certificate)

    def stop(self, timeout: float) -> None:
        if self._serving is not None:
            self._api.end_streams()
            self._serving.stop(timeout)
            self._api.stop()
            self.socket.unlink(missing_ok=True)
