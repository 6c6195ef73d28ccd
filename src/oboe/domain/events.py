"""What may happen to a dag (events), and what its home then owes to the world (effects).

Events are of two kinds. *Reports and wakes* may be given to `oboe.domain.machine.advance` many at a time. A *request* is what a person
asked; it goes alone, so that a refusal loses no neighbour. Every effect but `Settled`, `StopVerdict` and `Noted` can be derived again
from the dag (`oboe.domain.fold.open_dispatches`, `next_timer`), so losing one costs a wake, never a dag. Times are nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oboe.domain.values import Address, Operator, Stopping

__all__ = [
    "Approve",
    "Cancel",
    "Dispatch",
    "Effect",
    "Ended",
    "Event",
    "Extend",
    "Fact",
    "Facts",
    "Gone",
    "Interrupt",
    "Noted",
    "Pass",
    "PatiencePassed",
    "Pause",
    "Recall",
    "Report",
    "Request",
    "Resume",
    "Retry",
    "Rollback",
    "SetRetries",
    "Settled",
    "Shown",
    "Signalled",
    "Skip",
    "Started",
    "StopVerdict",
    "Timer",
    "Wake",
    "WentBack",
]


@dataclass(frozen=True, slots=True)
class Wake:
    """Time passed, or somebody thinks that the dag could go on. Looks at everything."""


@dataclass(frozen=True, slots=True)
class Started:
    """An agent began that attempt."""

    sub_task: int
    epoch: int
    attempt: int
    at: int


@dataclass(frozen=True, slots=True)
class Shown:
    """That attempt is still going on, and shows something; None: nothing new."""

    sub_task: int
    epoch: int
    attempt: int
    additional: Any = None


@dataclass(frozen=True, slots=True)
class Ended:
    """That attempt is over; its agent holds nothing of it any more."""

    sub_task: int
    epoch: int
    attempt: int
    at: int
    ok: bool
    operator: Operator
    result: Any = None
    additional: Any = None
    leftover: str = ""
    """Of an undo that failed: what stays behind, because nobody can undo it now."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop what is live and ready nothing more; of one sub-task: only that one, its siblings go on.

    ``forced``: its leader has it undone, whatever its flags say of cancelling."""

    sub_task: int | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Undo, then do again what FAILED; of the dag (then it goes forward) or of one sub-task."""

    sub_task: int | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """Undo all that was begun, downstream first."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Take as done what is not: the whole dag (final at once), one node, or one sub-task."""

    node: int | None = None
    sub_task: int | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """In a rollback, take a FAILED undo as undone; None: every FAILED one."""

    sub_task: int | None = None


@dataclass(frozen=True, slots=True)
class Signalled:
    """Another dag, or a person, told this one something; idempotent by ``name``, the first payload stays."""

    name: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Ready nothing new; what is live goes on. ``until`` 0: until resumed."""

    who: str
    why: str
    until: int = 0


@dataclass(frozen=True, slots=True)
class Resume:
    """End a pause."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Let a held node begin; it may be said before the node's turn comes."""

    node: int
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Extend:
    """More time: the live attempt times out at ``until`` instead."""

    sub_task: int
    until: int


@dataclass(frozen=True, slots=True)
class SetRetries:
    """Other automatic retries than the plan's, counted from now."""

    sub_task: int
    retries: int


@dataclass(frozen=True, slots=True)
class Gone:
    """That agent will not come back: what it has under way is FAILED at once, what it may have done is not waited for any longer."""

    agent: Address
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class WentBack:
    """The store may have lost its last commits (`advance`'s ``epoch`` is the new one): wait until every agent has named its facts.

    ``agents`` are those that may know more than the dag does: every member that could have been the maintainer."""

    agents: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """The highest attempt of one sub-task that an agent knows, and what it came to. ``running``: queued or running."""

    sub_task: int
    epoch: int
    attempt: int
    operator: Operator
    at: int
    running: bool
    ok: bool = False
    result: Any = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an agent knows of this dag, named in answer to `Recall`; what it does not name it has never begun."""

    agent: Address
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class PatiencePassed:
    """Agents that have not named their facts are not waited for any longer."""


Report = Started | Shown | Ended
Request = Cancel | Retry | Rollback | Pass | Skip | Signalled | Pause | Resume | Approve | Extend | SetRetries | Gone
Event = Wake | Report | WentBack | Facts | PatiencePassed | Request


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send the current attempt's order to its executor; the agent deduplicates."""

    sub_task: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Tell the executor to stop the current attempt."""

    sub_task: int
    cause: Stopping


@dataclass(frozen=True, slots=True)
class Timer:
    """Wake the dag at ``at`` at the latest; timers named before still stand."""

    at: int


@dataclass(frozen=True, slots=True)
class StopVerdict:
    """Answer the report of that attempt with *stop*: it is not the current one, or not live any more."""

    sub_task: int
    epoch: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Noted:
    """An ERROR line for the attempt's log, because its agent will not write one."""

    sub_task: int
    attempt: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The dag succeeded, was passed or is rolled back: agents may forget it a day from now."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Ask that agent for its facts, in the epoch of now."""

    agent: Address


Effect = Recall | Dispatch | Interrupt | Timer | StopVerdict | Noted | Settled
