"""A whole dag in memory: the real state machine, the real steps, one attempt after another, on a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from oboe.domain import events, fold
from oboe.domain.errors import Interrupted, OboeError, StepFailed, crash_text
from oboe.domain.machine import advance
from oboe.domain.model import Dag, Home, Plan, SubTask
from oboe.domain.results import results_for
from oboe.domain.values import SECOND, Address, HomeKind, Operator, State, Stopping
from oboe.kit.plain import plain
from oboe.kit.playbook import Playbook
from oboe.kit.step import Step
from oboe.kit.testing.accident import Accident, next_accident
from oboe.kit.testing.clock import Clock
from oboe.kit.testing.plans import DAG_KEY, HERE, filled, sketch_of
from oboe.kit.testing.record import Call
from oboe.kit.testing.run import FakeRun, Killed
from oboe.kit.testing.script import Script
from oboe.kit.typed import decoder

__all__ = ["Did", "Rehearsal", "killed_everywhere"]

_INTERRUPTED = "ERROR: sub task was interrupted unexpectedly: its agent restarted, and it may not run again by itself"
_PATIENCE = 10**9 * SECOND
"""A sub-task whose sibling waits is not late: here they run one after another."""
_ROUNDS_MAX = 100_000
"""Of attempts and moves of the clock: a dag that takes more goes round in circles."""

Outcome = Literal["ok", "failed", "killed", "stopped"]


@dataclass(frozen=True, slots=True)
class Did:
    """One life of one attempt: what it was, how it ended, and everything it did."""

    node: str
    agent: Address
    undo: bool
    attempt: int
    outcome: Outcome
    run: FakeRun
    alone: bool
    """The only sub-task of its node."""

    def __str__(self) -> str:
        """``Copy``, ``undo Copy``, ``Copy (failed)``, ``Copy on 10.0.0.2:2886``."""
        words = f"{'undo ' if self.undo else ''}{self.node}{'' if self.alone else f' on {self.agent}'}"
        return words if self.outcome == "ok" else f"{words} ({self.outcome})"


class Rehearsal:
    """A dag of a playbook, from its first node to its end.

    ::

        dag = Rehearsal(copy_table, CopyParams(target="/backup"))
        dag.answer("mydumper", status=1, times=1)
        assert dag.run() is State.FAILED
        assert dag.retry() is State.SUCCEEDED
        assert dag.story == ["Prepare", "Copy (failed)", "undo Copy", "Copy", "Check"]

    Agents are all of one process; sub-tasks of a parallel node run one after another, in the plan's order, so their waits add up on the
    clock, while each has its node's timeout for itself. Every method that asks
    something runs the dag on until it ends, or waits for a person, and answers its state. `Refused` as an agent would."""

    def __init__(
        self,
        book: Playbook,
        params: Any = None,
        *,
        members: Sequence[Address] = (HERE,),
        services: Mapping[type[Any], Any] | None = None,
        signals: Mapping[str, Any] | None = None,
    ) -> None:
        """``params`` as for `plan_of`; ``services`` are what ``run.use`` finds."""
        self.clock = Clock()
        self.clock.moved = self._time_passed
        self._script = Script()
        self.answer, self.follow = self._script.answer, self._script.follow
        """What commands and led dags answer: see `Script`."""
        self.did: list[Did] = []
        """Every life of every attempt, in order."""
        self._params = filled(book, params)
        self._services = dict(services or {})
        sketch = sketch_of(book, self._params, members=members)
        self._steps = sketch.steps
        plan = Plan(tuple(replace(node, patience=_PATIENCE) for node in sketch.plan().nodes))
        self.dag = Dag(
            key=DAG_KEY,
            name=sketch.name,
            playbook=book.name,
            plan=plan,
            params={},
            home=Home(book.home, HERE if book.home is HomeKind.AGENT else None),
            maintenance=sketch.maintenance,
            created_at=self.clock.now,
            created_by=HERE,
            sub_tasks=tuple(SubTask(agent=agent) for node in plan.nodes for agent in node.agents),
            signals=dict(signals or {}),
        )
        self._accidents: list[Accident] = []
        self._over: set[tuple[int, int]] = set()
        """Sub-task and attempt."""
        self._lives: dict[tuple[int, int], FakeRun] = {}
        """The last life of an attempt whose agent died."""
        self._first: dict[int, dict[str, Any]] = {}
        """By sub-task."""
        self._now: tuple[int, FakeRun] | None = None
        """The sub-task that runs, and its run."""

    # What goes wrong

    def fail(self, node: str, *, agent: Address | None = None, undo: bool = False, error: Exception | None = None, times: int = 1) -> None:
        """The next attempts of that node fail when they have done all they do; ``undo``: those that roll back."""
        after = error or StepFailed("rehearsal.fails", "the rehearsal has it fail")
        self._accidents.append(Accident(self._node(node), agent, undo, lambda run: None, after, times))

    def kill(self, node: str, *, agent: Address | None = None, undo: bool = False, at: int | None = None) -> None:
        """The agent dies in the next attempt of that node, and comes back: when the step speaks to its run for the n-th time
        (`FakeRun.spoken`), or, without ``at``, when it has done all it does and nobody knows yet."""

        def die() -> None:
            raise Killed

        if at is None:
            self._accidents.append(Accident(self._node(node), agent, undo, lambda run: None, Killed()))
        else:
            self._accidents.append(Accident(self._node(node), agent, undo, lambda run: run.at(at, die)))

    def cancel_in(self, node: str, *, agent: Address | None = None, undo: bool = False, at: int = 1) -> None:
        """A person cancels the dag when the step speaks to its run for the n-th time."""
        cancel = Accident(self._node(node), agent, undo, lambda run: run.at(at, lambda: self._ask(events.Cancel())))
        self._accidents.append(cancel)

    # What people ask

    def run(self) -> State:
        """Until it ends, or waits for a person."""
        self._advance(events.Wake())
        for _ in range(_ROUNDS_MAX):
            index = self._next()
            if index is not None:
                self._carry_out(index)
            elif not self._let_time_pass():
                return self.state
        raise AssertionError(f"the dag does not end: {self.story[-10:]}")

    def retry(self) -> State:
        self._ask(events.Retry())
        return self.run()

    def rollback(self) -> State:
        self._ask(events.Rollback())
        return self.run()

    def cancel(self) -> State:
        self._ask(events.Cancel())
        return self.run()

    def pass_(self, node: str | None = None) -> State:
        """The whole dag, or one node."""
        self._ask(events.Pass(node=None if node is None else self._index(node)))
        return self.run()

    def skip(self) -> State:
        """Take the undo that failed as done."""
        self._ask(events.Skip())
        return self.run()

    def approve(self, node: str, *, who: str = "rehearsal", why: str = "approved") -> State:
        self._ask(events.Approve(self._index(node), who, why))
        return self.run()

    def tell(self, signal: str, payload: Any = None) -> None:
        """A signal, as another dag gives it; also from within `Clock.at`."""
        self._ask(events.Signalled(signal, payload))

    # What became of it

    @property
    def state(self) -> State:
        """READY, RUNNING (it waits for a person), FAILED or SUCCEEDED (done, passed or rolled back)."""
        return fold.dag_state(self.dag)

    @property
    def rolled_back(self) -> bool:
        return self.state is State.SUCCEEDED and self.dag.operator is Operator.ROLLBACK

    @property
    def story(self) -> list[str]:
        """Every life of every attempt in a few words, in order: see `Did`."""
        return [str(each) for each in self.did]

    @property
    def calls(self) -> list[Call]:
        """Every command, in order."""
        return [call for each in self.did for call in each.run.calls]

    @property
    def lines(self) -> list[str]:
        """The log of the dag."""
        return [line for each in self.did for line in each.run.lines]

    def results(self, node: str) -> list[Any]:
        """What the sub-tasks of that node returned, in their order."""
        plan = self.dag.plan
        return [self.dag.sub_tasks[each].result for each in range(plan.size) if plan.nodes[plan.node_of[each]].name == node]

    # The home's part

    def _ask(self, request: events.Request) -> None:
        self._advance(request)
        self._advance(events.Wake())

    def _advance(self, event: events.Event) -> None:
        self.dag, _ = advance(self.dag, (event,), now=self.clock.now, here=HERE, epoch=1)
        if self._now is not None:
            index, run = self._now
            stopping = self.dag.sub_tasks[index].stopping
            if stopping is not Stopping.NO:
                run.interrupt(stopping.name.lower())

    def _next(self) -> int | None:
        """The first sub-task whose attempt is to be carried out."""
        sub_tasks = self.dag.sub_tasks
        return next((index for index, each in enumerate(sub_tasks) if each.live and (index, each.attempt) not in self._over), None)

    def _let_time_pass(self) -> bool:
        """To the next moment at which something happens by itself."""
        times = (fold.next_timer(self.dag), self.clock.next_planned())
        ahead = [at for at in times if at > self.clock.now]
        if not ahead or self.state in (State.SUCCEEDED, State.FAILED):
            return False
        self.clock.advance_to(min(ahead))
        self._advance(events.Wake())
        return True

    def _time_passed(self) -> None:
        due = fold.next_timer(self.dag)
        if self._now is not None and 0 < due <= self.clock.now:
            self._advance(events.Wake())

    # The agent's part

    def _carry_out(self, index: int) -> None:
        sub_task = self.dag.sub_tasks[index]
        if sub_task.stopping:
            return self._end(index, ok=False)
        self._advance(events.Started(index, 1, sub_task.attempt, self.clock.now))
        run = self._run_of(index)
        outcome, result = self._outcome(index, run)
        node = self.dag.plan.node_of[index]
        planned = self.dag.plan.nodes[node]
        alone = len(planned.agents) == 1 and planned.split < 0
        self.did.append(Did(planned.name, run.agent, run.rolling_back, run.attempt, outcome, run, alone))
        if outcome != "killed":
            return self._end(index, ok=outcome == "ok", result=result, additional=run.noted or None)
        if planned.flags.resumable:
            self._lives[index, run.attempt] = run
            return None
        run.lines.append(_INTERRUPTED)
        return self._end(index, ok=False)

    def _end(self, index: int, *, ok: bool, result: Any = None, additional: Any = None) -> None:
        sub_task = self.dag.sub_tasks[index]
        self._over.add((index, sub_task.attempt))
        ended = events.Ended(index, 1, sub_task.attempt, self.clock.now, ok, sub_task.operator, result, additional)
        self._advance(ended)

    def _run_of(self, index: int) -> FakeRun:
        sub_task = self.dag.sub_tasks[index]
        node = self.dag.plan.node_of[index]
        planned = self.dag.plan.nodes[node]
        undo = sub_task.operator is Operator.ROLLBACK
        earlier = self._lives.pop((index, sub_task.attempt), None)
        return FakeRun(
            self._params,
            args=planned.args,
            agent=sub_task.agent or HERE,
            here=HERE if planned.at_home else sub_task.agent or HERE,
            index=index,
            attempt=sub_task.attempt,
            resumed=earlier is not None,
            rolling_back=undo,
            results=results_for(self.dag, node),
            own_result=sub_task.result if undo else None,
            services=self._services,
            signals=lambda: self.dag.signals,
            script=self._script,
            clock=self.clock,
            before=earlier,
            first=self._first.setdefault(index, {}),
        )

    def _outcome(self, index: int, run: FakeRun) -> tuple[Outcome, Any]:
        """How its life ends, as an agent would report it. What is wrong with the test itself is raised."""
        planned = self.dag.plan.nodes[self.dag.plan.node_of[index]]
        step = self._steps[planned.step]()
        accident = next_accident(self._accidents, planned.name, run)
        self._now = index, run
        try:
            if accident is not None:
                accident.what(run)
            work = getattr(step, "rollback", None) if run.rolling_back else step.run
            result = decoder(object).decode(msgspec.json.encode(plain(work(run)))) if work is not None else None
            if accident is not None and accident.after is not None:
                raise accident.after
            return "ok", result
        except Killed:
            return "killed", None
        except Interrupted:
            self._now = None
            self._was_stopped(step, run)
            return "stopped", None
        except AssertionError:
            raise
        except OboeError as error:
            run.lines.append(f"ERROR: {error} [{error.code}]")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - an agent makes a failure of it; Ctrl-C and a test's own outcome are none
            run.lines.append(f"ERROR: {crash_text(error)} [step.crashed]")
        finally:
            self._now = None
        return "failed", None

    def _was_stopped(self, step: Step, run: FakeRun) -> None:
        run.interrupt("")
        cancelled = getattr(step, "cancelled", None)
        if cancelled is not None:
            cancelled(run)

    def _index(self, node: str) -> int:
        names = [planned.name for planned in self.dag.plan.nodes]
        if node not in names:
            raise AssertionError(f"the plan has no node {node!r}: {', '.join(names)}")
        return names.index(node)

    def _node(self, node: str) -> str:
        self._index(node)
        return node


def killed_everywhere(make: Callable[[], Rehearsal]) -> Iterator[Rehearsal]:
    """The dag again and again, its agent killed once at every point where a step speaks to its run, and at every step's end.

    ``make`` makes the world anew. Every one is run to its end: what may not run again by itself is retried, as a person would. Each
    is SUCCEEDED when it is given out; what the world must look like then is the test's to say, and `Rehearsal.story` says what happened."""
    whole = make()
    if whole.run() is not State.SUCCEEDED:
        raise AssertionError(f"undisturbed, it ends {whole.state.name}: {whole.story}; {whole.lines[-1:]}")
    for each in whole.did:
        for at in (*range(1, each.run.spoken + 1), None):
            again = make()
            again.kill(each.node, agent=each.agent, at=at)
            state = again.run()
            if state is State.FAILED:
                state = again.retry()
            if state is not State.SUCCEEDED:
                point = "its end" if at is None else f"point {at}"
                raise AssertionError(f"killed in {each} at {point}, it ends {state.name}: {again.story}; {again.lines[-1:]}")
            yield again
