"""The engine of one agent: its own home, the cluster's while it maintains it, and the orders of others. The daemon builds one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from oboe.domain import events
from oboe.domain.errors import Refused, TryAgain
from oboe.domain.messages import Fence, Interrupt, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Dag, Home
from oboe.domain.values import Address, HomeKind
from oboe.engine.attempt import Tools
from oboe.engine.dispatcher import Dispatcher
from oboe.engine.executor import Executor
from oboe.engine.going_back import GoingBack
from oboe.engine.hands import Hands
from oboe.engine.housekeeping import Housekeeping
from oboe.engine.inbox import Inbox
from oboe.engine.lease import LeaseKeeper, Maintainer
from oboe.engine.live import Listener
from oboe.engine.ports import Courier, DagStore, Draft, History, InboxStore, LeaseRow, Orphan
from oboe.engine.recaller import Recaller
from oboe.engine.reporter import Reporter
from oboe.engine.scheduler import Scheduler
from oboe.engine.transcript import Waiting

__all__ = ["Engine", "EngineStatus"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """How the engine is, for people."""

    serves_cluster: bool
    epoch: int | None
    live: Mapping[str, int]
    """Live dags by home: ``agent``, ``cluster``."""
    running: int
    """Attempts that are going on here."""
    given_up: int
    """Workers lost to steps that ignore their interrupt."""
    orders_open: int
    reports_pending: int
    troubles: Mapping[str, str]
    """What does not work at present, with the reason; empty when all is well."""
    set_aside: Mapping[str, str]
    """Dags that cannot be advanced, with the reason."""


class _Served:
    """A home that this agent serves, with all that works for it."""

    def __init__(
        self,
        store: DagStore,
        executor: Executor,
        courier: Courier,
        *,
        take: Callable[[Sequence[Order]], Sequence[Refused]],
        epoch: int,
        going_back: GoingBack | None = None,
    ) -> None:
        tools = executor.tools
        self.recaller = Recaller(courier, tools.limits, here=tools.here, epoch=epoch)
        self.dispatcher = Dispatcher(
            courier, tools.limits, here=tools.here, take=take, still_open=self._still_open, recall=self.recaller.ask
        )
        hands = Hands(self.dispatcher, executor, here=tools.here, epoch=epoch, clock=tools.clock)
        self._tools = tools
        self.scheduler = Scheduler(
            store,
            hands,
            here=tools.here,
            limits=tools.limits,
            epoch=epoch,
            clock=tools.clock,
            unfit=self._missing_steps,
            going_back=going_back,
        )

    def _still_open(self, fence: Fence) -> bool:
        return self.scheduler.is_open(fence)

    def _missing_steps(self, dag: Dag) -> str:
        """Which playbook would have to load here again before the dag can go on; empty: none. Other agents load their own."""
        here, known = self._tools.here, self._tools.registry
        for node in dag.plan.nodes:
            mine = node.at_home or any(agent is None or agent == here for agent in node.agents)
            if mine and not known.has_step(node.step):
                remedy = "bring it back and start the agent again, or cancel the dag"
                return f"step {node.step} of playbook {dag.playbook!r} is not loaded: {remedy}"
        return ""

    def stop(self, timeout: float) -> None:
        self.scheduler.stop(timeout)
        self.dispatcher.stop()
        self.recaller.stop()


class _Post:
    """Implements `Courier`: what is for this very agent goes the same way without HTTP."""

    def __init__(self, engine: Engine, courier: Courier, here: Address) -> None:
        self._engine = engine
        self._courier = courier
        self._here = here

    def order(self, agent: Address, order: Order) -> None:
        (self._engine.order(order) if agent == self._here else self._courier.order(agent, order))

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        (self._engine.interrupt(interrupt) if agent == self._here else self._courier.interrupt(agent, interrupt))

    def settled(self, agent: Address, dag_key: str) -> None:
        (self._engine.settled(dag_key) if agent == self._here else self._courier.settled(agent, dag_key))

    def recall(self, agent: Address, request: RecallAgent) -> Recollection:
        return self._engine.recall(request) if agent == self._here else self._courier.recall(agent, request)

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        verdict = self._engine.report(home, report)
        return self._courier.report(home, maintainer, report) if verdict is Verdict.NOT_MINE else verdict


class Engine:
    """Thread-safe. ``start`` before anything else; ``stop`` once."""

    def __init__(
        self, *, tools: Tools, home: DagStore, inbox: InboxStore, courier: Courier, members: Callable[[], tuple[Address, ...]] = tuple
    ) -> None:
        """``members`` are the agents that may have maintained the cluster; asked only after its store went back."""
        self._tools = tools
        self._here = tools.here
        self._members = members
        self._courier: Courier = _Post(self, courier, tools.here)
        self.executor = Executor(tools)
        self._own = _Served(home, self.executor, self._courier, take=self._take, epoch=1)
        self._reporter = Reporter(
            self._courier,
            tools.limits,
            here=tools.here,
            near=self._tell_near,
            over=self._over,
            stop=self._unwanted,
            keep=inbox.keep_lines,
        )
        self._inbox = Inbox(inbox, self.executor, self._reporter, here=tools.here, limits=tools.limits, clock=tools.clock)
        self._housekeeping = Housekeeping(
            self._histories,
            inbox,
            tools.work_root,
            in_use=self._in_use,
            remind=self._inbox.remind,
            limits=tools.limits,
            clock=tools.clock,
        )
        self._lock = threading.RLock()
        self._cluster: _Served | None = None
        self._lease: LeaseKeeper | None = None
        self._listeners: list[Listener] = []

    # Life

    def start(self) -> None:
        """Take up what an earlier life of this agent left, and serve its own home."""
        self._inbox.recover()
        self._own.scheduler.start()
        self._housekeeping.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Begin nothing more, wait for what runs, leave the rest for the next life. Whether everything ended by itself."""
        deadline = time.monotonic() + timeout
        self.leave_lease()
        quiet = self.executor.stop(max(0.0, timeout - 1.0))
        self.unserve_cluster()
        self._own.stop(max(1.0, deadline - time.monotonic()))
        self._housekeeping.stop()
        self._inbox.stop()
        self._reporter.stop()
        return quiet

    def serve_cluster(self, home: DagStore, epoch: int) -> None:
        """This agent maintains the cluster, in that store epoch."""
        with self._lock:
            self.unserve_cluster()
            regress, seconds = home.regress(), self._tools.limits.recall_seconds
            going_back = GoingBack(regress, members=self._members, distrust=self.distrust, patience_seconds=seconds)
            served = _Served(home, self.executor, self._courier, take=self._take, epoch=epoch, going_back=going_back)
            for listener in self._listeners:
                served.scheduler.listen(listener)
            self._cluster = served
            served.recaller.begin(served.scheduler, self._members(), regress, self._tools.clock())
            served.scheduler.start()

    def unserve_cluster(self) -> None:
        """It does not any more; what is bound to the maintainer is interrupted."""
        with self._lock:
            served, self._cluster = self._cluster, None
        if served is not None:
            self._inbox.stop_bound(HomeKind.CLUSTER)
            served.stop(1.0)

    def watch_lease(self, row: LeaseRow, home: Callable[[], DagStore]) -> None:
        """Try for the cluster's lease, and serve ``home()`` while it is held."""
        self.leave_lease()
        keeper = LeaseKeeper(
            row,
            here=self._here,
            limits=self._tools.limits,
            gained=lambda epoch: self.serve_cluster(home(), epoch),
            lost=self.unserve_cluster,
        )
        with self._lock:
            self._lease = keeper
        keeper.start()

    def leave_lease(self) -> None:
        """Do not try for it any more."""
        with self._lock:
            keeper, self._lease = self._lease, None
        if keeper is not None:
            keeper.stop()

    def nudge_lease(self) -> None:
        """Somebody thinks that the lease may be free."""
        keeper = self._lease
        if keeper is not None:
            keeper.nudge()

    def distrust(self, why: str, epoch: int) -> None:
        """The cluster's store went back while it was served here: let go, and take it up again in an epoch after that one."""
        _log.error("the cluster's store went back: %s", why)
        keeper = self._lease
        if keeper is not None:
            keeper.distrust(epoch)

    # Homes

    def serves_cluster(self) -> bool:
        return self._cluster is not None

    def maintainer(self) -> Maintainer | None:
        """Who maintains the cluster, as far as this agent knows."""
        keeper = self._lease
        return None if keeper is None else keeper.maintainer()

    def submit(self, draft: Draft) -> Dag:
        """Create a dag in its home, durably, and have it begun. `Refused` ``maintenance.held``, ``agent.not_maintainer``; `TryAgain`."""
        return self._of(draft.home.kind).submit(draft)

    def ask(self, home: HomeKind, key: str, event: events.Event, timeout: float = 10.0) -> Dag:
        """Ask something of a dag; the dag as it is durable now. `Refused`, `TryAgain`."""
        return self._of(home).ask(key, event, timeout)

    def signal(self, home: HomeKind, key: str, name: str, payload: Any = None, timeout: float = 10.0) -> Dag:
        return self._of(home).signal(key, name, payload, timeout)

    def nudge(self, home: HomeKind, key: str) -> None:
        """Somebody put that dag into the home, or changed it there: look at it now."""
        self._of(home).nudge(key)

    def get(self, home: HomeKind, key: str) -> Dag | None:
        return self._of(home).get(key)

    def wait_version(self, home: HomeKind, key: str, known_version: int, timeout: float) -> Dag | None:
        """The dag once its version is past ``known_version``, after ``timeout`` seconds as it stands; None: there is none."""
        return self._of(home).wait_version(key, known_version, timeout)

    def watching(self, home: HomeKind, key: str) -> AbstractContextManager[threading.Event]:
        """An event that is set by whatever is saved of that dag from now on: a change, or lines. `Refused` ``agent.not_maintainer``."""
        return self._of(home).watching(key)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every change of a dag of the homes served here, before and after; the answer ends it. It must be quick."""
        with self._lock:
            self._listeners.append(listener)
            ends = [self._own.scheduler.listen(listener)]
            if self._cluster is not None:
                ends.append(self._cluster.scheduler.listen(listener))

        def end() -> None:
            with self._lock:
                self._listeners.remove(listener)
                if self._cluster is not None:
                    self._cluster.scheduler.unlisten(listener)
            for each in ends:
                each()

        return end

    # Messages

    def order(self, order: Order) -> None:
        """From a home kept elsewhere (or by this agent, for its cluster). Written down when this returns."""
        self._inbox.order(order)

    def interrupt(self, interrupt: Interrupt) -> None:
        self._inbox.interrupt(interrupt)

    def settled(self, dag_key: str) -> None:
        self._inbox.settled(dag_key)

    def recall(self, request: RecallAgent) -> Recollection:
        """From the cluster's maintainer, whose store may have gone back: all that this agent knows. `Refused` ``recall.old_epoch``."""
        return self._inbox.recall(request)

    def report(self, home: Home, report: Report) -> Verdict:
        """From an agent, about a dag of that home; durable when answered."""
        if home.kind is HomeKind.AGENT:
            return self._own.scheduler.report(report) if home.agent == self._here else Verdict.NOT_MINE
        served = self._cluster
        return Verdict.NOT_MINE if served is None else served.scheduler.report(report)

    def _tell_near(self, home: Home, report: Report) -> Future[Verdict] | None:
        """`report` for who does not wait; None: that home is not served here, or cannot take it now."""
        served = self._cluster if home.kind is HomeKind.CLUSTER else None
        try:
            return None if served is None else served.scheduler.told(report)
        except TryAgain:
            return None

    def heard_of(self, agent: Address) -> None:
        """That agent answers again: what waits for it goes now."""
        self._reporter.heard_of(agent)
        for served in self._serving():
            served.dispatcher.heard_of(agent)
            served.recaller.heard_of(agent)

    # Looking on

    def waiting(self, dag_key: str) -> Mapping[int, Waiting]:
        """What that dag's sub-tasks wait for on this agent, by index; those that wait for nothing, or for a worker, are left out."""
        found = {order.fence.sub_task: waiting for order, waiting in self._inbox.lacking() if order.fence.dag_key == dag_key}
        for attempt in self.executor.attempts():
            waiting = attempt.transcript.waiting
            if attempt.dag_key == dag_key and waiting is not None:
                found[attempt.fence.sub_task] = waiting
        return found

    def set_aside(self, dag_key: str) -> str:
        """Why that dag is not carried on here, though its home is served here; empty: it is."""
        served = (each for each in (self._own, self._cluster) if each is not None)
        return next((why for each in served if (why := each.scheduler.set_aside.get(dag_key))), "")

    def status(self) -> EngineStatus:
        keeper, troubles = self._lease, dict(self._reporter.troubles)
        set_aside: dict[str, str] = {}
        live: dict[str, int] = {}
        for name, served in (("agent", self._own), ("cluster", self._cluster)):
            if served is not None:
                live[name] = served.scheduler.live_count
                set_aside |= served.scheduler.set_aside
                troubles |= served.dispatcher.troubles
                if served.scheduler.trouble:
                    troubles[f"{name} home"] = served.scheduler.trouble
        troubles |= {f"an order of dag {order.dag_id} {order.dag_name}": waiting.why for order, waiting in self._inbox.lacking()}
        if keeper is not None and keeper.trouble:
            troubles["lease"] = keeper.trouble
        return EngineStatus(
            serves_cluster=self._cluster is not None,
            epoch=None if self._cluster is None else self._cluster.scheduler.epoch,
            live=live,
            running=len(self.executor.attempts()),
            given_up=self.executor.given_up,
            orders_open=self._inbox.open_count,
            reports_pending=self._reporter.pending,
            troubles=troubles,
            set_aside=set_aside,
        )

    def orphans(self) -> list[Orphan]:
        """What this agent did for dags that the cluster's store has lost."""
        return self._inbox.orphans()

    # Inside

    def _of(self, home: HomeKind) -> Scheduler:
        if home is HomeKind.AGENT:
            return self._own.scheduler
        served = self._cluster
        if served is None:
            raise Refused("agent.not_maintainer", f"{self._here} is not the maintainer now", hint="ask the maintainer")
        return served.scheduler

    def _serving(self) -> list[_Served]:
        return [served for served in (self._own, self._cluster) if served is not None]

    def _histories(self) -> Sequence[History]:
        return [cast(History, served.scheduler.store) for served in self._serving()]

    def _in_use(self, dag_key: str) -> bool:
        return any(attempt.dag_key == dag_key for attempt in self.executor.attempts())

    def _take(self, orders: Sequence[Order]) -> Sequence[Refused]:
        return self._inbox.orders(orders)

    def _over(self, fences: Sequence[Fence]) -> None:
        self._inbox.acknowledged(fences)

    def _unwanted(self, fence: Fence) -> None:
        self._inbox.unwanted(fence)
