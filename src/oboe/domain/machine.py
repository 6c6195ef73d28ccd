"""The one function that changes a dag: ``advance(dag, events) -> (dag, effects)``. Pure, total, and the only place where state moves.

Words. *Done*: SUCCEEDED with RUN or PASS. *Undone*: attempt 0, or SUCCEEDED with ROLLBACK or SKIP. *Live*: READY or RUNNING, and not
resting between two automatic retries. *Its turn*: everything upstream done; in a rollback, everything downstream undone. *Halted*: the
dag is cancelled (or has a halt reason), or a sub-task is FAILED and not marked. *Marked*: its retry is due: undo first, then do.

Invariants, asserted at every step of the random walks (``tests/walks``), each defended by planted mutants:

1.  Nothing is live before its upstream is done, nor undone before its downstream is.
2.  Attempts grow by one, never beside a live one. (A maintainer-bound attempt whose maintainer lost the lease is not live any more:
    that agent has interrupted it before anybody else may hold the lease.)
3.  Only the current attempt is heard; a report of an earlier one is answered *stop*.
4.  Success is lost only to an undo, and won only by `Ended`, a pass or a skip.
5.  A report applied twice equals once.
6.  Open orders are always named again. After a report, a wake at the same instant readies nothing new. A settled dag never changes.
7.  A halted dag readies only what is marked; a paused one, nothing. Nothing is given up within its grace, unless a person says that its
    agent is gone.
8.  The lock is held exactly while the dag is not settled and not FAILED by steps that release on failure (one with a time to start:
    not before it has begun something); a RUNNING dag always has something to wait for: an agent, a time, or a person.
9.  The version moves by one exactly when the value differs.
10. *Rolled back* means that everything is undone or skipped, and a skip is never forgotten.
11. A FAILED dag has a legal operator, if its plan leads on (`oboe.domain.plan`). What a gone agent leaves open, unsure or not, can be
    passed, or its undo skipped, whatever its flags; until then it is neither done nor undone.

How a request takes effect. What is asked of the dag or of a node clears ``started_at``: the dag is READY, and the next wake picks it up.
A pass of the whole dag is final at once. What is asked of one sub-task, a resume, an approval act at once.

Who may call. Only the home's maintainer of the moment: ``here`` is its address, ``epoch`` the store epoch in which it holds the lease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oboe.domain.asks import REQUESTS
from oboe.domain.errors import Bug
from oboe.domain.events import (
    Dispatch,
    Effect,
    Ended,
    Event,
    Fact,
    Facts,
    Interrupt,
    Noted,
    PatiencePassed,
    Report,
    Shown,
    Started,
    StopVerdict,
    Wake,
    WentBack,
)
from oboe.domain.gone import came_back
from oboe.domain.guards import guard
from oboe.domain.model import Dag, SubTask
from oboe.domain.regress import attempted, lose_patience, recall, take_in, unwind, wait_for_facts
from oboe.domain.state import bound_to_maintainer, executor, halted, turn
from oboe.domain.tally import open_ones, timer_of
from oboe.domain.values import Address, HomeKind, Mark, Operator, State, Stopping
from oboe.domain.work import Work

__all__ = ["advance"]

_REPORTS = (Started, Shown, Ended, Wake, WentBack, Facts, PatiencePassed)
_OF_EVERYTHING = (WentBack, Facts, PatiencePassed)
"""Reports after which everything is looked at."""
_DOUBLINGS_MAX = 16
"""The pause between automatic retries doubles so many times at most."""


def advance(dag: Dag, events: Sequence[Event], *, now: int, here: Address, epoch: int) -> tuple[Dag, tuple[Effect, ...]]:
    """Apply what happened; the next value (the same object when nothing changed) and what its home now owes to the world.

    ``now`` is nanoseconds; ``here`` the agent that serves the home; ``epoch`` the store epoch. `Refused` (``retry.not_failed`` and
    the like, see `oboe.domain.guards`) when a request cannot be granted, `Bug` when one does not go alone: then nothing has changed."""
    work = Work(dag, now, here, epoch)
    if len(events) == 1 and not isinstance(events[0], _REPORTS):
        refusal = guard(dag, events[0], now=now)
        if refusal is not None:
            raise refusal
        acts_now = REQUESTS[type(events[0])](work, events[0])
        if acts_now and work.dag.started_at:
            _wake(work)
        return work.finish()
    woken = False
    for event in events:
        if isinstance(event, Wake):
            woken = True
        elif isinstance(event, _REPORTS):
            _HEARD[type(event)](work, event)
            woken |= work.woken or isinstance(event, _OF_EVERYTHING)
        else:
            raise Bug("machine.request_not_alone", f"{type(event).__name__} goes to advance alone")
    if work.settled:
        return work.finish()
    if woken or not work.dag.started_at or 0 < work.tally.timer <= now:
        _wake(work)
    else:
        _ready_neighbours(work)
    return work.finish()


# Reports


def _current(work: Work, report: Report) -> SubTask | None:
    """The sub-task, if this report is about an attempt of it that is live. A later fence than known is the truth: `oboe.domain.regress`."""
    if not 0 <= report.sub_task < work.dag.plan.size:
        return None
    sub_task = work.sub_tasks[report.sub_task]
    fence, mine = (report.epoch, report.attempt), (sub_task.epoch, sub_task.attempt)
    if work.dag.gone and fence >= mine and not work.settled:
        came_back(work, executor(work.dag, report.sub_task))
    if fence > mine and not work.settled:
        if isinstance(report, Ended) or not bound_to_maintainer(work.dag, report.sub_task):
            take_in(work, _fact_of(report), sub_task.agent)
            if not isinstance(report, Started) and report.additional is not None:
                work.put(report.sub_task, additional=report.additional)
        return None
    if fence == mine and sub_task.live:
        return sub_task
    if fence < mine or (fence > mine and work.settled) or (fence == mine and sub_task.unconfirmed and not isinstance(report, Ended)):
        work.effects.append(StopVerdict(report.sub_task, report.epoch, report.attempt))
    elif fence == mine and sub_task.unconfirmed and not work.settled:
        work.put(report.sub_task, stopping_at=0)
    return None


def _fact_of(report: Report) -> Fact:
    """A report as a fact.

    Started and Shown do not say which operator it was; nothing is believed to be done, so RUN is safe until Ended says it."""
    ended = isinstance(report, Ended)
    return Fact(
        sub_task=report.sub_task,
        epoch=report.epoch,
        attempt=report.attempt,
        operator=report.operator if isinstance(report, Ended) else Operator.RUN,
        at=0 if isinstance(report, Shown) else report.at,
        running=not ended,
        ok=isinstance(report, Ended) and report.ok,
        result=report.result if isinstance(report, Ended) else None,
    )


def _started(work: Work, report: Started) -> None:
    sub_task = _current(work, report)
    if sub_task is not None and sub_task.state is State.READY:
        work.put(report.sub_task, state=State.RUNNING, started_at=_within(report.at, sub_task.readied_at, work.now))


def _shown(work: Work, report: Shown) -> None:
    """What shows something has begun: its Started was lost."""
    sub_task = _current(work, report)
    if sub_task is None:
        return
    if sub_task.state is State.READY:
        sub_task = work.put(report.sub_task, state=State.RUNNING, started_at=work.now)
    if report.additional is not None and report.additional != sub_task.additional:
        work.put(report.sub_task, additional=report.additional)


def _ended(work: Work, report: Ended) -> None:
    sub_task = _current(work, report)
    if sub_task is None:
        return
    ended_at = _within(report.at, sub_task.readied_at, work.now)
    facts: dict[str, Any] = {"ended_at": ended_at, "stopping_at": 0, "operator": attempted(report.operator)}
    if sub_task.state is State.READY:
        facts["started_at"] = ended_at
    if report.additional is not None:
        facts["additional"] = report.additional
    stopped = sub_task.stopping is Stopping.ASKED
    if report.ok and not (stopped and sub_task.mark is Mark.DUE):
        result = report.result if report.operator is Operator.RUN else None
        work.put(report.sub_task, state=State.SUCCEEDED, result=result, **facts)
    elif not report.ok and not stopped and _may_try_again(work, report.sub_task):
        _rest(work, report.sub_task, facts)
    else:
        leftover = report.leftover if report.operator is Operator.ROLLBACK else ""
        work.put(report.sub_task, state=State.FAILED, mark=Mark.NO, leftover=leftover, **facts)


def _facts(work: Work, event: Facts) -> None:
    """All that one agent knows. Equal fences are reports; later ones, and those that were unsure, are taken in."""
    if work.settled:
        return
    for fact in event.facts:
        sub_task = work.sub_tasks[fact.sub_task]
        fence, mine = (fact.epoch, fact.attempt), (sub_task.epoch, sub_task.attempt)
        if fence > mine or (fence == mine and sub_task.unsure):
            take_in(work, fact, event.agent)
        elif fence == mine and fact.running:
            if sub_task.live and sub_task.operator is not fact.operator:
                work.put(fact.sub_task, operator=fact.operator)
            _started(work, Started(fact.sub_task, fact.epoch, fact.attempt, fact.at))
        elif fence == mine:
            _ended(work, Ended(fact.sub_task, fact.epoch, fact.attempt, fact.at, fact.ok, fact.operator, fact.result))
    unwind(work, event.agent)


def _may_try_again(work: Work, index: int) -> bool:
    """By itself: nobody asked the dag to stop, and it has automatic retries left."""
    sub_task = work.sub_tasks[index]
    allowed = work.dag.plan.nodes[work.dag.plan.node_of[index]].retries if sub_task.retries is None else sub_task.retries
    return sub_task.auto_retries < allowed and not work.dag.cancelled and not work.dag.halt_reason


def _rest(work: Work, index: int, facts: Mapping[str, Any]) -> None:
    """Between two automatic retries it stays RUNNING, marked, with the time of the next; nothing of it is live."""
    used = work.sub_tasks[index].auto_retries
    backoff = work.dag.plan.nodes[work.dag.plan.node_of[index]].backoff << min(used, _DOUBLINGS_MAX)
    work.put(index, state=State.RUNNING, mark=Mark.DUE, auto_retries=used + 1, retry_at=work.now + max(backoff, 1), **facts)


def _within(at: int, earliest: int, latest: int) -> int:
    """An agent's clock may be wrong: its time, as far as the home's own clock lets it be true."""
    return min(max(at, earliest), latest)


# Wakes


def _wake(work: Work) -> None:
    """Look at everything: pick up, let time pass, ready whose turn it is, name again what is open."""
    work.woken = True
    recall(work)
    if work.dag.recalled_at:
        work.set_timer()
        return
    # What a person's word asked for is named below, if it is still open: a report that came with it may have confirmed the end.
    work.effects = [effect for effect in work.effects if not isinstance(effect, Interrupt)]
    _end_pause(work)
    open_before = open_ones(work.sub_tasks)
    for index in open_before:
        _let_time_pass(work, index)
    if not _held_back(work):
        if not work.dag.started_at:
            work.set(started_at=work.now)
        for node in _their_turn(work):
            _ready_those(work, node, work.dag.plan.sub_tasks_of(node))
    _let_marks_fall(work)
    for index in open_before:
        _name_again(work, index)
    work.set_timer()


def _their_turn(work: Work) -> list[int]:
    """Nodes with something left to do, and nothing in the way. What one of them readies is in the way of none of them."""
    tally, back = work.tally, work.dag.operator is Operator.ROLLBACK
    left, blocked = (tally.not_undone, tally.down) if back else (tally.not_done, tally.up)
    return [node for node, (some, none) in enumerate(zip(left, blocked, strict=True)) if some and not none]


def _let_marks_fall(work: Work) -> None:
    """A retry whose turn cannot come, because what stands on it failed, is not due any more (only after the store went back)."""
    if not work.tally.marked or work.tally.going or not work.dag.started_at or not halted(work.dag, work.tally):
        return
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.mark is Mark.DUE and not turn(work.dag, work.tally, work.dag.plan.node_of[index]):
            work.put(index, mark=Mark.NO)


def _end_pause(work: Work) -> None:
    if work.dag.paused is not None and 0 < work.dag.paused.until <= work.now:
        work.set(paused=None)


def _held_back(work: Work) -> bool:
    """It is READY, and not to be picked up yet. A cancel is always picked up."""
    dag = work.dag
    return not dag.started_at and not dag.cancelled and (dag.paused is not None or work.now < dag.not_before)


def _let_time_pass(work: Work, index: int) -> None:
    sub_task = work.sub_tasks[index]
    if not sub_task.live:
        return
    node = work.dag.plan.nodes[work.dag.plan.node_of[index]]
    if _maintainer_gone(work, index):
        _leave_gone_maintainer(work, index)
    elif timer_of(sub_task, node) <= work.now:
        if sub_task.stopping:
            work.put(index, state=State.FAILED, mark=Mark.NO, ended_at=work.now)
            work.effects.append(Noted(index, sub_task.attempt, "sub_task.unconfirmed", "its agent did not confirm the end in time"))
        else:
            code, text = ("sub_task.patience", "nobody began it in time")
            if sub_task.state is State.RUNNING:
                code, text = ("sub_task.timeout", "sub task timeout")
            work.effects.append(Noted(index, sub_task.attempt, code, text))
            work.put(index, stopping=Stopping.TIMEOUT, stopping_at=work.now)


def _maintainer_gone(work: Work, index: int) -> bool:
    """It was bound to the maintainer, and that is another agent now."""
    bound = work.dag.home.kind is HomeKind.CLUSTER and bound_to_maintainer(work.dag, index)
    return bound and work.sub_tasks[index].agent != work.here


def _leave_gone_maintainer(work: Work, index: int) -> None:
    """Ready it here if it may run again and nothing speaks against it; else a person decides."""
    sub_task = work.sub_tasks[index]
    resumable = work.dag.plan.nodes[work.dag.plan.node_of[index]].flags.resumable
    if resumable and not sub_task.stopping and (sub_task.mark is Mark.DUE or not halted(work.dag, work.tally)):
        _ready(work, index, sub_task.operator, sub_task.mark)
        return
    cause, since = sub_task.stopping or Stopping.TIMEOUT, sub_task.stopping_at or work.now
    work.put(index, state=State.FAILED, mark=Mark.NO, ended_at=work.now, stopping=cause, stopping_at=since)
    work.effects.append(Noted(index, sub_task.attempt, "sub_task.maintainer_gone", "its maintainer is gone, it may have run"))


def _name_again(work: Work, index: int) -> None:
    """Open orders, and Interrupts that nobody confirmed; what was readied just now has been named."""
    sub_task = work.sub_tasks[index]
    if sub_task.unconfirmed or (sub_task.live and sub_task.stopping):
        work.effects.append(Interrupt(index, sub_task.stopping))
    elif sub_task.live and (index not in work.touched or work.touched[index].attempt == sub_task.attempt):
        work.effects.append(Dispatch(index))


# Readying


def _ready_neighbours(work: Work) -> None:
    """What the reports of this call may have let begin: the second half of a retry, and the nodes next to those touched."""
    plan = work.dag.plan
    back = work.dag.operator is Operator.ROLLBACK
    left = work.tally.not_undone if back else work.tally.not_done
    over: list[int] = []
    for index in tuple(work.touched):
        if work.sub_tasks[index].live:
            continue
        node = plan.node_of[index]
        _ready_those(work, node, (index,))
        if not left[node]:
            over.append(node)
    onward: dict[int, None] = {}
    for node in over:
        for neighbour in plan.nodes[node].upstream if back else plan.downstream[node]:
            if neighbour not in onward:
                onward[neighbour] = None
                if not left[neighbour]:  # Passed before its turn: what waits for this one stands beyond it.
                    over.append(neighbour)
    for node in onward:
        _ready_those(work, node, plan.sub_tasks_of(node))
    _let_marks_fall(work)


def _ready_those(work: Work, node: int, indices: Sequence[int]) -> None:
    """Ready those sub-tasks of a node whose time has come."""
    dag = work.dag
    if dag.paused is not None or dag.recalled_at or not turn(dag, work.tally, node):
        return
    idle = halted(dag, work.tally)
    if idle and not work.tally.marked:
        return
    forward = dag.operator is Operator.RUN
    if not forward and not work.tally.not_undone[node]:
        return
    if forward and not work.tally.not_done[node]:
        return
    held = forward and dag.plan.nodes[node].approval and node not in dag.approvals
    for index in indices:
        sub_task = work.sub_tasks[index]
        if sub_task.mark is Mark.DUE:
            _retry_if_due(work, index, held=held)
        elif idle or sub_task.live or held:
            continue
        elif forward and not sub_task.done:
            _ready(work, index, Operator.RUN, Mark.NO)
        elif not forward and not sub_task.undone:
            _ready(work, index, Operator.ROLLBACK, Mark.NO)


def _retry_if_due(work: Work, index: int, *, held: bool) -> None:
    """The halves of a retry. In a rollback there is only the undo, and the mark has served."""
    sub_task = work.sub_tasks[index]
    forward = work.dag.operator is Operator.RUN
    if sub_task.state is State.FAILED or (sub_task.resting and sub_task.retry_at <= work.now):
        _ready(work, index, Operator.ROLLBACK, Mark.DUE if forward else Mark.NO)
    elif sub_task.undone and not held:
        _ready(work, index, Operator.RUN, Mark.HAD)


def _ready(work: Work, index: int, operator: Operator, mark: Mark) -> None:
    """The next attempt. A run forgets what an earlier one returned and showed; an undo may still need it."""
    plan = work.dag.plan
    node = plan.node_of[index]
    agent = plan.nodes[node].agents[index - plan.first[node]]
    facts: dict[str, Any] = {"result": None, "additional": None} if operator is Operator.RUN else {}
    work.put(
        index,
        state=State.READY,
        operator=operator,
        mark=mark,
        attempt=work.sub_tasks[index].attempt + 1,
        epoch=work.epoch,
        agent=work.here if agent is None else agent,
        stopping=Stopping.NO,
        stopping_at=0,
        retry_at=0,
        deadline=0,
        leftover="",
        readied_at=work.now,
        **facts,
    )
    work.effects.append(Dispatch(index))


_HEARD: Mapping[type, Callable[..., None]] = {
    Started: _started,
    Shown: _shown,
    Ended: _ended,
    WentBack: wait_for_facts,
    Facts: _facts,
    PatiencePassed: lose_patience,
}
