"""How what a step does becomes an outcome: what it returned, or why it failed, in lines that people read."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oboe.domain.errors import Interrupted, OboeError, crash_text
from oboe.domain.messages import Level
from oboe.domain.values import Operator, Stopping
from oboe.kit.plain import plain, sayable
from oboe.kit.step import Step

if TYPE_CHECKING:
    from oboe.engine.attempt import Attempt

__all__ = ["STOPPED_TEXTS", "Outcome", "Suspended", "outcome_of"]

STOPPED_TEXTS = {Stopping.ASKED: "sub task cancelled", Stopping.TIMEOUT: "sub task timeout"}
"""The lines of OBShell's engine (`obshell-wire.md` §2.1.3)."""

_log = logging.getLogger(__name__)


class Suspended(BaseException):
    """The agent stops: leave the step as it is, and its commands alone, for the next life. No step catches it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    ok: bool
    result: Any = None
    leftover: str = ""
    """Of an undo: what stays behind, because nobody can undo it now."""


def outcome_of(attempt: Attempt, make: Callable[[], Step], *, result_bytes_max: int) -> Outcome:
    """Make the step and run it to its end; whatever it raises is its failure, and has a line. `Suspended` goes through: no outcome."""
    step: Step | None = None
    try:
        step = make()
        work = step.run if attempt.order.operator is not Operator.ROLLBACK else getattr(step, "rollback", None)
        return Outcome(True, plain(work(attempt) if work is not None else None, bytes_max=result_bytes_max))
    except Suspended:
        raise
    except Interrupted:
        _was_stopped(attempt, step)
    except OboeError as error:
        attempt.transcript.write(Level.ERROR, str(error), error.code, last=True)
        return Outcome(False, leftover=sayable(getattr(error, "leftover", "")))
    except BaseException as error:  # noqa: BLE001 - a step may raise anything; this is where its thread's work ends
        _log.error("step %s of dag %s failed: %s", attempt.order.step, attempt.dag_key, _traceback(attempt))
        attempt.transcript.write(Level.ERROR, crash_text(error), "step.crashed", last=True)
    return Outcome(False)


def _was_stopped(attempt: Attempt, step: Step | None) -> None:
    """The line that says so, and the step's own word on a cancel. A timeout was written down by the home that saw it."""
    if attempt.take_cause() is Stopping.TIMEOUT:
        return
    attempt.transcript.write(Level.INFO, STOPPED_TEXTS[Stopping.ASKED], last=True)
    cancelled = getattr(step, "cancelled", None)
    if cancelled is None:
        return
    try:
        cancelled(attempt)
    except (Interrupted, Suspended):
        pass
    except BaseException as error:  # noqa: BLE001 - the outcome is known already; this is told, not obeyed
        _log.error("after the cancel of step %s of dag %s: %s", attempt.order.step, attempt.dag_key, _traceback(attempt))
        attempt.transcript.write(Level.WARN, f"after the cancel: {crash_text(error)}")


def _traceback(attempt: Attempt) -> str:
    return attempt.transcript.mask.hide(traceback.format_exc())
