"""The agent's half: orders of homes that are kept elsewhere, carried out here and answered until they are acknowledged.

Invariants: an order is written down before it is answered, an outcome before it is reported. Attempt n+1 of a sub-task begins only when
attempt n has ended. An order below the highest attempt seen never begins; an interrupt of an attempt never seen is written down, and
answered Ended, so that a late order finds it. A known attempt is answered again with what it came to. What begins late, because this agent
was dead or busy for longer than the home waits, begins only when the home says that it still wants it: it may have given up, and a person
may have gone on without it. What is not loaded here waits, as long as its home does, for a life of this agent that loads it. Once this
agent has named its facts in an epoch of the cluster's store, it takes no order of an earlier one: what it named stays all that there is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from oboe.domain.errors import Refused, TryAgain, Unreachable
from oboe.domain.messages import Fence, Interrupt, Level, LogLine, Order, Phase, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind, Stopping
from oboe.engine.admission import Admission
from oboe.engine.executor import Executor
from oboe.engine.held import Held
from oboe.engine.leftovers import forget_commands
from oboe.engine.limits import Limits
from oboe.engine.outcome import STOPPED_TEXTS
from oboe.engine.ports import InboxEntry, InboxStore, Orphan
from oboe.engine.recollection import orphans_of, recollect
from oboe.engine.reporter import Reporter
from oboe.engine.reports import end_report, interrupted_line, shown_report, started_report, stop_line, unbegun_report
from oboe.engine.transcript import Waiting

__all__ = ["Inbox"]

_STRIPES = 64
_NOT_LOADED = "step.unknown"

_log = logging.getLogger(__name__)


class Inbox:
    """Thread-safe: what concerns one sub-task goes through one lock, so that stores can still group the commits of others."""

    def __init__(
        self, store: InboxStore, executor: Executor, reporter: Reporter, *, here: Address, limits: Limits, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._executor = executor
        self._reporter = reporter
        self._here = here
        self._limits = limits
        self._clock = clock
        self._stripes = [threading.RLock() for _ in range(_STRIPES)]
        self._held: dict[Fence, Held] = {}
        self._newest: dict[tuple[str, int], Fence] = {}
        """Of what is held, the latest attempt of each sub-task."""
        self._waiting: dict[Fence, Held] = {}
        """Of what is held, what has not begun."""
        self._epoch = 0
        """In which this agent has last named its facts."""
        self._recovered = False
        """Before that nothing is taken: what an earlier life left would look as if it had never begun."""
        self._closed = threading.Event()
        self._admission = Admission(self._admit, pause_seconds=limits.backoff_seconds_min, closed=self._closed)

    # From homes

    def order(self, order: Order) -> None:
        """Written down when this returns. `Refused` ``order.old_epoch``; `TryAgain` when it could not be written."""
        for refusal in self.orders((order,)):
            raise refusal

    def orders(self, orders: Sequence[Order]) -> list[Refused]:
        """Many of one home, of different sub-tasks, in one commit; why some are refused. `TryAgain` when they could not be written."""
        self._check_recovered()
        if len(self._held) >= self._limits.queue_max:
            raise TryAgain("inbox.full", f"{len(self._held)} orders are open on this agent", after_seconds=5)
        with ExitStack() as stripes:
            for place in sorted({self._place(order.fence) for order in orders}):  # in one order, as everybody who takes several
                stripes.enter_context(self._stripes[place])
            refused, fresh = self._sorted(orders)
            try:
                entries = self._store.accept_all(fresh) if fresh else []
            except BaseException:
                self._executor.give_back(sum(free for _, free in fresh))
                raise
            unused = 0
            for (order, free), entry in zip(fresh, entries, strict=True):
                if entry.unreadable and entry.ended is None:
                    self._take_up(entry, order)
                    unused += free
                elif entry.order is not None and entry.ended is None:
                    held = self._hold(Held(order))
                    if free:
                        self._begin(held)
                else:
                    unused += free
        if unused:
            self._executor.give_back(unused)
            self._admit_later()
        for (order, _), entry in zip(fresh, entries, strict=True):
            if entry.ended is not None:
                self._reporter.tell(order.home, order.maintainer, entry.ended)
        return refused

    def _sorted(self, orders: Sequence[Order]) -> tuple[list[Refused], list[tuple[Order, bool]]]:
        """Why some are refused; those not known yet, with whether a worker is reserved for them. Known ones are answered."""
        refused: list[Refused] = []
        fresh: list[tuple[Order, bool]] = []
        for order in orders:
            fence = order.fence
            if 0 < order.home_epoch < self._epoch and order.home.kind is HomeKind.CLUSTER:
                text = f"an order of epoch {order.home_epoch}; this agent was recalled in {self._epoch}"
                refused.append(Refused("order.old_epoch", text))
                continue
            held = self._held.get(fence)
            if held is not None:
                self._again(held, order)
                continue
            self._supersede(fence)
            free = self._loaded(order) and self._executor.knows(fence.dag_key, fence.sub_task) is None
            fresh.append((order, free and self._reserve()))
        return refused, fresh

    def interrupt(self, interrupt: Interrupt) -> None:
        """Written down, or passed on to the step, when this returns."""
        fence = interrupt.fence
        self._check_recovered()
        with self._stripe(fence):
            held = self._held.get(fence)
            if held is not None and (held.began or held.resumed):
                held.lost_at = 0.0
                self._reporter.redirect(fence, interrupt.maintainer)
                if not self._executor.interrupt(fence, interrupt.cause) and held.resumed:
                    self._leave(held, unbegun_report(interrupt, agent=self._here, at=self._clock()))
                return
            report = unbegun_report(interrupt, agent=self._here, at=self._clock())
            if held is not None:
                self._leave(held, report)
                return
            entry = self._store.get(fence)
            if entry is None:
                self._store.refuse(interrupt, report)
            elif entry.ended is None:
                self._store.end(report)
            else:
                report = entry.ended
        self._reporter.tell(interrupt.home, interrupt.maintainer, report)

    def settled(self, dag_key: str) -> None:
        """Its home says that the dag settled: what was done for it may be forgotten some time from now."""
        self._store.settle(dag_key, self._clock())

    def remind(self, ended_before: int) -> None:
        """Tell homes again what ended before that time, and of which they never said that the dag settled.

        A home that died between a dag's last save and its word to us says it now. One that does not answer is asked another time."""
        silent: set[tuple[Home, Address]] = set()
        for entry in self._store.unsettled():
            order, ended = entry.order, entry.ended
            if order is None or ended is None or ended.at >= ended_before or (order.home, order.maintainer) in silent:
                continue
            try:
                self._reporter.tell_again(order.home, order.maintainer, ended)
            except (TryAgain, Unreachable) as error:
                silent.add((order.home, order.maintainer))
                _log.info("whether dag %s settled is not known: %s", order.dag_id, error)

    def recover(self) -> None:
        """Take up what an earlier life of this agent left. Called once; no order is taken before."""
        self._epoch = self._store.epoch()
        for entry in self._store.open():
            if entry.order is None:
                # Interrupted before it was seen, or unreadable: its home names the interrupt, or the order, again until it is answered.
                continue
            if entry.ended is not None:
                self._reporter.tell(entry.order.home, entry.order.maintainer, entry.ended)
            else:
                if lines := self._store.lines(entry.fence):
                    self._reporter.tell(entry.order.home, entry.order.maintainer, self._shown(entry.order, lines))
                with self._stripe(entry.fence):
                    self._take_up(entry, entry.order)
        self._recovered = True
        self._admit_later()

    def recall(self, request: RecallAgent) -> Recollection:
        """The cluster's store may have gone back: all that this agent knows of its dags, and everything reported anew.

        `Refused` ``recall.old_epoch`` when it was asked in a later epoch."""
        self._check_recovered()
        if request.epoch < self._epoch:
            raise Refused("recall.old_epoch", f"asked in epoch {request.epoch}; this agent was recalled in {self._epoch}")
        with ExitStack() as stripes:  # an order that is being written down is named, a later one is refused
            for stripe in self._stripes:
                stripes.enter_context(stripe)
            entries = self._store.recall(request.epoch)
            self._epoch = request.epoch
        self._disown(request.orphans, entries)
        for entry in entries:
            if entry.order is not None and entry.ended is not None:
                self._reporter.tell(entry.order.home, request.maintainer, entry.ended)
        return recollect(entries, at=self._clock())

    def _disown(self, keys: Sequence[str], entries: Sequence[InboxEntry]) -> None:
        """Their home has lost them: what goes on for them ends, what they did is kept for people."""
        if not keys:
            return
        self._store.keep_orphans(orphans_of(keys, entries), self._clock())
        for fence in [fence for fence in tuple(self._held) if fence.dag_key in keys]:
            self.unwanted(fence)

    def orphans(self) -> list[Orphan]:
        """What was done here for dags that their home has lost."""
        return self._store.orphans()

    def stop_bound(self, home: HomeKind) -> None:
        """The lease is lost: what runs here because this agent maintained that home must not go on."""
        for fence, held in tuple(self._held.items()):
            if held.order.home.kind is home and held.order.maintainer == self._here:
                with self._stripe(fence):
                    held.lost_at = time.monotonic() if held.order.resumable else 0.0
                self._executor.interrupt(fence, Stopping.ASKED)

    def stop(self) -> None:
        self._closed.set()

    @property
    def open_count(self) -> int:
        """Orders that are not over."""
        return len(self._held)

    def lacking(self) -> list[tuple[Order, Waiting]]:
        """Orders whose steps are not loaded here."""
        return [(held.order, held.lacks) for held in tuple(self._waiting.values()) if held.lacks is not None]

    # From the reporter

    def acknowledged(self, fences: Sequence[Fence]) -> None:
        """Their homes have taken up the outcomes."""
        self._store.acknowledge(*fences)

    def unwanted(self, fence: Fence) -> None:
        """Its home goes on without it: end it."""
        with self._stripe(fence):
            held = self._held.get(fence)
            if held is None:
                return
            if not self._executor.interrupt(fence, Stopping.ASKED):
                self._leave(held, end_report(fence, held.order.operator, agent=self._here, at=self._clock()))

    # Inside

    def _check_recovered(self) -> None:
        if not self._recovered:
            raise TryAgain("agent.starting", "this agent has not yet taken up what it left", after_seconds=0.1)

    def _stripe(self, fence: Fence) -> threading.RLock:
        return self._stripes[self._place(fence)]

    @staticmethod
    def _place(fence: Fence) -> int:
        return hash((fence.dag_key, fence.sub_task)) % _STRIPES

    def _reserve(self) -> bool:
        return self._executor.reserve(1, starved=self._admit_later) == 1

    def _again(self, held: Held, order: Order) -> None:
        """The home names an open order again: it may have lost our word, be another agent now, or have new signals."""
        if order.signals != held.order.signals:
            self._executor.signalled(order.fence.dag_key, order.signals)
        if order.deadline > held.order.deadline:
            self._executor.extended(order.fence, order.deadline)
        held.since = time.monotonic()
        if not held.began:
            held.order, held.asked = order, False
            self._admit_later()  # whoever was asked whether it is still wanted may never answer
            return
        self._reporter.redirect(order.fence, order.maintainer)
        held.order = order
        self._reporter.tell(order.home, order.maintainer, self._started(order))

    def _supersede(self, fence: Fence) -> None:
        """A later attempt of the same sub-task: what has not begun yet never will; what runs must end first."""
        other = self._newest.get((fence.dag_key, fence.sub_task))
        if other is None or other > fence:
            return
        held = self._held[other]
        if held.began:
            self._executor.interrupt(other, Stopping.ASKED)
        else:
            line = stop_line(Stopping.ASKED, self._clock())
            self._leave(held, end_report(other, held.order.operator, agent=self._here, at=self._clock(), line=line))

    def _hold(self, held: Held) -> Held:
        fence = held.order.fence
        self._held[fence] = held
        if not held.began:
            self._waiting[fence] = held
            if not self._loaded(held.order):
                self._miss(held)
        self._newest[(fence.dag_key, fence.sub_task)] = fence
        return held

    def _loaded(self, order: Order) -> bool:
        return self._executor.tools.registry.has_step(order.step)

    def _miss(self, held: Held) -> None:
        """Its step is not loaded. Where it was RUNNING already, its log says so; else its home is not told that it begins."""
        order, at = held.order, self._clock()
        why = f"step {order.step} is not loaded here: bring its playbook back and start this agent again, or cancel the dag"
        held.lacks = Waiting(why, at, 0, 1)
        _log.warning("an order of dag %s %s waits: %s", order.dag_id, order.dag_name, why)
        if held.resumed:
            line = LogLine(at // 1000, at, Level.WARN, f"waits: {why}", _NOT_LOADED)
            self._reporter.tell(order.home, order.maintainer, self._shown(order, (line,)))

    def _leave(self, held: Held, report: Report) -> None:
        """It does not begin in this life: it has ended when nothing that an earlier life left of it goes on."""
        if held.lacks is not None:
            line = LogLine(report.at // 1000, report.at, Level.ERROR, held.lacks.why, _NOT_LOADED)
            report = replace(report, lines=(line, *report.lines))
        if not held.resumed:
            self._end(report)
            return
        held.began, held.resumed, held.lacks = True, False, None
        self._waiting.pop(report.fence, None)
        self._bury(report)

    def _bury(self, report: Report) -> None:
        self._executor.bury(report.fence, lambda lines: self._hear(replace(report, lines=(*lines, *report.lines))))

    def _started(self, order: Order) -> Report:
        return started_report(order, agent=self._here, at=self._clock())

    def _shown(self, order: Order, lines: Sequence[LogLine]) -> Report:
        return shown_report(order, lines, agent=self._here, at=self._clock())

    def _begin(self, held: Held) -> None:
        """On a slot that is reserved, and with its begin written down."""
        order = held.order
        resumed, held.began, held.resumed, held.lost_at = held.resumed, True, False, 0.0
        self._waiting.pop(order.fence, None)
        self._reporter.tell(order.home, order.maintainer, self._started(order))
        self._executor.start(order, self._hear, resumed=resumed)

    def _take_up(self, entry: InboxEntry, order: Order) -> None:
        if not entry.begun or order.resumable:
            self._hold(Held(order, resumed=entry.begun, since=0.0))
            return
        self._hold(Held(order, began=True))
        now = self._clock()
        self._bury(end_report(entry.fence, order.operator, agent=self._here, at=now, line=interrupted_line(now)))

    def _admit_later(self) -> None:
        if self._waiting:
            self._admission.want()

    def _admit(self) -> None:
        """Begin what waits, the oldest first, as far as there are workers."""
        room, ready = max(1, self._executor.free), list[Held]()
        for fence, held in tuple(self._waiting.items()):
            if self._executor.knows(fence.dag_key, fence.sub_task) is not None:
                continue  # an earlier attempt has not ended yet
            if held.lacks is not None or held.homeless:
                continue
            if held.doubtful:
                self._ask(held)
                continue
            ready.append(held)
            if len(ready) == room:
                break
        if ready:
            self._begin_all(ready)

    def _begin_all(self, ready: Sequence[Held]) -> None:
        """Those for which there is a slot, in one commit. `TryAgain`."""
        slots = self._executor.reserve(len(ready), starved=self._admit_later)
        try:
            with ExitStack() as stripes:
                for place in sorted({self._place(held.order.fence) for held in ready[:slots]}):
                    stripes.enter_context(self._stripes[place])
                fit = [held for held in ready[:slots] if self._may_begin(held)]
                if fit:
                    self._store.begin(*(held.order.fence for held in fit))
                for held in fit:
                    self._begin(held)
                    slots -= 1
        finally:
            if slots:
                self._executor.give_back(slots)

    def _may_begin(self, held: Held) -> bool:
        fence = held.order.fence
        return self._waiting.get(fence) is held and self._executor.knows(fence.dag_key, fence.sub_task) is None

    def _ask(self, held: Held) -> None:
        """Ask its home whether it still wants it; what it says decides. A home that is away is waited for."""
        if held.asked:
            return
        held.asked = True
        order = held.order
        self._reporter.ask(
            order.home,
            order.maintainer,
            self._started(order),
            lambda verdict: self._answered(held, verdict),
            wanted=lambda: held.asked and held.order is order and self._waiting.get(order.fence) is held,
        )

    def _answered(self, held: Held, verdict: Verdict) -> None:
        fence = held.order.fence
        with self._stripe(fence):
            if self._held.get(fence) is not held or held.began:
                return
            held.asked = False
            if verdict is Verdict.STOP:
                self.unwanted(fence)
                return
            if held.homeless:
                return  # another agent may be about to begin it
            held.since = time.monotonic()
        self._admit_later()

    def _hear(self, report: Report) -> None:
        """From a worker."""
        held = self._held.get(report.fence)
        if held is None:
            return
        if report.phase is Phase.ENDED:
            with self._stripe(report.fence):
                (self._put_back if held.lost_at and not report.ok else self._end)(report)
            self._admit_later()
        else:
            self._reporter.tell(held.order.home, held.order.maintainer, report)

    def _put_back(self, report: Report) -> None:
        """It has ended because its home was lost: nothing has come of it, but its lines."""
        held = self._held[report.fence]
        forget_commands(self._executor.tools.work_root, report.fence)
        if lines := [line for line in report.lines if line.text != STOPPED_TEXTS[Stopping.ASKED]]:
            self._reporter.tell(held.order.home, held.order.maintainer, self._shown(held.order, lines))
        held.began, held.resumed = False, True
        self._waiting[report.fence] = held
        self._executor.forget(report.fence)
        if held.homeless:
            self._ask(held)

    def _end(self, report: Report) -> None:
        """Durable, then reported."""
        held = self._held[report.fence]
        whole = self._reporter.whole(report)
        pause = self._limits.backoff_seconds_min
        while not self._closed.is_set():
            try:
                self._store.end(whole)
                break
            except TryAgain as error:
                _log.warning("an outcome waits to be written: %s", error)
                self._closed.wait(pause)
                pause = min(self._limits.backoff_seconds_max, pause * 2)
        else:
            return
        del self._held[report.fence]
        self._waiting.pop(report.fence, None)
        place = (report.fence.dag_key, report.fence.sub_task)
        if self._newest.get(place) == report.fence:
            del self._newest[place]
        self._executor.forget(report.fence)
        self._reporter.tell(held.order.home, held.order.maintainer, whole)
