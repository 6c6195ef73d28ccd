"""What homes and agents say to each other about attempts. Frozen, JSON-able, fenced by ``(epoch, attempt)``.

An `Order` is applied at most once for its fence; a `Report` applied twice equals once. Both carry
``(dag_key, sub_task, epoch, attempt, operator)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from oboe.domain.events import Fact
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind, Operator, Stopping

__all__ = ["Fence", "Interrupt", "Level", "LogLine", "Order", "Phase", "RecallAgent", "Recollection", "Report", "Verdict"]

_CLUSTER = Home(HomeKind.CLUSTER)


@dataclass(frozen=True, slots=True, order=True)
class Fence:
    """Names one attempt of one sub-task."""

    dag_key: str
    sub_task: int
    epoch: int
    attempt: int


class Level(IntEnum):
    INFO = 1
    WARN = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an attempt's log; ``seq`` counts from 0 within the attempt, so a line sent twice is kept once."""

    seq: int
    at: int
    level: Level
    text: str
    code: str = ""
    """Error code, for ERROR lines that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Carry out one attempt. Holds all that the agent needs to know."""

    fence: Fence
    operator: Operator
    """RUN or ROLLBACK."""
    home: Home
    maintainer: Address
    """Where reports go."""
    dag_id: int
    dag_name: str
    node: int
    """Node index."""
    name: str
    """Node name."""
    step: str
    agent: Address
    """Whom the sub-task names; equals the executor but for ``at_home`` nodes."""
    resumable: bool
    timeout: int
    """Nanoseconds from Started."""
    deadline: int = 0
    """When it times out instead, once a person gave it more time; 0: nobody did."""
    params: Mapping[str, Any]
    args: Mapping[str, Any]
    results: Mapping[str, Any]
    """Node name → result, or list of results for a node with several sub-tasks; nodes upstream that have any."""
    own_result: Any = None
    """For ROLLBACK: what this sub-task's last RUN returned."""
    signals: Mapping[str, Any] = field(default_factory=dict)
    patience: int = 0
    """How long its home waits for it to begin, nanoseconds; 0: an older release does not say. Whoever begins it later asks first."""
    home_epoch: int = 0
    """In which epoch its home sends it; 0: an older release did. Who has named its facts in a later one refuses it."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Stop that attempt; answered by its ``Ended``."""

    fence: Fence
    cause: Stopping
    maintainer: Address
    operator: Operator = Operator.RUN
    home: Home = _CLUSTER
    """Whose home the answer goes to."""


class Phase(IntEnum):
    STARTED = 1
    SHOWN = 2
    """Still running: new log lines or new ``additional``."""
    ENDED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an agent knows of one attempt. Lines are those not yet acknowledged."""

    fence: Fence
    operator: Operator
    agent: Address
    phase: Phase
    at: int
    ok: bool = True
    result: Any = None
    additional: Any = None
    leftover: str = ""
    """Of an undo that failed: what stays behind, because nobody can undo it now."""
    lines: tuple[LogLine, ...] = ()


class Verdict(IntEnum):
    """A home's answer to a report."""

    HEARD = 1
    STOP = 2
    """An earlier attempt, or an unknown dag: end it, forget it."""
    NOT_MINE = 3
    """This agent does not serve that home now; ask who does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallAgent:
    """The cluster's store may have gone back: name all that you know, in this epoch; orders of earlier ones are void from then on."""

    epoch: int
    maintainer: Address
    """Who asks, and hears your reports from now on."""
    orphans: tuple[str, ...] = ()
    """Keys of dags that the store does not know any more: end what goes on for them, keep what they did."""


@dataclass(frozen=True, slots=True)
class Recollection:
    """All that an agent knows of the cluster's dags: for each sub-task its highest attempt."""

    dags: Mapping[str, tuple[Fact, ...]]
    """By ``dag_key``."""
