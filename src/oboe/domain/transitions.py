"""The transition table of a sub-task, as data: the docs are printed from it, and the walks hold the machine to it.

The table says which moves there are; `oboe.domain.machine` says when. A row without ``after`` leaves the state as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from oboe.domain.values import FAILED, PASS, PENDING, READY, ROLLBACK, RUN, RUNNING, SKIP, SUCCEEDED, Operator, State

__all__ = ["TABLE", "Row", "explains"]


@dataclass(frozen=True, slots=True)
class Row:
    """From any of ``before`` (and, where given, any of ``operators``) to ``after`` with ``operator`` (None: as it was)."""

    event: str
    before: tuple[State, ...]
    operators: tuple[Operator, ...]
    after: State | None
    operator: Operator | None
    note: str


TABLE = (
    Row(
        "wake, its turn, not halted", (PENDING,), (), READY, RUN, "forward; attempt + 1; Dispatch; a node that needs approval waits for it"
    ),
    Row("wake, its turn, not halted", (SUCCEEDED,), (ROLLBACK, SKIP), READY, RUN, "forward again, after a rollback that was turned round"),
    Row(
        "wake, its turn, not halted",
        (SUCCEEDED,),
        (RUN, PASS),
        READY,
        ROLLBACK,
        "the dag rolls back; begun, not undone; attempt + 1; Dispatch",
    ),
    Row("wake, its turn, marked", (FAILED,), (), READY, ROLLBACK, "attempt + 1; first half of a retry, or the undo asked again"),
    Row("wake, its turn, marked, undone", (SUCCEEDED,), (ROLLBACK,), READY, RUN, "attempt + 1; second half of a retry; the mark is had"),
    Row("wake, rested long enough", (RUNNING,), (), READY, ROLLBACK, "an automatic retry: undo first, then do"),
    Row("wake, still open", (READY, RUNNING), (), None, None, "Dispatch again; the agent deduplicates"),
    Row("wake, READY past its patience, RUNNING past its timeout", (READY, RUNNING), (), None, None, "stopping; Interrupt"),
    Row("wake, stopping past its grace", (READY, RUNNING), (), FAILED, None, "unconfirmed; mark cleared; its Interrupt stays open"),
    Row("wake, its maintainer is gone, resumable", (READY, RUNNING), (), READY, None, "attempt + 1 on the maintainer of now"),
    Row("wake, its maintainer is gone, else", (READY, RUNNING), (), FAILED, None, "unconfirmed; it may have run: a person decides"),
    Row("Started or Shown (this attempt)", (READY,), (), RUNNING, None, ""),
    Row("Ended ok (this attempt)", (READY, RUNNING), (), SUCCEEDED, None, "READY too: Started may be lost"),
    Row(
        "Ended ok, marked and stopping because asked", (READY, RUNNING), (), FAILED, None, "mark cleared: a cancelled retry does not go on"
    ),
    Row("Ended with error (this attempt)", (READY, RUNNING), (), FAILED, None, "mark cleared"),
    Row(
        "Ended with error, automatic retries left", (READY, RUNNING), (), RUNNING, None, "rests: marked, not live; clients never see FAILED"
    ),
    Row("Ended, late (this attempt)", (FAILED, SUCCEEDED), (), None, None, "the end is confirmed; the outcome is not taken in"),
    Row("a report of an earlier attempt", tuple(State), (), None, None, "answered with the verdict stop"),
    Row(
        "asked cancel (dag, one sub-task)", (READY, RUNNING), (), None, None, "stopping; Interrupt; raises the cause, never moves the grace"
    ),
    Row("asked cancel, while it rests", (RUNNING,), (), FAILED, None, "nothing of it is live"),
    Row("asked retry, asked rollback", (FAILED,), (), None, None, "marked; of the dag: its operator, too"),
    Row("asked to do without an agent that is gone", (READY, RUNNING), (), FAILED, None, "unconfirmed; its Interrupt stays open"),
    Row("asked pass (dag FAILED)", (PENDING, FAILED), (), SUCCEEDED, PASS, "whole dag, one node; of one sub-task: FAILED only"),
    Row("asked pass (dag FAILED)", (SUCCEEDED,), (ROLLBACK, SKIP), SUCCEEDED, PASS, "what is not done"),
    Row("asked skip, dag rolls back", (FAILED,), (), SUCCEEDED, SKIP, "counts as undone; skipped_undo"),
)


def explains(before: tuple[State, Operator], after: tuple[State, Operator], *, rows: int = 3) -> bool:
    """Whether at most so many rows, one after another, lead from one state and operator to the other."""
    reached = {before}
    for _ in range(rows):
        if after in reached:
            return True
        reached |= {
            (row.after or state, row.operator or operator)
            for state, operator in reached
            for row in TABLE
            if state in row.before and (not row.operators or operator in row.operators)
        }
    return after in reached
