"""What authentication knows of this agent: its RSA key, the passwords it answers for, and the database's word on a password."""

from __future__ import annotations

import logging
import threading
import time

from oboe.database.port import Driver
from oboe.domain.errors import OboeError
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.membership.local import LocalAgent
from oboe.membership.primary import STORE_USER

__all__ = ["ROOT_CHECK_SECONDS", "AgentKeys"]

ROOT_CHECK_SECONDS = 5.0
"""How long the database's word on the root password counts, while requests come."""

_log = logging.getLogger(__name__)


class AgentKeys:
    """Implements `oboe.control.port.Keys`."""

    def __init__(self, local: LocalAgent, driver: Driver, private_key: Secret) -> None:
        self._local = local
        self._driver = driver
        self._private_key = private_key
        self._looked_at = 0.0
        self._looking = threading.Lock()
        self._refused: Secret | None = None

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

    def root_password_holds(self) -> bool:
        known = self._local.secret("root_password")
        if known is not None and time.monotonic() - self._looked_at >= ROOT_CHECK_SECONDS and not self._looking.locked():
            self._looked_at = time.monotonic()
            threading.Thread(target=self._look, args=[known], name="root-password", daemon=True).start()
        refused = self._refused
        return known is None or refused is None or known.reveal() != refused.reveal()

    def _look(self, known: Secret) -> None:
        """Refused means that the database answers, and lets oboe's own user in."""
        instance, store_password = self._local.instance(), self._local.secret("store_password")
        if instance is None or store_password is None or self._local.identity() is not Identity.CLUSTER_AGENT:
            return
        with self._looking:
            accepted = self._driver.accepts(instance, "root", known)
            refused = not accepted and self._driver.accepts(instance, STORE_USER, store_password)
            if refused and self._refused is None:
                _log.warning("the database no longer lets root in with what this agent knows: changed in SQL; who uses the new tells it")
            self._refused = known if refused else None

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
            self._refused = None
            self._local.remember(root_password=password)
        return accepted
