"""An agent's life: lock the home, open the store, listen (public port), serve the own home, listen for agents once there is a
certificate, try for the cluster's lease once the agent is a CLUSTER AGENT.

Nothing here waits for a database: an agent comes up without one, says what it waits for, and takes the cluster up when it can.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from oboe.config import Settings
from oboe.daemon.parts import Faces, Membership, Stores, Uses, Whereabouts, Wires, Work, limits_of
from oboe.daemon.public import PublicPort
from oboe.database.port import Driver
from oboe.domain.errors import OboeError, Refused
from oboe.domain.values import Address, Identity
from oboe.engine.limits import Limits
from oboe.hosts.files import write_whole
from oboe.membership.certificate import shown_credentials

__all__ = ["Agent"]

_log = logging.getLogger(__name__)


class Agent:
    """One agent, from its parts. ``start`` once, ``stop`` once; several may live in one process."""

    def __init__(
        self,
        *,
        home: Path,
        address: Address,
        rpc_port: int,
        driver: Driver,
        settings: Settings,
        playbook_directories: tuple[Path, ...] = (),
        limits: Limits | None = None,
    ) -> None:
        self.home, self.address = home, address
        self._lock_file = _lock(home)
        stores = Stores(home)
        membership = Membership(stores, Whereabouts(home, address, rpc_port), driver, settings, self._announce)
        wires = Wires(membership)
        directories = dict.fromkeys((*playbook_directories, *(home / path for path in settings.playbooks.split(":") if path)))
        work = Work(stores, membership, wires, tuple(directories), limits or limits_of(settings))
        uses = Uses(stores, membership, wires, work)
        self.faces = faces = Faces(stores, membership, wires, uses, settings)
        self.port = PublicPort(faces.api, membership.local, settings)
        self._database = stores.database
        self.local, self.link = membership.local, membership.link
        self.peers, self._rpc = wires.peers, wires.rpc
        self.registry, self.engine = work.registry, work.engine
        self.keys, self.control, self.starter, self._cluster = uses.keys, uses.control, uses.starter, uses.cluster
        self.local.on_change(self._follow_identity)

    # Life

    def keep_address(self) -> None:
        """The address is the agent's name for ever once others know it. `Refused` ``agent.address_changed`` ``agent.address_damaged``."""
        path = self.home / "address.json"
        now = {"ip": self.address.ip, "port": self.address.port, "rpc_port": self.local.rpc_port}
        kept = _kept_address(path) or now
        if kept != now and self.local.identity() is not Identity.SINGLE:
            was = f"{kept['ip']}:{kept['port']} (agents: {kept['rpc_port']})"
            hint = "start it with that address; an agent that is SINGLE may change it"
            raise Refused("agent.address_changed", f"this agent is known to its cluster as {was}", hint=hint)
        write_whole(path, json.dumps(now))

    def start(self) -> None:
        """Listen and serve. `Refused` ``agent.port_taken``, ``rpc.port_taken``."""
        self.port.start()
        try:
            self._rpc.start(shown_credentials(self.local))
        except OboeError:
            self.port.stop(2.0)
            raise
        self.peers.reload(shown_credentials(self.local))
        self.engine.start()
        self._cluster.follow()
        write_whole(
            self.home / "run" / "agent.json",
            json.dumps({"pid": os.getpid(), "started": time.time_ns(), "ip": self.address.ip, "port": self.address.port}),
        )
        _log.info("agent %s is up: %s", self.address, self.local.identity().name)

    def stop(self, timeout: float = 15.0) -> None:
        """Answer nobody, let what runs end or leave it for the next life, close the store."""
        deadline = time.monotonic() + timeout
        self.port.stop(3.0)
        self._cluster.stop()
        self.engine.stop(max(1.0, deadline - time.monotonic() - 3.0))
        self._rpc.stop(2.0)
        self.peers.close()
        self.link.close()
        self._database.close()
        (self.home / "run" / "agent.json").unlink(missing_ok=True)
        os.close(self._lock_file)
        _log.info("agent %s is down", self.address)

    # What follows a change of identity

    def _follow_identity(self) -> None:
        credentials = shown_credentials(self.local)
        self.peers.reload(credentials)
        self._rpc.reload(credentials)
        self.port.follow()
        self._cluster.follow()

    def _announce(self) -> None:
        self._cluster.announce_members()


def _kept_address(path: Path) -> dict[str, Any] | None:
    """As it was written down when the agent last started; None: it never did."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {"ip": str(kept["ip"]), "port": int(kept["port"]), "rpc_port": int(kept["rpc_port"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "remove it if the agent is in no cluster; else restore it, or write down the address that the cluster knows"
        raise Refused("agent.address_damaged", f"{path}: {type(error).__name__}: {error}", hint=hint) from error


def _lock(home: Path) -> int:
    """One agent for each home: a lock that ends with the process."""
    run_directory = home / "run"
    run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    descriptor = os.open(run_directory / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Refused("agent.already_runs", f"an agent runs in {home} already", hint="oboe agent status") from error
    return descriptor
