"""Advances the dags of one home: one turn at a time, begun by reports, requests, signals and timers, never by a tick.

A turn takes everything that is queued, advances each dag once, saves all of it in one group commit, and only then carries out what
follows. So nothing is answered, dispatched or begun that is not durable. For an agent home, sub-tasks that a free worker of this process
can take are RUNNING in the same commit that made them READY: the dag's own row is their inbox.

Invariants: only whoever holds the turn changes a dag of the home (while it is served here); what could not be saved is tried again
before anything newer of the same dag; a dag that cannot be advanced is set aside with its reason and stops no other.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Literal, TypeVar

from oboe.domain import events, fold
from oboe.domain.errors import Bug, OboeError, Refused, TryAgain
from oboe.domain.messages import Fence, Phase, Recollection, Report, Verdict
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, Address, State
from oboe.engine.going_back import GoingBack
from oboe.engine.hands import Hands
from oboe.engine.limits import Limits
from oboe.engine.live import Listener, Live
from oboe.engine.ports import Change, DagStore, Draft
from oboe.engine.turn import Asked, Born, Case, Item, Named, Told, Woken, gather

__all__ = ["Scheduler"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Scheduler:
    """One home that this agent serves. Thread-safe from outside."""

    def __init__(
        self,
        store: DagStore,
        hands: Hands,
        *,
        here: Address,
        limits: Limits,
        epoch: int = 1,
        clock: Callable[[], int] = time.time_ns,
        unfit: Callable[[Dag], str] = lambda dag: "",
        going_back: GoingBack | None = None,
    ) -> None:
        """``unfit`` says why a dag cannot be carried out here at all; empty: it can."""
        self.store = store
        self.epoch = epoch
        self._hands = hands
        self._here = here
        self._limits = limits
        self._clock = clock
        self._unfit = unfit
        self._items: deque[Item] = deque()
        """What came in, taken out under `_turning` only: what one worker posts is met in its order, whoever does the turn."""
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._going_back = going_back
        self._live = Live()
        self._carried: list[Item] = []
        """What could not be saved; goes first into the next turn."""
        self._tries = 0
        self._resume_at = 0.0
        self._net_at = 0.0
        self._aside: dict[str, str] = {}
        self._held: set[str] = set()
        """Dags whose time to start has come, and that wait for a maintenance lock; every lock that is released wakes them."""
        self._trouble = ""
        self._closing = False
        self._turning = threading.Lock()
        """Held for a turn: by the scheduler's thread, or by a worker that reports its end."""
        self._sleeps_until = 0.0
        self._thread = threading.Thread(target=self._serve, name="scheduler", daemon=True)
        hands.attach(self.post, self._poke)

    # From outside

    def start(self) -> None:
        """Take up what is not settled, and serve. Never raises: a store that is away is tried again."""
        self._net_at = time.monotonic()
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Finish what is queued, then end."""
        self._closing = True
        self._bell.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._live.close()

    def submit(self, draft: Draft) -> Dag:
        """Create the dag in the home, durably, and have it begun. `Refused` ``maintenance.held``; `TryAgain`."""
        dag = self.store.create(draft)
        # One that was there already may have gone on since it was read: the turn looks for itself.
        self._put(Born(dag) if dag.version == 1 else Woken(dag.key))
        return dag

    def ask(self, key: str, event: events.Event, timeout: float = 10.0) -> Dag:
        """Ask something of a dag; the dag as it is durable now. `Refused`, or `TryAgain` when that could not be had in time."""
        granted: Future[Dag] = Future()
        self._admit(Asked(key, event, granted))
        return _outcome(granted, timeout)

    def signal(self, key: str, name: str, payload: object = None, timeout: float = 10.0) -> Dag:
        """Give a dag a signal; durable when answered, and once however often it is given."""
        return self.ask(key, events.Signalled(name, payload), timeout)

    def report(self, report: Report, timeout: float = 10.0) -> Verdict:
        """Hear an agent's report; durable when answered."""
        return _outcome(self.told(report), timeout)

    def told(self, report: Report) -> Future[Verdict]:
        """The same for who does not wait: all that is told before a turn begins is heard in it. Callbacks run in the turn: be quick."""
        if self._going_back is not None:
            self._going_back.hear(report.fence.epoch, self.epoch)
        heard: Future[Verdict] = Future()
        self._admit(Told(report, heard))
        return heard

    def post(self, report: Report) -> None:
        """A report of a worker of this very process, which waits for no answer.

        A worker whose step is over does the turn itself if nobody does one: handing it over would cost more than the turn."""
        if report.phase is Phase.ENDED and not self._closing and self._turning.acquire(blocking=False):
            try:
                self._items.append(report)
                self._do(self._drained())
                if self._closing or self._wake_time() < self._sleeps_until:
                    self._poke()
            finally:
                self._turning.release()
        else:
            self._put(report)

    def _poke(self) -> None:
        self._bell.put(None)

    def _put(self, item: Item) -> None:
        self._items.append(item)
        if self._bell.empty():  # else whoever takes that ring out takes this item out after it
            self._bell.put(None)

    def nudge(self, key: str) -> None:
        """Have a look at that dag."""
        self._put(Woken(key))

    def get(self, key: str) -> Dag | None:
        """As it was last saved; from memory if it is live, else from the store."""
        return self._live.dags.get(key) or self.store.load(key)

    def wait_version(self, key: str, known_version: int, timeout: float) -> Dag | None:
        """The dag once its version is past ``known_version``, after ``timeout`` seconds as it stands; None: there is none."""
        return self._live.wait_version(key, known_version, timeout, self.store.load)

    def watching(self, key: str) -> AbstractContextManager[threading.Event]:
        """Set by whatever is saved of that dag from now on: a change, or lines."""
        return self._live.watching(key)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every change; the answer ends it."""
        return self._live.listen(listener)

    def unlisten(self, listener: Listener) -> None:
        self._live.unlisten(listener)

    def is_open(self, fence: Fence) -> bool:
        """Whether that attempt is live, and not told to stop."""
        dag = self._live.dags.get(fence.dag_key)
        if dag is None:
            return False
        sub_task = dag.sub_tasks[fence.sub_task]
        return (sub_task.epoch, sub_task.attempt) == (fence.epoch, fence.attempt) and sub_task.live and not sub_task.stopping

    @property
    def trouble(self) -> str:
        """Why the store could not be written when it was last tried; empty when it could."""
        return self._trouble

    @property
    def set_aside(self) -> dict[str, str]:
        """Dags that cannot be read or advanced, with the reason."""
        unread = {one.key: one.reason for one in getattr(self.store, "poisoned", ())}
        return unread | self._aside

    @property
    def live_count(self) -> int:
        return len(self._live.dags)

    def _admit(self, item: Item) -> None:
        if self._closing:
            raise TryAgain("engine.stopping", "this agent stops serving that home")
        if len(self._items) + len(self._carried) > self._limits.queue_max:
            raise TryAgain("engine.busy", "too much is waiting for the scheduler", after_seconds=1)
        self._put(item)

    # The store went back

    def recalled(self, agent: Address, recollection: Recollection, timeout: float = 10.0) -> frozenset[str]:
        """Take up what an agent named; durable when answered. The keys of dags that this home does not know."""
        heard = []
        for dag in self.store.unsettled():
            if agent in dag.recalled:
                facts = tuple(fact for fact in recollection.dags.get(dag.key, ()) if 0 <= fact.sub_task < dag.plan.size)
                named = Named(dag.key, events.Facts(agent, facts), Future())
                self._admit(named)
                heard.append(named.heard)
        for future in heard:
            _outcome(future, timeout)
        return frozenset(recollection.dags) - frozenset(self.store.versions(list(recollection.dags)))

    def end_recall(self) -> None:
        """Maintenance locks are granted again; who waits for one looks."""
        self.store.end_recall()
        for key in tuple(self._held):
            self.nudge(key)

    # The thread

    def _serve(self) -> None:
        while not self._closing or self._items:
            with suppress(Empty):
                self._bell.get(timeout=max(0.0, self._sleeps_until - time.monotonic()))
            with self._turning:
                self._do(self._drained())
                self._sleeps_until = self._wake_time()
        with self._turning:
            for item in self._carried:
                _fail(item, TryAgain("engine.stopping", "this agent stops serving that home"))

    def _drained(self) -> list[Item]:
        """What has come in. Holds the turn. Rings go first: whatever comes in after that rings again."""
        with suppress(Empty):
            while True:
                self._bell.get_nowait()
        items: list[Item] = []
        with suppress(IndexError):
            while len(items) < self._limits.batch_max:
                items.append(self._items.popleft())
        if self._items:
            self._poke()
        return items

    def _do(self, items: list[Item]) -> None:
        """A turn with these, what was carried, and what is due. Holds the turn; never raises."""
        if time.monotonic() < self._resume_at:
            self._carried += items
            return
        if self._going_back is not None and self._going_back.seen:
            self._back_off(items, TryAgain("store.went_back", "the cluster's store went back"))
            return
        if self._carried:
            items, self._carried = self._carried + items, []
        items.extend(Woken(key) for key in self._live.due(self._clock()))
        if time.monotonic() >= self._net_at:
            items.extend(self._net())
        try:
            self._turn(items)
        except TryAgain as error:
            self._back_off(items, error)
        except Exception as error:  # noqa: BLE001 - a turn must not end the thread; the dags' own errors are met further down
            _log.exception("a turn failed")
            self._back_off(items, TryAgain("engine.turn_failed", f"{type(error).__name__}: {error}"))

    def _wake_time(self) -> float:
        """When something is due by time alone, in monotonic seconds."""
        if self._carried:
            return self._resume_at
        timer = self._live.next_time
        if not timer:
            return self._net_at
        return min(self._net_at, time.monotonic() + (timer - self._clock()) / SECOND)

    def _net(self) -> list[Item]:
        """The safety net: what the home has open, in case an effect or a message was lost. At the start it finds everything."""
        self._net_at = time.monotonic() + self._limits.safety_net_seconds
        try:
            dags = self.store.unsettled()
            if self._going_back is not None:
                self._compare_all(dags, self._going_back)
        except Exception as error:  # noqa: BLE001 - a store that is away, or worse: what is live goes on, and the next look is near
            if not isinstance(error, TryAgain):
                _log.exception("reading what is not settled")
            self._trouble = str(error)
            self._net_at = time.monotonic() + self._limits.backoff_seconds_max / 2
            return []
        self._trouble = ""
        found: list[Item] = []
        for dag in dags:
            known = self._live.dags.get(dag.key)
            if known is not None and known.version < dag.version:
                self._live.drop(dag.key)
                known = None
            found.append(Woken(dag.key) if known else Born(dag))
        return found

    def _compare_all(self, dags: Iterable[Dag], going_back: GoingBack) -> None:
        """What is live, and what the store has of it."""
        found = {dag.key: dag for dag in dags}
        for key, known in tuple(self._live.dags.items()):
            going_back.compare(known, found.get(key) or self.store.load(key))

    def _back_off(self, items: list[Item], error: TryAgain) -> None:
        """Keep what came in, and wait a while."""
        self._trouble = error.message
        self._tries += 1
        limits = self._limits
        pause = min(limits.backoff_seconds_max, limits.backoff_seconds_min * 2 ** min(self._tries, 16))
        self._resume_at = time.monotonic() + pause
        self._carried = [item for item in items if not _given_up(item)]
        if self._closing:
            for item in self._carried:
                _fail(item, error)
            self._carried = []

    # A turn

    def _turn(self, items: Iterable[Item]) -> None:
        if not items and not self._hands.waiting:
            return
        cases = gather(items)
        for tries in range(self._limits.stale_tries_max):
            ready = self._open(cases, fresh=tries > 0)
            stale = self._save(ready)
            if not stale:
                break
            cases = {case.key: case for case in stale}
        else:
            self._carry_stale(cases)
            return
        self._tries, self._resume_at, self._trouble = 0, 0.0, ""

    def _carry_stale(self, cases: dict[str, Case]) -> None:
        """They keep being changed elsewhere; the others of this turn are saved."""
        items = [item for case in cases.values() for item in (*case.items, Woken(case.key))]
        self._back_off(items, TryAgain("store.stale", f"{len(cases)} dags are being changed elsewhere"))

    def _open(self, cases: dict[str, Case], *, fresh: bool) -> dict[str, Case]:
        """Load and advance; those that can be saved."""
        now = self._clock()
        ready: dict[str, Case] = {}
        for case in cases.values():
            for report, _ in case.told:
                if report.phase is Phase.ENDED:
                    self._hands.forget(report.fence)
            if case.key in self._aside and not case.asks_cancel:
                self._refuse(case, TryAgain("dag.set_aside", self._aside[case.key], after_seconds=60))
                continue
            known = self._live.dags.get(case.key)
            if fresh:
                self._live.drop(case.key)
            try:
                dag = self._live.dags.get(case.key) or (None if fresh else case.born) or self.store.load(case.key)
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
        self._hands.begin(ready, self._case_of, now=now, epoch=self.epoch)
        return ready

    def _decide(self, case: Case, *, now: int) -> None:
        """Advance it. What cannot be carried out here stands still, but it can be cancelled: then nothing of it is to be carried out."""
        dag = case.before
        assert dag is not None
        reason = "" if case.key in self._live.dags or fold.settled(dag) or _halted(dag) else self._unfit(dag)
        if reason and not case.asks_cancel:
            raise Refused("dag.unfit", reason)
        case.wake = case.wake and not reason
        case.decide(now=now, here=self._here, epoch=self.epoch)
        if reason and (case.after is None or not _halted(case.after)):
            raise Refused("dag.unfit", reason)

    def _case_of(self, key: str) -> Case | None:
        """A case for a dag of which nothing came in, but a sub-task waits for a worker."""
        dag = self._live.dags.get(key)
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
            return dict(self.store.save(changes, lines))
        except TryAgain:
            self._hands.withdraw(cases.values())
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one dag must not stop the others
            if len(cases) == 1:
                (case,) = cases.values()
                self._hands.withdraw([case])
                self._set_aside(case, error)
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
        self._live.put(before, after, keep=keep, spoke=bool(case.lines))
        if case.asks_cancel and _halted(after):
            self._aside.pop(case.key, None)
        for effect in case.effects:
            if isinstance(effect, events.Timer):
                self._live.wake_at(case.key, effect.at)
        if after.recalled_at and self._going_back is not None:
            self._live.wake_at(case.key, self._going_back.patience_ends(after))
        if case.wake and keep and not case.held:
            self._live.time_again(case.key)
        if self._held:
            self._nudge_held(case)
        for report, heard in case.told:
            if heard is not None:
                _answer(heard, case.verdict(report))
                if before is after and fold.settled(after):
                    self._hands.settled_long_ago(report)
        for named in case.named:
            _answer(named.heard, Verdict.HEARD)
        for asked in case.asked:
            refusal = case.refusals.get(id(asked.granted))
            if refusal is not None:
                _fail(asked, refusal)
            else:
                _answer(asked.granted, after)
        self._hands.carry_out(case)

    def _nudge_held(self, case: Case) -> None:
        """A lock may have become free: who waits for one looks again."""
        assert case.before is not None
        assert case.after is not None
        if case.after.key in self._held and (fold.begun(case.after) or fold.settled(case.after)):
            self._held.discard(case.key)
        if fold.holds_lock(case.before) and not fold.holds_lock(case.after):
            for key in self._held:
                self._put(Woken(key))

    def _lost_lock(self, case: Case, refusal: Refused) -> None:
        """A start, or a request, would have needed a maintenance lock that another dag holds: the start waits, the request is refused."""
        if case.before is not None and case.before.not_before and not fold.begun(case.before) and not case.held:
            case.held = True
            self._held.add(case.key)
            return
        for asked in case.asked:
            _fail(asked, refusal)
        case.asked = []

    def _unknown(self, case: Case) -> None:
        """No such dag (any more): its agents may stop, its askers hear so."""
        for report, heard in case.told:
            if heard is not None:
                _answer(heard, Verdict.STOP)
                self._hands.settled_long_ago(report)
        for item in case.items:
            if isinstance(item, Asked | Named):
                _fail(item, Refused("task.not_found", "this home has no such dag"))

    def _refuse(self, case: Case, error: OboeError) -> None:
        for item in case.items:
            _fail(item, error)

    def _set_aside(self, case: Case, error: Exception) -> None:
        told = isinstance(error, OboeError)
        self._aside[case.key] = str(error) if told else f"{type(error).__name__}: {error}"
        _log.error("dag %s is set aside: %s", case.key, self._aside[case.key], exc_info=None if told else error)
        self._live.drop(case.key)
        why = self._aside[case.key]
        unfit = isinstance(error, Refused)
        self._refuse(case, TryAgain("dag.set_aside", why, after_seconds=60) if unfit else Bug("dag.set_aside", why))


def _halted(dag: Dag) -> bool:
    """Nothing of it begins unless a person asks."""
    return dag.cancelled or fold.dag_state(dag) is State.FAILED


def _answer(future: Future[object] | Future[Dag] | Future[Verdict], value: object) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(value)  # type: ignore[arg-type]


def _fail(item: Item, error: OboeError) -> None:
    future: Future[Verdict] | Future[Dag] | None
    future = item.heard if isinstance(item, Told | Named) else item.granted if isinstance(item, Asked) else None
    if future is not None and not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)


def _given_up(item: Item) -> bool:
    """Whoever asked does not wait any more."""
    return (isinstance(item, Told | Named) and item.heard.cancelled()) or (isinstance(item, Asked) and item.granted.cancelled())


def _outcome(future: Future[T], timeout: float) -> T:
    try:
        return future.result(timeout)
    except FutureTimeout:
        future.cancel()
        raise TryAgain("engine.slow", f"not durable within {timeout:g} s", hint="the home's store may be away") from None
