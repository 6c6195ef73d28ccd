"""What authentication knows of this agent: its RSA key, the passwords it answers for, and the database's word on a password."""

from __future__ import annotations

from oboe.database.port import Driver
from oboe.domain.errors import OboeError
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.membership.local import LocalAgent

__all__ = ["AgentKeys"]


class AgentKeys:
    """Implements `oboe.control.port.Keys`."""

    def __init__(self, local: LocalAgent, driver: Driver, private_key: Secret) -> None:
        self._local = local
        self._driver = driver
        self._private_key = private_key

    def identity(self) -> Identity:
        return self._local.identity()

    def private_key_pem(self) -> Secret:
        return self._private_key

    def public_key(self) -> str:
        return self._local.public_key

    def root_password(self) -> Secret | None:
        return self._local.secret("root_password")

    def agent_password(self) -> Secret | None:
        return self._local.secret("agent_password")

    def try_root_password(self, password: Secret) -> bool:
        """Root's password may have been changed in SQL behind our back: the database knows."""
        instance = self._local.instance()
        if instance is None or self._local.identity() is not Identity.CLUSTER_AGENT:
            return False
        try:
            accepted = self._driver.accepts(instance, "root", password)
        except OboeError:
            return False
        if accepted:
            self._local.remember(root_password=password)
        return accepted
