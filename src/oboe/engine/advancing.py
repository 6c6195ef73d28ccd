"""What a turn makes of the dags of one home: load and advance each, save all in one group commit, then carry out what follows.

Nothing is answered, dispatched or begun that is not durable. For an agent home, sub-tasks that a free worker of this process can take are
RUNNING in the same commit that made them READY: the dag's own row is their inbox. A dag that cannot be advanced is set aside with its
reason and stops no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Literal

from oboe.domain import events, fold
from oboe.domain.errors import Bug, OboeError, Refused, TryAgain
from oboe.domain.messages import Phase, Report, Verdict
from oboe.domain.model import Dag
from oboe.domain.values import Address, State
from oboe.engine.going_back import GoingBack
from oboe.engine.hands import Hands
from oboe.engine.limits import Limits
from oboe.engine.live import Live
from oboe.engine.ports import Change, DagStore
from oboe.engine.turn import Asked, Case, Item, Named, Told, Woken, gather

__all__ = ["Advancer", "fail"]

_log = logging.getLogger(__name__)


class Advancer:
    """For one home; used by whoever holds its scheduler's turn."""

    def __init__(
        self,
        store: DagStore,
        hands: Hands,
        *,
        here: Address,
        limits: Limits,
        epoch: int,
        clock: Callable[[], int],
        unfit: Callable[[Dag], str],
        going_back: GoingBack | None,
        wake: Callable[[str], None],
    ) -> None:
        """``wake`` has a dag looked at in a turn to come."""
        self._store = store
        self._hands = hands
        self._here = here
        self._limits = limits
        self._epoch = epoch
        self._clock = clock
        self._unfit = unfit
        self._going_back = going_back
        self._wake = wake
        self.live = Live()
        self.aside: dict[str, str] = {}
        """Dags that cannot be advanced, with the reason."""
        self._unwritten: dict[str, list[Report]] = {}
        """Those of them that the store would not take, with what this agent's workers have said of them since."""
        self.held: set[str] = set()
        """Dags whose time to start has come, and that wait for a maintenance lock; every lock that is released wakes them."""

    def advance(self, items: Iterable[Item]) -> list[Item]:
        """Each dag once, saved together, with what follows from it; what keeps being changed elsewhere, for another time. `TryAgain`."""
        if not items and not self._hands.waiting:
            return []
        cases = gather(items)
        for tries in range(self._limits.stale_tries_max):
            ready = self._open(cases, fresh=tries > 0)
            stale = self._save(ready)
            if not stale:
                return []
            cases = {case.key: case for case in stale}
        return [item for case in cases.values() for item in (*case.items, Woken(case.key))]

    def reconsider(self) -> list[Item]:
        """What the store would not take may have been its own trouble: each is tried again."""
        unwritten, self._unwritten = self._unwritten, {}
        items: list[Item] = []
        for key, reports in unwritten.items():
            self.aside.pop(key, None)
            items += [*reports, Woken(key)]
        return items

    def _open(self, cases: dict[str, Case], *, fresh: bool) -> dict[str, Case]:
        """Load and advance; those that can be saved."""
        now = self._clock()
        ready: dict[str, Case] = {}
        for case in cases.values():
            for report, _ in case.told:
                if report.phase is Phase.ENDED:
                    self._hands.forget(report.fence)
            if case.key in self.aside and not case.asks_cancel:
                self._refuse(case, TryAgain("dag.set_aside", self.aside[case.key], after_seconds=60))
                if case.key in self._unwritten:
                    self._keep_reports(case)
                continue
            known = self.live.dags.get(case.key)
            if fresh:
                self.live.drop(case.key)
            try:
                dag = self.live.dags.get(case.key) or (None if fresh else case.born) or self._store.load(case.key)
                if fresh and known is not None and self._going_back is not None:
                    self._going_back.compare(known, dag)
                if dag is None:
                    self._unknown(case)
                    continue
                case.open(dag)
                case.wake = case.wake or fresh
                if self._going_back is not None:
                    case.overdue = self._going_back.overdue(dag, now)
                self._decide(case, now=now)
            except TryAgain:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with this dag must not stop the others
                self._set_aside(case, error)
                continue
            ready[case.key] = case
        self._hands.begin(ready, self._case_of, now=now, epoch=self._epoch)
        return ready

    def _decide(self, case: Case, *, now: int) -> None:
        """Advance it. What cannot be carried out here stands still, but it can be cancelled: then nothing of it is to be carried out."""
        dag = case.before
        assert dag is not None
        reason = "" if case.key in self.live.dags or fold.settled(dag) or _halted(dag) else self._unfit(dag)
        if reason and not case.asks_cancel:
            raise Refused("dag.unfit", reason)
        case.wake = case.wake and not reason
        case.decide(now=now, here=self._here, epoch=self._epoch)
        if reason and (case.after is None or not _halted(case.after)):
            raise Refused("dag.unfit", reason)

    def _case_of(self, key: str) -> Case | None:
        """A case for a dag of which nothing came in, but a sub-task waits for a worker."""
        dag = self.live.dags.get(key)
        if dag is None:
            return None
        case = Case(key)
        case.open(dag)
        return case

    def _save(self, cases: dict[str, Case]) -> list[Case]:
        """One group commit, then what follows from it; those that lost a race."""
        refused = self._write(cases)
        stale: list[Case] = []
        for case in cases.values():
            answer = refused.get(case.key)
            if answer is None:
                self._saved(case)
            else:
                self._hands.withdraw([case])
                if isinstance(answer, Refused):
                    self._lost_lock(case, answer)
                stale.append(case)
        return stale

    def _write(self, cases: dict[str, Case]) -> dict[str, Literal["stale"] | Refused]:
        """What the store refuses, by key. A dag that it cannot write at all is found by writing one by one, and set aside."""
        changes = [
            Change(case.before, case.after) for case in cases.values() if case.before and case.after and case.after is not case.before
        ]
        lines = [line for case in cases.values() for line in case.lines]
        if not changes and not lines:
            return {}
        try:
            return dict(self._store.save(changes, lines))
        except TryAgain:
            self._hands.withdraw(cases.values())
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one dag must not stop the others
            if len(cases) == 1:
                (case,) = cases.values()
                self._hands.withdraw([case])
                self._set_aside(case, error)
                self._keep_reports(case)
                del cases[case.key]
                return {}
        refused: dict[str, Literal["stale"] | Refused] = {}
        alone = {key: {key: case} for key, case in cases.items()}
        for key, one in alone.items():
            refused |= self._write(one)
            if not one:
                del cases[key]
        return refused

    def _saved(self, case: Case) -> None:
        before, after = case.before, case.after
        assert before is not None
        assert after is not None
        keep = fold.dag_state(after) not in (State.SUCCEEDED, State.FAILED)
        self.live.put(before, after, keep=keep, spoke=bool(case.lines))
        if case.asks_cancel and _halted(after):
            self.aside.pop(case.key, None)
        for effect in case.effects:
            if isinstance(effect, events.Timer):
                self.live.wake_at(case.key, effect.at)
        if after.recalled_at and self._going_back is not None:
            self.live.wake_at(case.key, self._going_back.patience_ends(after))
        if case.wake and keep and not case.held:
            self.live.time_again(case.key)
        if self.held:
            self._nudge_held(case)
        for report, heard in case.told:
            if heard is not None:
                answer(heard, case.verdict(report))
                if before is after and fold.settled(after):
                    self._hands.settled_long_ago(report)
        for named in case.named:
            answer(named.heard, Verdict.HEARD)
        for asked in case.asked:
            refusal = case.refusals.get(id(asked.granted))
            if refusal is not None:
                fail(asked, refusal)
            else:
                answer(asked.granted, after)
        self._hands.carry_out(case)

    def _nudge_held(self, case: Case) -> None:
        """A lock may have become free: who waits for one looks again."""
        assert case.before is not None
        assert case.after is not None
        if case.after.key in self.held and (fold.begun(case.after) or fold.settled(case.after)):
            self.held.discard(case.key)
        if fold.holds_lock(case.before) and not fold.holds_lock(case.after):
            for key in self.held:
                self._wake(key)

    def _lost_lock(self, case: Case, refusal: Refused) -> None:
        """A start, or a request, would have needed a maintenance lock that another dag holds: the start waits, the request is refused."""
        if case.before is not None and case.before.not_before and not fold.begun(case.before) and not case.held:
            case.held = True
            self.held.add(case.key)
            return
        for asked in case.asked:
            fail(asked, refusal)
        case.asked = []

    def _unknown(self, case: Case) -> None:
        """No such dag (any more): its agents may stop, its askers hear so."""
        for report, heard in case.told:
            if heard is not None:
                answer(heard, Verdict.STOP)
                self._hands.settled_long_ago(report)
        for item in case.items:
            if isinstance(item, Asked | Named):
                fail(item, Refused("task.not_found", "this home has no such dag"))

    def _refuse(self, case: Case, error: OboeError) -> None:
        for item in case.items:
            fail(item, error)

    def _keep_reports(self, case: Case) -> None:
        """Nobody says them again; who waits for an answer does."""
        self._unwritten.setdefault(case.key, []).extend(item for item in case.items if isinstance(item, Report))

    def _set_aside(self, case: Case, error: Exception) -> None:
        told = isinstance(error, OboeError)
        self.aside[case.key] = str(error) if told else f"{type(error).__name__}: {error}"
        _log.error("dag %s is set aside: %s", case.key, self.aside[case.key], exc_info=None if told else error)
        self.live.drop(case.key)
        why = self.aside[case.key]
        unfit = isinstance(error, Refused)
        self._refuse(case, TryAgain("dag.set_aside", why, after_seconds=60) if unfit else Bug("dag.set_aside", why))


def _halted(dag: Dag) -> bool:
    """Nothing of it begins unless a person asks."""
    return dag.cancelled or fold.dag_state(dag) is State.FAILED


def answer(future: Future[object] | Future[Dag] | Future[Verdict], value: object) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(value)  # type: ignore[arg-type]


def fail(item: Item, error: OboeError) -> None:
    """Whoever waits for it hears so."""
    future: Future[Verdict] | Future[Dag] | None
    future = item.heard if isinstance(item, Told | Named) else item.granted if isinstance(item, Asked) else None
    if future is not None and not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)
