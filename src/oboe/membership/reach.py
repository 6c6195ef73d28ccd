"""The way to the hosts of the inventory: logs in, looks around, says what is wrong. Steps and use cases share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from oboe.config import Settings
from oboe.hosts.checks import Problem, Wanted, problems
from oboe.hosts.far import Far
from oboe.hosts.packages import Package
from oboe.hosts.ssh import Ssh
from oboe.membership.inventory import Host

__all__ = ["Reach"]

_LOOK_SECONDS = 30.0


class Reach:
    """Opens hosts. Every call opens a connection of its own, so nothing is shared between threads."""

    def __init__(self, settings: Settings, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._wanted = Wanted(free_bytes=settings.host_free_bytes_min, skew_seconds=settings.host_clock_skew_seconds_max)
        self._clock = clock

    @contextmanager
    def far(self, host: Host, *, check: Callable[[], None] = lambda: None) -> Iterator[Far]:
        """The far side of a host; ``check`` raises when the caller is to stop. Errors as `Ssh`."""
        with Ssh(host.target, check=check) as ssh:
            yield Far(ssh, host.python)

    def look(self, far: Far, host: Host, package: Package | None = None) -> tuple[dict[str, Any], list[Problem]]:
        """What is there, and what is wrong with it for an agent, of that package if there is one."""
        agent, wanted = host.agent_address, self._wanted
        if package is not None:
            wanted = replace(wanted, machine=package.machine, python=package.python)
        ports = [agent.port, host.rpc_port or (agent.port + 1000 if agent.port + 1000 < 65536 else agent.port - 1000)]
        asked_at = self._clock()
        seen = far.ask("look", timeout=_LOOK_SECONDS, prefix=host.prefix, home=host.home, ip=agent.ip, port=agent.port, ports=ports)
        return seen, problems(seen, wanted, asked_at=asked_at, answered_at=self._clock())
