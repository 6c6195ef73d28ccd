"""The small words of the domain: addresses, states, operators, kinds of home and of maintenance.

Every time in the domain is an ``int`` of nanoseconds since the Unix epoch, UTC. Wire words live in ``api/*/names.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address

__all__ = [
    "FAILED",
    "PASS",
    "PENDING",
    "READY",
    "ROLLBACK",
    "RUN",
    "RUNNING",
    "SECOND",
    "SKIP",
    "SUCCEEDED",
    "Address",
    "Asked",
    "HomeKind",
    "Identity",
    "MaintenanceKind",
    "Mark",
    "Operator",
    "State",
    "Stopping",
]

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where an agent listens: an IP literal and its public port. It names the agent everywhere."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``ip:port`` or ``[v6]:port``; ``ValueError`` names what is wrong."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError(f"{text!r} is not ip:port")
        return cls(str(ip_address(host.strip("[]"))), int(port))


class State(IntEnum):
    """State of a sub-task; nodes and dags fold to the same words. Numbers are stored."""

    PENDING = 1
    READY = 2
    RUNNING = 3
    FAILED = 4
    SUCCEEDED = 5


class Operator(IntEnum):
    """What was last asked of a sub-task (all four) or of a dag (RUN, ROLLBACK, PASS). Numbers are stored."""

    RUN = 1
    ROLLBACK = 2
    PASS = 3
    SKIP = 4


PENDING, READY, RUNNING, FAILED, SUCCEEDED = State
RUN, ROLLBACK, PASS, SKIP = Operator
"""The members by their own names, for what is asked a hundred times in a step: until Python 3.12, ``State.READY`` searches two classes."""


class Asked(IntEnum):
    """What was last asked of a whole dag; RUN: nothing but to do it. Numbers are stored."""

    RUN = 1
    RETRY = 2
    ROLLBACK = 3
    PASS = 4
    CANCEL = 5


class Stopping(IntEnum):
    """Whether, and why, a live sub-task was told to stop. The cause outlives the end of the attempt."""

    NO = 0
    ASKED = 1
    TIMEOUT = 2


class Mark(IntEnum):
    """The retry mark of a sub-task: none, due (undo, then do), had."""

    NO = 0
    DUE = 1
    HAD = 2


class HomeKind(IntEnum):
    """Where a dag is kept: in the managed cluster, or in one agent's SQLite file."""

    CLUSTER = 1
    AGENT = 2


class MaintenanceKind(IntEnum):
    """What a dag locks while it is not settled. Numbers as on OBShell's wire (`obshell-wire.md` §2.1.1)."""

    NONE = 1
    GLOBAL = 2
    TENANT = 3
    OBPROXY = 4
    HOST = 5
    """oboe's own: a machine of the inventory, by its agent."""


class Identity(IntEnum):
    """What an agent is, as a member of a cluster or none. Numbers are stored."""

    SINGLE = 1
    MASTER = 2
    FOLLOWER = 3
    CLUSTER_AGENT = 4
    SCALING_OUT = 5
    SCALING_IN = 6
    UNIDENTIFIED = 7
