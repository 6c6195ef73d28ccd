"""What a scheduler does once a turn is durable: begin sub-tasks on workers of this process, send orders and interrupts to other agents.

Invariants: a sub-task waits here for a worker only while it is READY (or RUNNING, left by an earlier life of this agent); an attempt
begins only after the turn in which it became RUNNING was saved, and only when no other attempt of its sub-task is known to the executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from oboe.domain import events, fold
from oboe.domain.messages import Fence, Interrupt, LogLine, Order, Phase, Report
from oboe.domain.model import Dag
from oboe.domain.values import Address, HomeKind, State, Stopping
from oboe.engine.executor import Executor
from oboe.engine.orders import fence_of, interrupt_of, order_of
from oboe.engine.reports import end_report, interrupted_line, stop_line
from oboe.engine.turn import Case

__all__ = ["Hands", "Outward"]

_SHARE = 8
"""One worker in so many is for those that wait longest."""


class Outward(Protocol):
    """Delivers to other agents, sooner or later, without making anybody wait."""

    def order(self, agent: Address, order: Order) -> None: ...
    def interrupt(self, agent: Address, interrupt: Interrupt) -> None: ...
    def settled(self, agent: Address, dag_key: str) -> None: ...
    def recall(self, agent: Address) -> None: ...


class Hands:
    """For one home. Used on its scheduler's thread only."""

    def __init__(self, outward: Outward, executor: Executor, *, here: Address, epoch: int, clock: Callable[[], int]) -> None:
        self._outward = outward
        self._executor = executor
        self._here = here
        self._epoch = epoch
        self._clock = clock
        self._waiting: dict[tuple[str, int], None] = {}
        """Sub-tasks that want a worker of this process, the longest waiting first."""
        self._turns = 0
        self._post: Callable[[Report], None] = lambda report: None
        self._poke: Callable[[], None] = lambda: None

    def attach(self, post: Callable[[Report], None], poke: Callable[[], None]) -> None:
        """Where reports go, and whom to tell that a worker is free."""
        self._post, self._poke = post, poke

    @property
    def waiting(self) -> int:
        """Sub-tasks that wait for a worker."""
        return len(self._waiting)

    def forget(self, fence: Fence) -> None:
        """Its end was reported and is being taken up."""
        self._executor.forget(fence)

    # Before the save

    def begin(self, cases: dict[str, Case], case_of: Callable[[str], Case | None], *, now: int, epoch: int) -> None:
        """Find workers for what is READY here, and have it RUNNING in the same commit."""
        fresh = [
            (case.key, effect.sub_task)
            for case in cases.values()
            for effect in case.effects
            if type(effect) is events.Dispatch and case.after is not None and self._mine(case.after, effect.sub_task)
        ]
        if not fresh and not self._waiting:
            return
        order = self._order(fresh)
        self._waiting.update(dict.fromkeys(fresh))
        wanted = self._wanted(order, cases, case_of)
        granted = self._executor.reserve(len(wanted), starved=self._poke) if wanted else 0
        begun: dict[str, list[int]] = {}
        for case, index in wanted[:granted]:
            del self._waiting[(case.key, index)]
            cases[case.key] = case
            assert case.after is not None
            if case.after.sub_tasks[index].state is State.READY:
                begun.setdefault(case.key, []).append(index)
            else:
                case.resumed.append(index)
        for key, indices in begun.items():
            cases[key].begin(indices, now=now, here=self._here, epoch=epoch)

    def _order(self, fresh: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Who may begin first: what this turn saves anyway, because it costs no second save; a part is left to the longest waiting."""
        older = list(self._waiting)
        if not older or not fresh:
            return [*older, *fresh]
        free = self._executor.free
        self._turns += 1
        share = free - free // _SHARE if free >= _SHARE else free if self._turns % _SHARE else 0
        return [*fresh[:share], *older, *fresh[share:]]

    def _wanted(
        self, order: Iterable[tuple[str, int]], cases: dict[str, Case], case_of: Callable[[str], Case | None]
    ) -> list[tuple[Case, int]]:
        """Those that could begin now, as far as there may be workers; what wants none any more is dropped."""
        most = self._executor.free + 1
        wanted: list[tuple[Case, int]] = []
        opened: dict[str, Case | None] = {}
        for key, index in dict.fromkeys(order):
            if len(wanted) >= most:
                break
            case = cases.get(key)
            if case is None:
                if key not in opened:
                    opened[key] = case_of(key)
                case = opened[key]
            dag = None if case is None else case.after
            if case is None or dag is None or not dag.sub_tasks[index].live or dag.sub_tasks[index].stopping:
                del self._waiting[(key, index)]
                continue
            known = self._executor.knows(key, index)
            if known is not None:
                if known == fence_of(dag, index):
                    del self._waiting[(key, index)]
            elif self._may_go_on(dag, index):
                wanted.append((case, index))
            else:
                del self._waiting[(key, index)]
                case.buried.append(index)
                cases[key] = case
        return wanted

    def _may_go_on(self, dag: Dag, index: int) -> bool:
        """Of what an earlier life of this agent left RUNNING only what is resumable begins again; the rest is ended and FAILED."""
        return dag.sub_tasks[index].state is State.READY or dag.plan.nodes[dag.plan.node_of[index]].flags.resumable

    def withdraw(self, cases: Iterable[Case]) -> None:
        """The save failed: what would have begun waits on."""
        count = 0
        for case in cases:
            for index in (*case.started, *case.resumed):
                self._waiting[(case.key, index)] = None
                count += 1
            case.started, case.resumed = [], []
        if count:
            self._executor.give_back(count)

    # After the save

    def carry_out(self, case: Case) -> None:
        dag = case.after
        assert dag is not None
        if dag.signals is not case.before.signals and dag.home.kind is HomeKind.AGENT:  # type: ignore[union-attr]
            self._executor.signalled(dag.key, dag.signals)
        for asked in case.asked:
            if type(asked.event) is events.Extend and id(asked.granted) not in case.refusals:
                self._extended(dag, asked.event.sub_task)
        for index in case.started:
            self._executor.start(order_of(dag, index, maintainer=self._here, local=True), self._post)
        for index in case.resumed:
            self._executor.start(order_of(dag, index, maintainer=self._here, local=True), self._post, resumed=True)
        for index in case.buried:
            self._bury(dag, index, interrupted_line(self._clock()))
        for effect in case.effects:
            if type(effect) is events.Dispatch:
                self._dispatch(dag, effect.sub_task)
            elif type(effect) is events.Interrupt:
                self._interrupt(dag, effect.sub_task, effect.cause)
            elif type(effect) is events.Settled:
                self._settled(dag)
            elif type(effect) is events.Recall:
                self._outward.recall(effect.agent)

    def _mine(self, dag: Dag, index: int) -> bool:
        """Carried out by this very process from the dag's own row. Dags of the cluster go through the inbox, wherever they run."""
        return dag.home.kind is HomeKind.AGENT and fold.executor(dag, index) == self._here

    def _dispatch(self, dag: Dag, index: int) -> None:
        sub_task = dag.sub_tasks[index]
        if self._mine(dag, index) or not sub_task.live or sub_task.stopping:
            return
        agent = fold.executor(dag, index)
        if agent is not None:
            self._outward.order(agent, order_of(dag, index, maintainer=self._here, epoch=self._epoch))

    def _extended(self, dag: Dag, index: int) -> None:
        """More time: the step hears of it, because what it waits for has a timeout of its own."""
        if self._mine(dag, index):
            self._executor.extended(fence_of(dag, index), dag.sub_tasks[index].deadline)
        else:
            self._dispatch(dag, index)

    def _interrupt(self, dag: Dag, index: int, cause: Stopping) -> None:
        sub_task = dag.sub_tasks[index]
        if not (sub_task.unconfirmed or (sub_task.live and sub_task.stopping)):
            return
        if not self._mine(dag, index):
            agent = fold.executor(dag, index)
            if agent is not None:
                self._outward.interrupt(agent, interrupt_of(dag, index, cause, maintainer=self._here))
            return
        fence = fence_of(dag, index)
        if self._executor.interrupt(fence, cause):
            return
        line = stop_line(cause, self._clock())
        if sub_task.state is State.READY:
            self._post(end_report(fence, sub_task.operator, agent=self._here, at=self._clock(), line=line))
        else:
            self._bury(dag, index, line)

    def settled_long_ago(self, report: Report) -> None:
        """An agent reports, though its dag has settled, or is forgotten: our word may have been lost. It hears it again."""
        if report.phase is Phase.ENDED:
            self._outward.settled(report.agent, report.fence.dag_key)

    def _settled(self, dag: Dag) -> None:
        """Every agent that may have begun something for it hears so."""
        agents = {fold.executor(dag, index) for index, sub_task in enumerate(dag.sub_tasks) if sub_task.attempt}
        for agent in agents:
            if agent is not None and not (agent == self._here and dag.home.kind is HomeKind.AGENT):
                self._outward.settled(agent, dag.key)

    def _bury(self, dag: Dag, index: int, line: LogLine | None) -> None:
        """End what is left of it, and only then report its end."""
        fence, operator = fence_of(dag, index), dag.sub_tasks[index].operator

        def end(lines: tuple[LogLine, ...]) -> None:
            self._post(end_report(fence, operator, agent=self._here, at=self._clock(), line=line, earlier=lines))

        self._executor.bury(fence, end)
