"""The invariants at the head of ``oboe.domain.machine``, said again in the plainest way, asked of every transition.

Nothing here uses the machine's counts or folds: a slip in those must not blind its own check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from oboe.domain.events import (
    Cancel,
    Dispatch,
    Ended,
    Facts,
    Gone,
    Interrupt,
    Noted,
    Pass,
    PatiencePassed,
    Recall,
    Resume,
    Retry,
    Rollback,
    Settled,
    Shown,
    Skip,
    Started,
    StopVerdict,
    Timer,
    Wake,
    WentBack,
)
from oboe.domain.model import Dag, NodePlan, SubTask
from oboe.domain.transitions import explains
from oboe.domain.values import HomeKind, MaintenanceKind, Mark, Operator, State, Stopping

from .rules import Rules

REPORTS = (Started, Shown, Ended, Wake, WentBack, Facts, PatiencePassed)
DAG_FACTS = tuple(field.name for field in fields(Dag) if field.name not in ("version", "epoch", "sub_tasks"))


class Violation(AssertionError):
    """An invariant does not hold; the number is that of the list in ``machine.py``."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"({number}) {text}")
        self.number = number


def require(number: int, truth: bool, text: str) -> None:
    if not truth:
        raise Violation(number, text)


def halted(dag: Dag) -> bool:
    return dag.cancelled or bool(dag.halt_reason) or any(s.state is State.FAILED and s.mark is not Mark.DUE for s in dag.sub_tasks)


def true_state(dag: Dag) -> State:
    """The dag's state, by the words of the design."""
    subs = dag.sub_tasks
    if dag.operator is Operator.PASS:
        return State.SUCCEEDED
    if dag.recalled_at:
        return State.RUNNING
    if not dag.started_at:
        return State.READY
    if any(s.state in (State.READY, State.RUNNING) for s in subs):
        return State.RUNNING
    if all(s.undone for s in subs) if dag.operator is Operator.ROLLBACK else all(s.done for s in subs):
        return State.SUCCEEDED
    if halted(dag) and not any(s.mark is Mark.DUE for s in subs):
        return State.FAILED
    return State.RUNNING


def node_done(dag: Dag, node: int) -> bool:
    return all(dag.sub_tasks[i].done for i in dag.plan.sub_tasks_of(node))


def node_undone(dag: Dag, node: int) -> bool:
    return all(dag.sub_tasks[i].undone for i in dag.plan.sub_tasks_of(node))


def bound_elsewhere(dag: Dag, index: int, here: Any) -> bool:
    node = dag.plan.node_of[index]
    planned = dag.plan.nodes[node].agents[index - dag.plan.first[node]]
    return dag.home.kind is HomeKind.CLUSTER and planned is None and dag.sub_tasks[index].agent != here


def _all_beyond(dag: Dag, node: int, *, back: bool) -> list[int]:
    """All nodes downstream (``back``: a rollback looks there) or upstream, however far."""
    step = dag.plan.downstream if back else tuple(planned.upstream for planned in dag.plan.nodes)
    seen = list(step[node])
    for other in seen:
        seen.extend(further for further in step[other] if further not in seen)
    return seen


class Checker:
    """Asks every invariant of one transition. ``deep`` also tries the event again, and counts everything anew."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def transition(
        self, before: Dag, events: Sequence[Any], after: Dag, effects: Sequence[Any], *, now: int, here: Any, deep: bool
    ) -> None:
        state = self._value(before, after, effects, now)
        was = true_state(before)
        if was is State.SUCCEEDED:
            require(6, after is before and all(isinstance(e, StopVerdict) for e in effects), "a settled dag is not quiet")
            return
        reported = {event.sub_task for event in events if isinstance(event, Started | Shown | Ended)}
        for index, (old, new) in enumerate(zip(before.sub_tasks, after.sub_tasks, strict=True)):
            if (old is not new or index in reported) and not self._rewritten(events, old, index):
                self._sub_task(before, events, after, index, (old, new), now, here)
        if not isinstance(events[0], REPORTS):
            self._asked(before, events[0], after, state)
        self._effects(before, events, after, effects, state)
        if after.home.kind is HomeKind.CLUSTER:
            self._told(before, events, after, effects)
        self._dag(before, events, after, was, state, now, here)
        if deep:
            self._deep(events, after, now, here)

    @staticmethod
    def _rewritten(events: Sequence[Any], old: SubTask, index: int) -> bool:
        """What its home forgot, it was told: nothing is asked of such a change but what all dags are asked."""
        told = any(isinstance(e, WentBack | Facts | PatiencePassed) for e in events)
        reports = (e for e in events if isinstance(e, Started | Shown | Ended) and e.sub_task == index)
        return (
            told
            or old.unsure
            or any(
                (e.epoch, e.attempt) > (old.epoch, old.attempt) or (isinstance(e, Ended) and e.operator is not old.operator)
                for e in reports
            )
        )

    def _value(self, before: Dag, after: Dag, effects: Sequence[Any], now: int) -> State:
        state = true_state(after)
        require(8, self.rules.dag_state(after) is state, f"the fold says {self.rules.dag_state(after).name}, it is {state.name}")
        if after is before:
            return state
        differs = before.sub_tasks != after.sub_tasks or any(getattr(before, f) != getattr(after, f) for f in DAG_FACTS)
        require(9, differs, "the version moved, the value did not")
        require(9, after.version == before.version + 1, f"the version moved from {before.version} to {after.version}")
        return state

    def _sub_task(
        self, before: Dag, events: Sequence[Any], after: Dag, index: int, pair: tuple[SubTask, SubTask], now: int, here: Any
    ) -> None:
        old, new = pair
        told = f"{old.state.name}/{old.operator.name} became {new.state.name}/{new.operator.name}, which no row of the table says"
        require(4, explains((old.state, old.operator), (new.state, new.operator)), told)
        node = before.plan.nodes[before.plan.node_of[index]]
        of_this = (e for e in events if isinstance(e, Ended) and e.sub_task == index)
        ended = [e for e in of_this if (e.epoch, e.attempt) == (old.epoch, old.attempt)]
        asked = any(isinstance(e, Retry) for e in events)
        gone = bound_elsewhere(before, index, here)
        if new.attempt != old.attempt:
            require(2, new.attempt == old.attempt + 1, f"attempt {old.attempt} became {new.attempt}")
            require(2, new.state is State.READY and new.operator in (Operator.RUN, Operator.ROLLBACK), "a new attempt that is not READY")
            require(2, not old.live or bool(ended) or gone, f"attempt {new.attempt} beside a live {old.attempt}")
            clean = new.stopping is Stopping.NO and not new.stopping_at and not new.retry_at and not new.deadline
            require(2, clean, "a new attempt remembers the one before")
            self._begun(after, old, new, gone=gone and old.live)
            if old.live and ended and not gone:
                half = ended[0].ok and old.mark is Mark.DUE and old.stopping is not Stopping.ASKED and new.operator is Operator.RUN
                require(4, half, "it ended and began again, though it is no undo of a retry")
            require(2, new.readied_at == now, "a new attempt that was not readied now")
            require(7, after.paused is None or (gone and old.live), "a paused dag readied something")
            if halted(after):
                marked = old.mark is Mark.DUE or asked
                require(7, marked or (gone and old.live and not before.cancelled), "a halted dag readied what is not marked")
                if not (gone and old.live):
                    require(7, new.operator is Operator.ROLLBACK or new.mark is Mark.HAD, "a halted dag ran what no retry asked for")
            if old.state is State.FAILED:
                require(
                    4, (old.mark is Mark.DUE or asked) and new.operator is Operator.ROLLBACK, "a failed one begins again without its undo"
                )
            if old.resting:
                require(4, new.operator is Operator.ROLLBACK and now >= old.retry_at, "an automatic retry too early, or without its undo")
            if new.operator is Operator.RUN and before.plan.nodes[before.plan.node_of[index]].approval and not gone:
                require(7, before.plan.node_of[index] in after.approvals, "a held node began without approval")
            if gone and old.live:
                require(2, node.flags.resumable and not old.stopping, "what may not run twice was readied elsewhere")
            return
        if old.live and ended:
            self._outcome(before, after, ended[0], (old, new), node)
        if old.state is State.READY and old.live and any(isinstance(e, Started | Shown) and e.attempt == old.attempt for e in events):
            began = any(
                e.sub_task == index and e.epoch == old.epoch and e.attempt == old.attempt for e in events if isinstance(e, Started | Shown)
            )
            require(3, not began or new.state is not State.READY, "it began, and nobody believed it")
        if new.started_at != old.started_at:
            require(3, new.readied_at <= new.started_at <= now, "it began before it was readied, or in the future")
        if new.ended_at != old.ended_at:
            require(3, new.readied_at <= new.ended_at <= now, "it ended before it was readied, or in the future")
        if old.unconfirmed and ended:
            require(6, not new.unconfirmed, "its agent confirmed the end, and nobody heard")
        if old.state is State.SUCCEEDED and new.state is not State.SUCCEEDED:
            raise Violation(4, f"a success became {new.state.name}")
        if new.state is State.SUCCEEDED and (old.state is not State.SUCCEEDED or new.operator is not old.operator):
            by_hand = (
                any(isinstance(e, Pass) for e in events) if new.operator is Operator.PASS else any(isinstance(e, Skip) for e in events)
            )
            won = any(e.ok for e in ended) and old.live and new.operator is old.operator
            require(
                4, won if new.operator in (Operator.RUN, Operator.ROLLBACK) else by_hand, f"success by {new.operator.name} out of nothing"
            )
            if new.operator is Operator.SKIP:
                require(4, old.state is State.FAILED, "a skip of what had not failed")
            if won and old.mark is Mark.DUE:
                require(4, old.stopping is not Stopping.ASKED, "the undo of a cancelled retry counts as done")
        if new.state is State.FAILED and old.state is not State.FAILED:
            patient = old.stopping is not Stopping.NO and now >= old.stopping_at + node.grace
            by_word = any(isinstance(e, Gone) for e in events) and self._carrier(before, index) == events[0].agent
            by_cancel = old.resting and (any(isinstance(e, Cancel) for e in events) or after.halt_reason != before.halt_reason or by_word)
            require(7, bool(ended) or gone or by_cancel or patient or by_word, "declared dead within its grace")
            require(7, new.mark is not Mark.DUE, "it failed and kept its mark")
            if not ended and not by_cancel:
                require(7, new.unconfirmed, "nobody confirmed its end, and nobody will ask again")
        if new.unconfirmed and not old.live and not old.unconfirmed:
            raise Violation(7, "a confirmed end became unconfirmed")
        if old.unconfirmed and not new.unconfirmed:
            require(6, bool(ended), "an open interrupt was forgotten")
        if old.stopping and new.live:
            require(7, new.stopping_at == old.stopping_at, "the grace moved")
            require(7, new.stopping is old.stopping or new.stopping is Stopping.ASKED, "the cause fell")
        if new.stopping and not old.stopping and new.stopping is Stopping.TIMEOUT and old.live and not gone:
            limit = old.readied_at + node.patience if old.state is State.READY else old.deadline or old.started_at + node.timeout
            started = any(isinstance(e, Started | Shown) for e in events)
            require(7, now >= limit or started, "stopped before its time")
        if new.resting and not old.resting:
            allowed = node.retries if old.retries is None else old.retries
            failed = any(not e.ok for e in ended)
            require(7, failed and old.auto_retries < allowed and old.stopping is not Stopping.ASKED, "rests without a reason")
            require(7, not before.cancelled and new.state is State.RUNNING and new.mark is Mark.DUE, "rests though cancelled, or unmarked")
            require(7, new.retry_at > now or node.backoff == 0, "rests for no time")
        if old.state is State.READY and new.state is State.RUNNING:
            heard = any(isinstance(e, Started | Shown | Ended) and e.sub_task == index and e.attempt == old.attempt for e in events)
            require(3, heard, "RUNNING, though nobody began it")
        if new.state is not old.state and not any(not isinstance(e, REPORTS) for e in events):
            heard = any(getattr(e, "sub_task", -1) == index and (e.epoch, e.attempt) == (old.epoch, old.attempt) for e in events)
            if new.state is not State.FAILED:
                require(3, heard, f"{old.state.name} became {new.state.name} by a report of another attempt")

    @staticmethod
    def _begun(after: Dag, old: SubTask, new: SubTask, *, gone: bool) -> None:
        """Which attempt may follow which."""
        if gone:
            require(4, new.operator is old.operator and new.mark is old.mark, "it goes on elsewhere as something else")
            return
        forward = after.operator is Operator.RUN
        require(4, forward or new.operator is Operator.ROLLBACK, "a rollback runs something")
        if old.done:
            require(4, not forward and new.operator is Operator.ROLLBACK, "what is done was begun again, and not to undo it")
        elif old.undone:
            require(4, forward and new.operator is Operator.RUN, "what is undone was undone again")
            require(4, new.mark is (Mark.HAD if old.mark is Mark.DUE else Mark.NO), "the mark of a run is wrong")
        elif not old.live:
            require(4, new.operator is Operator.ROLLBACK, "what failed began again without its undo")
            require(4, new.mark is (Mark.DUE if forward else Mark.NO), "the mark of an undo is wrong")

    @staticmethod
    def _asked(before: Dag, request: Any, after: Dag, state: State) -> None:
        """What a request changes at once, and what it must not touch."""
        whole = getattr(request, "sub_task", None) is None
        if isinstance(request, Gone):
            Checker._without(before, request, after)
        elif isinstance(request, Cancel) and whole:
            require(7, after.cancelled, "cancelled, and not cancelled")
            live = [s for s in after.sub_tasks if s.state in (State.READY, State.RUNNING)]
            require(7, all(s.stopping is Stopping.ASKED and s.live for s in live), "cancelled, and something goes on")
            require(7, not any(s.mark is Mark.DUE and not s.live for s in after.sub_tasks), "cancelled, and a retry is still due")
        elif isinstance(request, Retry | Rollback) and whole:
            forward = isinstance(request, Retry)
            require(10, after.operator is (Operator.RUN if forward else Operator.ROLLBACK) and not after.cancelled, "asked the other way")
            require(7, all(s.mark is Mark.DUE for s in after.sub_tasks if s.state is State.FAILED), "asked, and a failure still halts it")
            grown = [new.asked_retries - old.asked_retries for old, new in zip(before.sub_tasks, after.sub_tasks, strict=True)]
            failed = [old.state is State.FAILED and forward for old in before.sub_tasks]
            require(8, grown == failed, "asked retries are not counted")
        elif isinstance(request, Pass):
            kept = all(new == old for old, new in zip(before.sub_tasks, after.sub_tasks, strict=True) if old.done)
            require(4, kept, "a pass touched what is done")
            if whole and request.node is None:
                require(8, state is State.SUCCEEDED and after.operator is Operator.PASS, "a pass of the dag is final at once")
            elif whole:
                require(8, after.operator is Operator.RUN and not after.cancelled, "after a pass the dag does not go on")
                require(8, node_done(after, request.node or 0), "a node was passed, and is not done")

    @staticmethod
    def _without(before: Dag, word: Gone, after: Dag) -> None:
        """That agent is not waited for any longer, what it may have done is neither done nor undone."""
        require(11, word.agent != before.home.agent, "who keeps the dag is gone")
        told = [(each.who, each.why) for each in after.gone if each.agent == word.agent]
        require(8, told == [(word.who, word.why)], "a person's word is not on record")
        require(8, word.agent not in after.recalled, "who is gone is asked")
        for index, (old, new) in enumerate(zip(before.sub_tasks, after.sub_tasks, strict=True)):
            bound = after.plan.nodes[after.plan.node_of[index]].agents[index - after.plan.first[after.plan.node_of[index]]] is None
            if old.unsure:
                waits = old.agent in after.recalled or (bound and bool(after.recalled))
                require(8, new.unsure == waits, "the dag waits for who is gone" if new.unsure else "nobody waits for who is silent")
                require(7, new.unsure or (new.unconfirmed and new.broken), "what is not known is not left to a person")
                require(7, not new.done and not new.undone, "what is not known counts as known")
            elif Checker._carrier(before, index) == word.agent:
                again = new.attempt > old.attempt and not old.live  # a retry whose turn has come
                require(8, again or not (new.live or new.resting), "something waits for who is gone")

    @staticmethod
    def _carrier(dag: Dag, index: int) -> Any:
        """Who carries it out."""
        node = dag.plan.node_of[index]
        planned = dag.plan.nodes[node]
        at_home = planned.at_home or planned.agents[index - dag.plan.first[node]] is None
        return dag.home.agent if dag.home.kind is HomeKind.AGENT and at_home else dag.sub_tasks[index].agent

    def _outcome(self, before: Dag, after: Dag, ended: Ended, pair: tuple[SubTask, SubTask], node: NodePlan) -> None:
        """What an attempt came to when its agent ended it."""
        old, new = pair
        stopped = old.stopping is Stopping.ASKED
        if ended.ok and not (stopped and old.mark is Mark.DUE):
            require(4, new.state is State.SUCCEEDED, "over beats cancelled: it ended well")
            return
        allowed = node.retries if old.retries is None else old.retries
        if after.halt_reason and not before.halt_reason:
            return
        rests = not ended.ok and not stopped and not before.cancelled and not before.halt_reason and old.auto_retries < allowed
        require(7, new.resting == rests, "it should rest" if rests else "it should be FAILED")
        require(7, new.auto_retries == old.auto_retries + rests, "automatic retries are not counted")
        require(7, rests or (new.state is State.FAILED and new.mark is Mark.NO), "it should be FAILED, without a mark")

    def _effects(self, before: Dag, events: Sequence[Any], after: Dag, effects: Sequence[Any], state: State) -> None:
        dispatched = [e.sub_task for e in effects if isinstance(e, Dispatch)]
        interrupted = {e.sub_task: e.cause for e in effects if isinstance(e, Interrupt)}
        require(6, len(dispatched) == len(set(dispatched)), "an order was named twice")
        require(6, all(after.sub_tasks[i].live for i in dispatched), "an order of what is not live")
        woken = any(isinstance(e, Wake) for e in events)
        for index, new in enumerate(after.sub_tasks):
            old = before.sub_tasks[index]
            if after.recalled_at:
                continue
            if (new.attempt > old.attempt and new.state is State.READY) or (woken and new.live and not new.stopping):
                require(6, index in dispatched, f"the open order of {index} was not named")
            must = new.stopping is not old.stopping or new.stopping_at > old.stopping_at or woken
            if must and state is not State.SUCCEEDED and ((new.live and new.stopping) or new.unconfirmed):
                require(6, interrupted.get(index) is new.stopping, f"the interrupt of {index} was not named")
        for index in interrupted:
            new = after.sub_tasks[index]
            require(6, (new.live and bool(new.stopping)) or new.unconfirmed, "an interrupt of what need not stop")
        for event in events:
            if isinstance(event, Started | Shown | Ended):
                old = before.sub_tasks[event.sub_task]
                if (event.epoch, event.attempt) < (old.epoch, old.attempt):
                    require(3, StopVerdict(event.sub_task, event.epoch, event.attempt) in effects, "a stale report was not told to stop")
                elif state is not State.SUCCEEDED and self._carrier(before, event.sub_task) == self._carrier(after, event.sub_task):
                    carrier = self._carrier(before, event.sub_task)
                    require(7, all(each.agent != carrier for each in after.gone), "who was heard of is still gone")
        settled = any(isinstance(e, Settled) for e in effects)
        require(6, settled == (state is State.SUCCEEDED), "settled, or not, and nobody was told")
        for index, new in enumerate(after.sub_tasks):
            old = before.sub_tasks[index]
            if new.unconfirmed and not old.unconfirmed:
                require(6, any(isinstance(e, Noted) and e.sub_task == index for e in effects), "given up without a word")

    def _dag(self, before: Dag, events: Sequence[Any], after: Dag, was: State, state: State, now: int, here: Any) -> None:
        plan = after.plan
        regressed = after.epoch > 1 and after.home.kind is HomeKind.CLUSTER
        if regressed:
            self._waiting(before, after, state)
        for child, planned in enumerate(plan.nodes if not regressed else ()):
            for parent in planned.upstream:
                stacked = node_done(after, parent) or node_undone(after, child)
                require(1, stacked, f"node {child} is not undone on a node {parent} that is not done")
        for index, sub_task in enumerate(after.sub_tasks):
            if (sub_task.live or sub_task.resting) and not regressed:
                node = plan.node_of[index]
                require(1, all(node_done(after, p) for p in plan.nodes[node].upstream), f"{index} is live before its upstream is done")
                require(1, all(node_undone(after, c) for c in plan.downstream[node]), f"{index} is live under what is not undone")
        require(10, before.skipped_undo <= after.skipped_undo, "a skip was forgotten")
        if any(s.operator is Operator.SKIP for s in after.sub_tasks):
            require(10, after.skipped_undo, "a skip was not written down")
        if state is State.SUCCEEDED and after.operator is Operator.ROLLBACK:
            require(10, all(s.undone for s in after.sub_tasks), "rolled back, and something is not undone")
        if state is State.SUCCEEDED and after.operator is Operator.RUN:
            require(10, all(s.done for s in after.sub_tasks), "succeeded, and something is not done")
        require(8, self.rules.settled(after) == (state is State.SUCCEEDED), "settled is not SUCCEEDED")
        require(8, self.rules.holds_lock(after) == self._lock(after, state), "the lock is wrong")
        require(8, bool(after.ended_at) == (state in (State.FAILED, State.SUCCEEDED)), "ended_at contradicts the state")
        if after.ended_at != before.ended_at and after.ended_at:
            require(8, after.ended_at == now and was is not state, "ended at another time")
        if any(isinstance(e, Wake) for e in events):
            self._woken(after, state, now, here)
        if before.paused is not None and after.paused is None and not any(isinstance(e, Resume | Pass) for e in events):
            require(7, 0 < before.paused.until <= now, "a pause ended too early")
        if was is State.FAILED and state is not State.FAILED and not regressed:
            require(4, any(not isinstance(e, REPORTS) for e in events), "a FAILED dag went on, though nobody asked")
        if state is State.RUNNING and not after.recalled_at:
            require(8, self._waits(after), "RUNNING, with nothing to wait for")
        if state is State.FAILED:
            require(11, self.way_on(after), "FAILED, and nothing is legal")
        require(8, self._stage(after, state) == self.rules.stage(after), "the stage is wrong")
        for event in events:
            if isinstance(event, Rollback):
                require(10, after.operator is Operator.ROLLBACK and not after.cancelled and not after.approvals, "a rollback half asked")
            if not isinstance(event, REPORTS) and after.asks != before.asks and state is not State.SUCCEEDED:
                require(8, state is State.READY, "asked, and not READY")

    @staticmethod
    def _told(before: Dag, events: Sequence[Any], after: Dag, effects: Sequence[Any]) -> None:
        """A later fence is the truth, outcome included; the silent are unsure; who is awaited is asked."""
        require(8, not after.recalled_at or bool(after.recalled), "it waits for nobody")
        if any(isinstance(e, Wake) for e in events) and true_state(after) is not State.SUCCEEDED:
            require(6, all(Recall(agent) in effects for agent in after.recalled), "an agent that is silent was not recalled")
        for event in events:
            if isinstance(event, Started | Shown | Ended):
                plan, index = after.plan, event.sub_task
                bound = plan.nodes[plan.node_of[index]].agents[index - plan.first[plan.node_of[index]]] is None
                heard = (after.sub_tasks[index].epoch, after.sub_tasks[index].attempt) >= (event.epoch, event.attempt)
                require(
                    3,
                    heard or true_state(before) is State.SUCCEEDED or (bound and not isinstance(event, Ended)),
                    "a later fence was not believed",
                )
            for fact in event.facts if isinstance(event, Facts) else ():
                new = after.sub_tasks[fact.sub_task]
                fence, known = (fact.epoch, fact.attempt), (new.epoch, new.attempt)
                require(3, known >= fence, "a later fact was not believed")
                old = before.sub_tasks[fact.sub_task]
                require(7, fence <= (old.epoch, old.attempt) or bool(after.halt_reason), "a later fact does not halt the dag")
                if known == fence > (old.epoch, old.attempt) and not fact.running:
                    truth = State.SUCCEEDED if fact.ok else State.FAILED
                    require(4, new.state is truth, "what a later fact came to was not believed")
            if isinstance(event, Facts):
                require(7, all(each.agent != event.agent for each in after.gone), "who speaks is gone")
                Checker._still_unknown(before, after, events)
        if any(isinstance(e, PatiencePassed) for e in events) and before.recalled_at and after.recalled == before.recalled:
            for sub_task in after.sub_tasks:
                said = sub_task.state is State.SUCCEEDED and sub_task.operator in (Operator.PASS, Operator.SKIP)
                require(7, sub_task.agent not in after.recalled or said or sub_task.unsure, "the silent are believed idle")

    @staticmethod
    def _still_unknown(before: Dag, after: Dag, events: Sequence[Any]) -> None:
        """What an agent that is gone may have done as the maintainer is not undone because another one did not."""
        named = {fact.sub_task for event in events if isinstance(event, Facts) for fact in event.facts}
        named |= {event.sub_task for event in events if isinstance(event, Started | Shown | Ended)}
        for index, (old, new) in enumerate(zip(before.sub_tasks, after.sub_tasks, strict=True)):
            bound = after.plan.nodes[after.plan.node_of[index]].agents[index - after.plan.first[after.plan.node_of[index]]] is None
            if old.unsure and bound and after.gone and index not in named:
                require(7, not new.undone and not new.done, "what a gone agent may have done counts as never begun")

    @staticmethod
    def _waiting(before: Dag, after: Dag, state: State) -> None:
        """After the store went back: who waits readies nothing; what is readied stands on all that it needs, however far."""
        begun = [i for i, s in enumerate(after.sub_tasks) if s.attempt > before.sub_tasks[i].attempt and s.state is State.READY]
        require(7, not begun or not after.recalled_at, "a waiting dag readied something")
        require(8, not after.recalled_at or state is State.RUNNING, "a waiting dag is not RUNNING")
        for index in begun:
            node = after.plan.node_of[index]
            back = after.sub_tasks[index].operator is Operator.ROLLBACK
            for other in _all_beyond(after, node, back=True) if back else ():
                require(1, node_undone(after, other), f"{index} is undone under {other}, which is not undone")
            for other in _all_beyond(after, node, back=False) if after.operator is Operator.RUN else ():
                require(1, node_done(after, other), f"{index} begins on {other}, which is not done")

    @staticmethod
    def _woken(dag: Dag, state: State, now: int, here: Any) -> None:
        """What cannot be so after a wake."""
        if dag.recalled_at:
            return
        if state is State.READY:
            require(6, not dag.cancelled and (dag.paused is not None or now < dag.not_before), "woken, and not picked up")
        require(6, dag.paused is None or not 0 < dag.paused.until <= now, "a pause outlived its end")
        lost = [i for i, s in enumerate(dag.sub_tasks) if s.live and bound_elsewhere(dag, i, here)]
        require(6, not lost, f"{lost} wait for a maintainer that is gone")
        for index, sub_task in enumerate(dag.sub_tasks):
            node = dag.plan.nodes[dag.plan.node_of[index]]
            if sub_task.live and sub_task.stopping:
                require(6, sub_task.stopping_at == now or now < sub_task.stopping_at + node.grace, "stopping past its grace")
            elif sub_task.live and sub_task.state is State.READY:
                require(6, now < sub_task.readied_at + node.patience, "READY past its patience")
            elif sub_task.live:
                require(6, now < (sub_task.deadline or sub_task.started_at + node.timeout), "RUNNING past its timeout")
            elif sub_task.resting and dag.paused is None:
                require(6, now < sub_task.retry_at, "rests past its time")

    def way_on(self, dag: Dag) -> bool:
        """Some request, of the dag, a node or a sub-task, would be granted.

        While something is unsure, a person can say of each agent that it is gone; what a gone one left can be passed or skipped."""
        if any(sub_task.unsure for sub_task in dag.sub_tasks):
            return bool(dag.recalled) and all(self.rules.guard(dag, Gone(agent, "w", "y")) is None for agent in dag.recalled)
        gone = {each.agent for each in dag.gone}
        back = dag.operator is Operator.ROLLBACK
        for index, sub_task in enumerate(dag.sub_tasks):
            if sub_task.broken and self._carrier(dag, index) in gone:
                require(
                    11, self.rules.guard(dag, Skip(index) if back else Pass(sub_task=index)) is None, "nobody can do without who is gone"
                )
        if self.rules.allowed_operators(dag):
            return True
        asks: list[Any] = [Pass(node=n) for n in range(len(dag.plan.nodes))]
        return any(self.rules.guard(dag, ask) is None for ask in asks)

    @staticmethod
    def _lock(dag: Dag, state: State) -> bool:
        if dag.maintenance.kind is MaintenanceKind.NONE or state is State.SUCCEEDED:
            return False
        if dag.not_before > 0 and max(s.attempt for s in dag.sub_tasks) == 0:
            return False
        broken = [dag.plan.nodes[dag.plan.node_of[i]] for i, s in enumerate(dag.sub_tasks) if s.broken]
        return not (state is State.FAILED and broken and all(node.flags.release_on_failure for node in broken))

    @staticmethod
    def _waits(dag: Dag) -> bool:
        if dag.paused is not None or any(s.state in (State.READY, State.RUNNING) for s in dag.sub_tasks):
            return True
        held = (n for n, node in enumerate(dag.plan.nodes) if node.approval and n not in dag.approvals and not node_done(dag, n))
        return dag.operator is Operator.RUN and any(all(node_done(dag, p) for p in dag.plan.nodes[n].upstream) for n in held)

    @staticmethod
    def _stage(dag: Dag, state: State) -> int:
        count = len(dag.plan.nodes)
        broken = [dag.plan.node_of[i] for i, s in enumerate(dag.sub_tasks) if s.broken]
        if dag.operator is Operator.ROLLBACK:
            if state is State.FAILED and broken:
                return max(broken) + 1
            return max((n + 1 for n in range(count) if not node_undone(dag, n)), default=1)
        if dag.operator is Operator.PASS:
            late = [dag.plan.node_of[i] for i, s in enumerate(dag.sub_tasks) if s.operator is Operator.PASS and s.ended_at == dag.ended_at]
            return min(late, default=count - 1) + 1
        if state is State.FAILED and broken:
            return min(broken) + 1
        return min((n + 1 for n in range(count) if not node_done(dag, n)), default=count)

    def _deep(self, events: Sequence[Any], after: Dag, now: int, here: Any) -> None:
        counted, fresh = self.rules.tally_of(after), self.rules.tally(after)
        for name in ("not_done", "not_undone", "up", "down", "not_done_total", "not_undone_total", "going", "broken", "marked"):
            require(8, getattr(counted, name) == getattr(fresh, name), f"the count {name} went wrong")
        due = self.rules.next_timer(after)
        require(8, not due or not after.started_at or 0 < counted.timer <= due, f"something is due at {due}, the bound is {counted.timer}")
        if not isinstance(events[0], REPORTS):
            return
        reports = [e for e in events if not isinstance(e, Wake)]
        if not any(isinstance(e, Facts) for e in events):  # A report that came before the fact it needs is heard the second time.
            again, _ = self.rules.advance(after, reports, now=now, here=here, epoch=after.epoch)
            require(5, again is after, "the same reports again changed it again")
        woken, effects = self.rules.advance(after, [Wake()], now=now, here=here, epoch=after.epoch)
        require(6, woken is after, "after a report, a wake found something to do")
        if true_state(after) is not State.SUCCEEDED:
            named = {(type(e), e.sub_task) for e in effects if isinstance(e, Dispatch | Interrupt)}
            opened = {(type(e), e.sub_task) for e in self.rules.open_dispatches(after) if isinstance(e, Dispatch | Interrupt)}
            require(6, named == opened, "a wake and a restart name different orders")
            timers = [e.at for e in effects if isinstance(e, Timer)]
            wanted = [due] if due and true_state(after) is not State.FAILED else []
            require(6, timers == wanted, f"a wake named the timers {timers}, due is {wanted}")
