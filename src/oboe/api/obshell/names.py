"""OBShell's words for what the domain knows by other names; they live here and nowhere else.

``obshell-wire.md`` §3.1, §5.1, §1.7. Operators of nodes and dags that the original stores are derived in `codec`.
"""

from __future__ import annotations

from typing import Final

from oboe.domain.values import Identity, MaintenanceKind, Operator, State

__all__ = [
    "CANCEL",
    "DAG_OPERATORS",
    "IDENTITIES",
    "MAINTENANCE_KINDS",
    "NODE_OPERATORS",
    "OPERATORS",
    "PASS",
    "RETRY",
    "ROLLBACK",
    "RUN",
    "RUNNING_SERVICE",
    "STATES",
    "SUPPORTED_AUTH",
    "agent_version",
]

RUN: Final = "RUN"
RETRY: Final = "RETRY"
ROLLBACK: Final = "ROLLBACK"
CANCEL: Final = "CANCEL"
PASS: Final = "PASS"

DAG_OPERATORS = (ROLLBACK, RETRY, CANCEL, PASS)
"""What may be asked of a dag."""
NODE_OPERATORS = (PASS,)
"""What may be asked of a node."""

STATES = {
    State.PENDING: "PENDING",
    State.READY: "READY",
    State.RUNNING: "RUNNING",
    State.FAILED: "FAILED",
    State.SUCCEEDED: "SUCCEED",
}

OPERATORS = {
    Operator.RUN: RUN,
    Operator.ROLLBACK: ROLLBACK,
    Operator.PASS: PASS,
    Operator.SKIP: PASS,
}

MAINTENANCE_KINDS = {
    MaintenanceKind.NONE: 1,
    MaintenanceKind.GLOBAL: 2,
    MaintenanceKind.TENANT: 3,
    MaintenanceKind.OBPROXY: 4,
    MaintenanceKind.HOST: 5,
}

IDENTITIES = {
    Identity.SINGLE: "SINGLE",
    Identity.MASTER: "MASTER",
    Identity.FOLLOWER: "FOLLOWER",
    Identity.CLUSTER_AGENT: "CLUSTER AGENT",
    Identity.SCALING_OUT: "SCALING OUT",
    Identity.SCALING_IN: "SCALING IN",
    Identity.UNIDENTIFIED: "UNIDENTIFIED",
}

RUNNING_SERVICE = 2
"""Service state of an agent that answers."""

SUPPORTED_AUTH = ("v2",)

_SPOKEN_RELEASE = "4.5.0.0"
"""The release of OBShell whose interface this is. Clients below 4.2.4.1 change how they send passwords (§6.2)."""


def agent_version(version: str) -> str:
    """``<version>-<release>``: the interface's release, then oboe's own."""
    return f"{_SPOKEN_RELEASE}-{version}"
