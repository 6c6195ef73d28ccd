"""What a step sees while it runs: its facts, its log, its waits, its commands, the other agents.

Every method that takes time obeys *stop*: it raises `Interrupted` soon after a cancel or a timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from oboe.domain.values import Address

__all__ = ["Child", "ChildStatus", "Completed", "Run"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Completed:
    """How a command ended: exit status (negative: signal), and its output, cut to the configured limit."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Child:
    """A dag on another agent that this one leads."""

    agent: Address
    dag_key: str
    dag_id: int


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """What a led dag has come to. ``version`` grows with every change."""

    version: int
    state: str
    """READY, RUNNING, SUCCEEDED or FAILED."""
    operator: str
    """RUN, ROLLBACK or PASS."""
    done: tuple[str, ...]
    """Names of nodes that are done, in plan order."""
    lines: tuple[str, ...]
    """Log lines of FAILED sub-tasks."""
    node_lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Node name → informational log lines, for nodes that are done."""
    failed: tuple[str, ...] = ()
    """Names of FAILED nodes, in plan order."""


class Run(Protocol):
    """One attempt of one sub-task, from the inside."""

    @property
    def dag_key(self) -> str: ...
    @property
    def dag_id(self) -> int: ...
    @property
    def agent(self) -> Address:
        """Whom the sub-task names."""

    @property
    def here(self) -> Address:
        """The agent whose process this is."""

    @property
    def index(self) -> int:
        """Which of the dag's sub-tasks this is, from 0, in the order of the plan."""

    @property
    def attempt(self) -> int: ...
    @property
    def resumed(self) -> bool:
        """True when the same attempt was begun by an earlier life of this agent."""

    @property
    def rolling_back(self) -> bool: ...
    @property
    def args(self) -> Mapping[str, Any]: ...
    @property
    def work_dir(self) -> Path:
        """A directory of this dag on this agent, for scratch files; removed with the dag's history."""

    def params(self, kind: type[T]) -> T:
        """The dag's params as ``kind``, secrets unsealed."""

    def use(self, port: type[T]) -> T:
        """The agent's service of that type (driver, facts, peers …); `Bug` when it has none."""

    def result(self, node: str) -> Any:
        """What the node of that name returned; of a parallel node or a serial split, a list in sub-task order. None when nothing."""

    @property
    def own_result(self) -> Any:
        """In a rollback: what this sub-task's RUN returned; None when it never ended well."""

    def first(self, name: str, find: Callable[[], T]) -> T:
        """What ``find`` found when this sub-task first asked for ``name`` on this agent: the same in every later life, retry, rollback.

        For what a rollback must know and a second life could not find out any more: what was there before. It is on disk when this
        returns; JSON-able, and no secret, for it is not sealed."""

    def log(self, text: str) -> None:
        """An informational line; shown as is."""

    def warn(self, text: str) -> None: ...
    def error(self, text: str, *, code: str = "") -> None: ...
    def progress(self, done: float, total: float, unit: str) -> None: ...
    def note(self, **additional: Any) -> None:
        """Merge into the sub-task's ``additional_data``."""

    def check(self) -> None:
        """Raise `Interrupted` if told to stop."""

    def wait_until(
        self,
        ready: Callable[[], T | None],
        *,
        why: str | Callable[[], str],
        timeout: float,
        every: float = 0.5,
    ) -> T:
        """Ask ``ready`` every ``every`` seconds until it answers something truthy; `StepFailed` after ``timeout`` seconds.

        ``why`` says what is waited for; it is shown to people while the wait lasts and in the failure."""

    def wait_for(self, signal: str, *, timeout: float) -> Any:
        """Wait for a signal told to this dag; its payload."""

    def call(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Run a command in its own session; killed with its process group on stop; adopted after an agent restart."""

    def lead(self, agent: Address, playbook: str, params: Any, *, name: str) -> Child:
        """Create, once, the dag that this sub-task leads on ``agent``; asking again with the same ``name`` finds it."""

    def tell(self, child: Child, signal: str, payload: Any = None) -> None:
        """Give a led dag a signal, durably; again is harmless."""

    def ask(self, child: Child, operator: str) -> None:
        """Ask RETRY, ROLLBACK, CANCEL or PASS of a led dag; it need not be FAILED for ROLLBACK: it is cancelled first."""

    def watch(self, child: Child, until: Callable[[ChildStatus], T | None], *, why: str, timeout: float) -> T:
        """Follow a led dag until ``until`` answers something truthy; event-driven; survives the child's agent being away for a while."""
