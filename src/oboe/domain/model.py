"""The model of a dag: its static plan, the state of its sub-tasks, and what follows from them.

A `Plan` never changes after creation. A `SubTask` is one row of state. A `Dag` is one frozen value: plan, sub-tasks, and the few
facts that belong to the whole. States of nodes and of the dag are folds (`node_state`, `dag_state`), never stored as truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oboe.domain.values import (
    FAILED,
    PASS,
    READY,
    ROLLBACK,
    RUN,
    RUNNING,
    SECOND,
    SKIP,
    SUCCEEDED,
    Address,
    HomeKind,
    MaintenanceKind,
    Mark,
    Operator,
    State,
    Stopping,
)

__all__ = ["Approval", "Dag", "Flags", "Home", "Leader", "Maintenance", "NodePlan", "Pause", "Plan", "SubTask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What may be done to the sub-tasks of a node. On OBShell's wire: cancel, continue, pass, retry, rollback."""

    cancellable: bool = True
    resumable: bool = False
    skippable: bool = False
    retryable: bool = True
    rollable: bool = False
    release_on_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """One node: a step, carried out once for each entry of ``agents`` (None: wherever the home is served)."""

    name: str
    step: str
    """Registered name of the step class, ``module:Class``."""
    upstream: tuple[int, ...] = ()
    agents: tuple[Address | None, ...] = (None,)
    parallel: bool = False
    at_home: bool = False
    """Sub-tasks name ``agents`` but run in the home agent's process (OBShell's local dags do so)."""
    flags: Flags = Flags()
    timeout: int = 3600 * SECOND
    """Longest RUNNING, nanoseconds; then it is stopped with cause TIMEOUT."""
    patience: int = 60 * SECOND
    """Longest READY (nobody begins it), nanoseconds; then it is stopped with cause TIMEOUT."""
    grace: int = 10 * SECOND
    """Longest *stopping* without its agent's confirmation, nanoseconds; then it is FAILED, unconfirmed."""
    retries: int = 0
    """Automatic retries after a failure."""
    backoff: int = SECOND
    """Pause before the first automatic retry, nanoseconds; doubled each time."""
    approval: bool = False
    """Held before it begins until a person approves."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able arguments of this node's step, beside the dag's params."""
    split: int = -1
    """Place in a serial split, from 0: nodes of one name that follow one another, one for each element; -1: it is none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole graph, static. Node and sub-task indices are 0-based; sub-tasks are numbered node by node."""

    nodes: tuple[NodePlan, ...]
    first: tuple[int, ...] = field(init=False, compare=False, repr=False)
    """Index of each node's first sub-task; one entry more than nodes, the last is the number of sub-tasks."""
    node_of: tuple[int, ...] = field(init=False, compare=False, repr=False)
    """Node index of each sub-task."""
    downstream: tuple[tuple[int, ...], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        first, node_of = [0], []
        downstream: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            first.append(first[-1] + len(node.agents))
            node_of.extend([index] * len(node.agents))
            for parent in node.upstream:
                downstream[parent].append(index)
        object.__setattr__(self, "first", tuple(first))
        object.__setattr__(self, "node_of", tuple(node_of))
        object.__setattr__(self, "downstream", tuple(tuple(children) for children in downstream))

    @property
    def size(self) -> int:
        """Number of sub-tasks."""
        return self.first[-1]

    def sub_tasks_of(self, node: int) -> range:
        """Indices of a node's sub-tasks."""
        return range(self.first[node], self.first[node + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class SubTask:
    """State of one sub-task. ``(epoch, attempt)`` is its fence: reports of any other fence change nothing."""

    state: State = State.PENDING
    operator: Operator = Operator.RUN
    attempt: int = 0
    """Times it was readied; 0: never begun. OBShell's ``execute_times``."""
    epoch: int = 0
    """Store epoch in which the attempt was readied."""
    stopping: Stopping = Stopping.NO
    mark: Mark = Mark.NO
    agent: Address | None = None
    """Who carries it out; None until a maintainer-bound one is readied."""
    asked_retries: int = 0
    """Retries a person asked for (OCP: runTime - 1)."""
    auto_retries: int = 0
    """Automatic retries used since the last operator."""
    retries: int | None = None
    """Automatic retries that a person allows instead of the plan's; None: the plan's."""
    retry_at: int = 0
    """When the next automatic retry is due; 0: none. Until then the sub-task is *resting*: RUNNING, though no attempt is live."""
    readied_at: int = 0
    started_at: int = 0
    ended_at: int = 0
    stopping_at: int = 0
    """When it was told to stop; kept after the end of an attempt that its agent never confirmed (`unconfirmed`), else 0."""
    deadline: int = 0
    """When a RUNNING attempt times out, once a person gave it more time; 0: ``started_at`` + the plan's timeout."""
    unsure: bool = False
    """The store went back and its agent has not named its facts."""
    result: Any = None
    """What the step returned, JSON-able; steps downstream read it."""
    leftover: str = ""
    """What the last undo had to leave behind; such an undo may be skipped. Kept when it is, for people."""
    additional: Any = None
    """What the step showed with ``run.note``/``run.progress``, JSON-able mapping or None."""

    @property
    def live(self) -> bool:
        """Its current attempt may be going on."""
        return self.state in (READY, RUNNING) and not self.retry_at

    @property
    def resting(self) -> bool:
        """Between two automatic retries: RUNNING to the outside, because clients give up at the first FAILED."""
        return self.retry_at != 0

    @property
    def unconfirmed(self) -> bool:
        """Over for its home, but its agent never said so: its Interrupt stays an open order."""
        return self.stopping_at != 0 and self.state not in (READY, RUNNING)

    @property
    def done(self) -> bool:
        return self.state is SUCCEEDED and self.operator in (RUN, PASS)

    @property
    def undone(self) -> bool:
        if self.attempt == 0:
            return not self.unsure
        return self.state is SUCCEEDED and self.operator in (ROLLBACK, SKIP)

    @property
    def broken(self) -> bool:
        """FAILED and not marked: it halts the dag."""
        return self.state is FAILED and self.mark is not Mark.DUE


@dataclass(frozen=True, slots=True)
class Home:
    """Where a dag is kept. ``agent`` is set for an agent home only."""

    kind: HomeKind
    agent: Address | None = None


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What the dag locks. ``key`` is the tenant's name for TENANT, the agent (``ip:port``) for HOST, else empty."""

    kind: MaintenanceKind = MaintenanceKind.NONE
    key: str = ""


@dataclass(frozen=True, slots=True)
class Leader:
    """The dag that leads this one (its twin, or the sub-task that made it) and an agent that knows it."""

    home: HomeKind
    dag_key: str
    agent: Address


@dataclass(frozen=True, slots=True)
class Pause:
    """A person holds the dag: who, why, since and until when (0: until resumed)."""

    who: str
    why: str
    at: int
    until: int = 0


@dataclass(frozen=True, slots=True)
class Approval:
    """A person let a held node begin."""

    who: str
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class GoneAgent:
    """A person's word that an agent will not come back; it stands until that agent is heard of this dag again."""

    agent: Address
    who: str
    why: str
    at: int


class _Counted:
    """Room for the counts that `oboe.domain.tally` derives from a dag: no field, so never compared, copied or stored."""

    __slots__ = ("_tally",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag(_Counted):
    """One durable operation. Frozen: only `oboe.domain.machine.advance` makes the next value."""

    key: str
    """128 random bits, 32 hex digits; names the dag for ever."""
    id: int = 0
    """Number in its home, given by the store at creation; never given twice."""
    node_base: int = 0
    """Id of node 0; node i is ``node_base + i``."""
    sub_task_base: int = 0
    """Id of sub-task 0."""
    name: str
    playbook: str
    """Registered name of the playbook."""
    plan: Plan
    params: Mapping[str, Any]
    """JSON-able; `Secret` values are sealed."""
    home: Home
    maintenance: Maintenance = Maintenance()
    created_at: int
    creator: str = "obshell"
    created_by: Address
    """The agent that took the request."""
    leader: Leader | None = None
    not_before: int = 0
    """It does not start earlier, nanoseconds."""

    sub_tasks: tuple[SubTask, ...]
    operator: Operator = Operator.RUN
    cancelled: bool = False
    skipped_undo: bool = False
    asks: int = 0
    """Operators a person has asked of the dag or a node; > 0 and ``started_at`` 0 shows as Unix zero on OBShell's wire."""
    started_at: int = 0
    """When it was last picked up; 0: asked, and not woken since (READY)."""
    ended_at: int = 0
    """When it last finished (SUCCEEDED or FAILED); 0: not since the last operator."""
    signals: Mapping[str, Any] = field(default_factory=dict)
    paused: Pause | None = None
    approvals: Mapping[int, Approval] = field(default_factory=dict)
    """By node index."""
    halt_reason: str = ""
    """Why it was halted when no sub-task says so (`the store went back`)."""
    recalled: tuple[Address, ...] = ()
    """Agents that have not named their facts since the store may have gone back; they are recalled for ever."""
    recalled_at: int = 0
    """Since when it waits for those facts; 0: it does not wait (any more)."""
    gone: tuple[GoneAgent, ...] = ()
    """Agents that, by a person's word, will not come back: what they left open may be passed or skipped, whatever its flags."""
    epoch: int = 0
    """Store epoch this value was last saved in."""
    version: int = 0

    def node_id(self, index: int) -> int:
        return self.node_base + index

    def sub_task_id(self, index: int) -> int:
        return self.sub_task_base + index
