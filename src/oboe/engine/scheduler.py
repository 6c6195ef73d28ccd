"""Advances the dags of one home: one turn at a time, begun by reports, requests, signals and timers, never by a tick.

A turn takes everything that is queued, and what is due; what it makes of it is `oboe.engine.advancing`'s.

Invariants: only whoever holds the turn changes a dag of the home (while it is served here); what could not be saved is tried again
before anything newer of the same dag.
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
from typing import TypeVar

from oboe.domain import events
from oboe.domain.errors import TryAgain
from oboe.domain.messages import Fence, Phase, Recollection, Report, Verdict
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, Address
from oboe.engine.advancing import Advancer, fail
from oboe.engine.going_back import GoingBack
from oboe.engine.hands import Hands
from oboe.engine.limits import Limits
from oboe.engine.live import Listener
from oboe.engine.ports import DagStore, Draft
from oboe.engine.turn import Asked, Born, Item, Named, Told, Woken, key_of

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
        self._limits = limits
        self._clock = clock
        self._items: deque[Item] = deque()
        """What came in, taken out under `_turning` only: what one worker posts is met in its order, whoever does the turn."""
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._going_back = going_back
        self._advancer = Advancer(
            store, hands, here=here, limits=limits, epoch=epoch, clock=clock, unfit=unfit, going_back=going_back, wake=self.nudge
        )
        self._live = self._advancer.live
        self._carried: list[Item] = []
        """What could not be saved; goes first into the next turn."""
        self._tries = 0
        self._resume_at = 0.0
        self._net_at = 0.0
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
        return self._outcome(granted, timeout)

    def signal(self, key: str, name: str, payload: object = None, timeout: float = 10.0) -> Dag:
        """Give a dag a signal; durable when answered, and once however often it is given."""
        return self.ask(key, events.Signalled(name, payload), timeout)

    def report(self, report: Report, timeout: float = 10.0) -> Verdict:
        """Hear an agent's report; durable when answered."""
        return self._outcome(self.told(report), timeout)

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
        return unread | self._advancer.aside

    @property
    def live_count(self) -> int:
        return len(self._live.dags)

    def _admit(self, item: Item) -> None:
        if self._closing:
            raise TryAgain("engine.stopping", "this agent stops serving that home")
        if len(self._items) + len(self._carried) > self._limits.queue_max:
            raise TryAgain("engine.busy", "too much is waiting for the scheduler", after_seconds=1)
        self._put(item)

    def _outcome(self, future: Future[T], timeout: float) -> T:
        try:
            return future.result(timeout)
        except FutureTimeout:
            future.cancel()
            why = f": {self._trouble}" if self._trouble else ""
            raise TryAgain("engine.slow", f"not durable within {timeout:g} s{why}", hint="the home's store may be away") from None

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
            self._outcome(future, timeout)
        return frozenset(recollection.dags) - frozenset(self.store.versions(list(recollection.dags)))

    def end_recall(self) -> None:
        """Maintenance locks are granted again; who waits for one looks."""
        self.store.end_recall()
        for key in tuple(self._advancer.held):
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
                fail(item, TryAgain("engine.stopping", "this agent stops serving that home"))

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
            stale = self._advancer.advance(items)
        except TryAgain as error:
            self._back_off(items, error)
        except Exception as error:  # noqa: BLE001 - a turn must not end the thread; the dags' own errors are met further down
            _log.exception("a turn failed")
            self._back_off(items, TryAgain("engine.turn_failed", f"{type(error).__name__}: {error}"))
        else:
            if stale:  # the others of this turn are saved
                self._back_off(stale, TryAgain("store.stale", f"{len({key_of(item) for item in stale})} dags are being changed elsewhere"))
            elif items:
                self._tries, self._resume_at, self._trouble = 0, 0.0, ""

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
        found = self._advancer.reconsider()
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
                fail(item, error)
            self._carried = []


def _given_up(item: Item) -> bool:
    """Whoever asked does not wait any more."""
    return (isinstance(item, Told | Named) and item.heard.cancelled()) or (isinstance(item, Asked) and item.granted.cancelled())
