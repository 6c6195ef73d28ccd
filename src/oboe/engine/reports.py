"""Reports that no step writes: of attempts that begin, that an earlier life began, that never begin, or that nobody carries out."""

from __future__ import annotations

from collections.abc import Sequence

from oboe.domain.messages import Fence, Interrupt, Level, LogLine, Order, Phase, Report
from oboe.domain.values import Address, Operator, Stopping
from oboe.engine.outcome import STOPPED_TEXTS

__all__ = ["INTERRUPTED_CODE", "end_report", "interrupted_line", "shown_report", "started_report", "stop_line", "unbegun_report"]

INTERRUPTED_CODE = "sub_task.interrupted"
_INTERRUPTED_TEXT = "sub task was interrupted unexpectedly: its agent restarted, and it may not run again by itself"


def started_report(order: Order, *, agent: Address, at: int) -> Report:
    return Report(fence=order.fence, operator=order.operator, agent=agent, phase=Phase.STARTED, at=at)


def shown_report(order: Order, lines: Sequence[LogLine], *, agent: Address, at: int) -> Report:
    """Lines of an attempt that is not over."""
    return Report(fence=order.fence, operator=order.operator, agent=agent, phase=Phase.SHOWN, at=at, lines=tuple(lines))


def end_report(
    fence: Fence, operator: Operator, *, agent: Address, at: int, line: LogLine | None = None, earlier: tuple[LogLine, ...] = ()
) -> Report:
    """The outcome of an attempt that never began, or that nobody carries out any more; ``earlier``: lines that it left behind."""
    lines = (*earlier, line) if line else earlier
    return Report(fence=fence, operator=operator, agent=agent, phase=Phase.ENDED, at=at, ok=False, lines=lines)


def unbegun_report(interrupt: Interrupt, *, agent: Address, at: int) -> Report:
    """The outcome of an attempt that was interrupted before it began."""
    return end_report(interrupt.fence, interrupt.operator, agent=agent, at=at, line=stop_line(interrupt.cause, at))


def stop_line(cause: Stopping, at: int) -> LogLine | None:
    """The line for an attempt that was stopped; a timeout was written down by the home that saw it."""
    return LogLine(at // 1000, at, Level.INFO, STOPPED_TEXTS[cause]) if cause is Stopping.ASKED else None


def interrupted_line(at: int) -> LogLine:
    """The line for an attempt whose agent died under it, and which may not run again by itself."""
    return LogLine(at // 1000, at, Level.ERROR, _INTERRUPTED_TEXT, INTERRUPTED_CODE)
