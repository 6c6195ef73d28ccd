"""What people ask, as changes of a dag: cancel, retry, roll back, pass, skip, pause, approve and the like. Part of the machine.

Whether a request may be granted is decided by `oboe.domain.guards` before it comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oboe.domain.events import (
    Approve,
    Cancel,
    Dispatch,
    Extend,
    Gone,
    Interrupt,
    Pass,
    Pause,
    Resume,
    Retry,
    Rollback,
    SetRetries,
    Signalled,
    Skip,
)
from oboe.domain.gone import forsake
from oboe.domain.model import Approval
from oboe.domain.model import Pause as Paused
from oboe.domain.values import Mark, Operator, State, Stopping
from oboe.domain.work import Work

__all__ = ["REQUESTS"]


def _ask(work: Work, **facts: Any) -> None:
    """An operator on the dag or a node: READY until it is picked up."""
    work.set(started_at=0, asks=work.dag.asks + 1, **facts)


def _cancel(work: Work, request: Cancel) -> bool:
    if request.sub_task is not None:
        _stop(work, request.sub_task)
        return True
    _ask(work, cancelled=True)
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.live or sub_task.resting:
            _stop(work, index)
        elif sub_task.mark is Mark.DUE:
            work.put(index, mark=Mark.NO)
    return False


def _stop(work: Work, index: int) -> None:
    """Raises the cause, never moves the grace. What rests has nothing to stop: it is FAILED at once."""
    sub_task = work.sub_tasks[index]
    if sub_task.resting:
        work.put(index, state=State.FAILED, mark=Mark.NO, retry_at=0, stopping=Stopping.ASKED)
        return
    work.put(index, stopping=Stopping.ASKED, stopping_at=sub_task.stopping_at or work.now)
    work.effects.append(Interrupt(index, Stopping.ASKED))


def _retry(work: Work, request: Retry) -> bool:
    if request.sub_task is not None:
        _mark(work, request.sub_task, asked=1)
        return True
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.state is State.FAILED:
            _mark(work, index, asked=1)
    _ask(work, operator=Operator.RUN, cancelled=False, halt_reason="")
    return False


def _rollback(work: Work, request: Rollback) -> bool:
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.state is State.FAILED:
            _mark(work, index, asked=0)
    _ask(work, operator=Operator.ROLLBACK, cancelled=False, halt_reason="", approvals={})
    return False


def _mark(work: Work, index: int, *, asked: int) -> None:
    work.put(index, mark=Mark.DUE, auto_retries=0, asked_retries=work.sub_tasks[index].asked_retries + asked)


def _pass(work: Work, request: Pass) -> bool:
    if request.sub_task is not None:
        _take_as(work, request.sub_task, Operator.PASS)
        return True
    indices = range(work.dag.plan.size) if request.node is None else work.dag.plan.sub_tasks_of(request.node)
    for index in indices:
        if not work.sub_tasks[index].done:
            _take_as(work, index, Operator.PASS)
    if request.node is None:
        work.set(operator=Operator.PASS, cancelled=False, halt_reason="", paused=None, asks=work.dag.asks + 1, ended_at=work.now)
    else:
        _ask(work, operator=Operator.RUN, cancelled=False, halt_reason="")
    return False


def _skip(work: Work, request: Skip) -> bool:
    indices = range(work.dag.plan.size) if request.sub_task is None else (request.sub_task,)
    for index in indices:
        if work.sub_tasks[index].broken:
            _take_as(work, index, Operator.SKIP)
    work.set(skipped_undo=True)
    if request.sub_task is None:
        _ask(work)
    return request.sub_task is not None


def _take_as(work: Work, index: int, operator: Operator) -> None:
    """SUCCEEDED by a person's word. ``stopping_at`` stays: an end that was never confirmed keeps its Interrupt."""
    sub_task = work.put(index, state=State.SUCCEEDED, operator=operator, mark=Mark.NO, unsure=False, ended_at=work.now)
    if sub_task.unconfirmed:
        work.effects.append(Interrupt(index, sub_task.stopping))


def _signalled(work: Work, request: Signalled) -> bool:
    if work.settled or request.name in work.dag.signals:
        return False
    work.set(signals={**work.dag.signals, request.name: request.payload})
    work.effects.extend(Dispatch(index) for index, sub_task in enumerate(work.sub_tasks) if sub_task.live and not sub_task.stopping)
    return False


def _pause(work: Work, request: Pause) -> bool:
    work.set(paused=Paused(who=request.who, why=request.why, at=work.now, until=request.until))
    work.set_timer()
    work.woken = True
    return False


def _resume(work: Work, request: Resume) -> bool:
    work.set(paused=None)
    return True


def _approve(work: Work, request: Approve) -> bool:
    approval = Approval(who=request.who, why=request.why, at=work.now)
    work.set(approvals={**work.dag.approvals, request.node: approval})
    return True


def _extend(work: Work, request: Extend) -> bool:
    work.put(request.sub_task, deadline=request.until)
    return False


def _set_retries(work: Work, request: SetRetries) -> bool:
    work.put(request.sub_task, retries=request.retries, auto_retries=0)
    return False


def _gone(work: Work, request: Gone) -> bool:
    forsake(work, request.agent, who=request.who, why=request.why)
    return True


REQUESTS: Mapping[type, Callable[..., bool]] = {
    Cancel: _cancel,
    Retry: _retry,
    Rollback: _rollback,
    Pass: _pass,
    Skip: _skip,
    Signalled: _signalled,
    Pause: _pause,
    Resume: _resume,
    Approve: _approve,
    Extend: _extend,
    SetRetries: _set_retries,
    Gone: _gone,
}
"""Each answers whether it takes effect at once; else the next wake picks the dag up."""
