"""Homes and agents that are apart: orders, interrupts and reports that are lost, doubled, late."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oboe.domain import events, fold
from oboe.domain.errors import Refused
from oboe.domain.messages import Fence, Interrupt, Order, Phase, Report, Verdict
from oboe.domain.model import Dag, Home, Maintenance, Plan
from oboe.domain.values import SECOND, HomeKind, Operator, State, Stopping
from oboe.kit.playbook import Sketch
from oboe.store.memory import MemoryHome
from tests.engine.site import QUICK, WAIT, A, B, C, Loose, Site, chain, draft, eventually, states
from tests.engine.steps import DONE, FAILING, GATES, Brittle, Count, Deaf, Gate, Late, Lately, Noop, Once, Signal, Teller, Unlucky


class Cluster:
    """Three agents; the first maintains the cluster's home."""

    def __init__(self, make_site: Callable[..., Site], courier: Loose, kind: str) -> None:
        self.courier = courier
        self.home = MemoryHome()
        self.sites = {agent: make_site(kind=kind, here=agent, courier=courier).start() for agent in (A, B, C)}
        self.maintain(A, 1)

    def maintain(self, agent: object, epoch: int) -> None:
        self.maintainer = self.sites[agent]  # type: ignore[index]
        self.maintainer.engine.serve_cluster(self.home, epoch)

    def submit(self, plan: Plan) -> Dag:
        return self.maintainer.engine.submit(draft(plan, kind=HomeKind.CLUSTER))

    def ask(self, dag: Dag, event: events.Request) -> None:
        self.maintainer.engine.ask(HomeKind.CLUSTER, dag.key, event)

    def over(self, dag: Dag) -> Dag:
        return self.maintainer.over(dag)

    def texts(self, dag: Dag) -> list[str]:
        return [record.line.text for record in self.home.logs(dag)]


@pytest.fixture(params=["memory", "sqlite"])
def cluster(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Cluster:
    return Cluster(make_site, Loose(), request.param)


def wide(sketch: Sketch, length: int) -> Plan:
    for number in range(length):
        sketch.stage(f"n{number}", Count, agents=(A, B, C) if number % 2 else (B,), args={"n": number if number == 0 else 0})
    return sketch.plan()


class Slow(MemoryHome):
    """Counts what it is asked to save; while it is held, a save does not come back."""

    def __init__(self) -> None:
        super().__init__()
        self.saves = 0
        self.go = threading.Event()
        self.go.set()

    def save(self, changes: Any, lines: Any = ()) -> Any:
        self.saves += 1
        assert self.go.wait(WAIT)
        return super().save(changes, lines)


def test_what_ends_together_on_the_maintainer_is_heard_in_one_turn(make_site: Callable[..., Site], sketch: Sketch) -> None:
    site, home = make_site(kind="sqlite").start(), Slow()
    site.engine.serve_cluster(home, 1)
    sketch.stage("gate", Gate, agents=(A,) * 40, parallel=True)
    dag = site.engine.submit(draft(sketch.plan(), kind=HomeKind.CLUSTER))
    eventually(lambda: {each.state for each in site.engine.get(HomeKind.CLUSTER, dag.key).sub_tasks} == {State.RUNNING})  # type: ignore[union-attr]
    before = home.saves
    home.go.clear()
    GATES[dag.key].set()
    eventually(lambda: site.engine.status().orders_open == 0)
    home.go.set()
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED
    assert home.saves - before < 8


def test_a_cluster_dag_runs_on_every_agent_it_names(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.over(cluster.submit(wide(sketch, 4)))
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert [each.agent for each in dag.sub_tasks] == [B, A, B, C, B, A, B, C]
    assert Counter(cluster.texts(dag)) == {"line of 0": 8}
    eventually(lambda: all(site.engine.status().reports_pending == 0 for site in cluster.sites.values()))


def test_a_sub_task_without_an_agent_runs_on_the_maintainer(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("n0", Count, agents=(None,), args={"n": 0})
    dag = cluster.over(cluster.submit(sketch.plan()))
    assert dag.sub_tasks[0].agent == A
    assert DONE[dag.key] == ["do 0"]


@pytest.mark.parametrize("seed", range(4))
def test_lost_and_doubled_messages_change_nothing(make_site: Callable[..., Site], sketch: Sketch, seed: int) -> None:
    courier = Loose(seed=seed, loss=0.3, doubled=0.3)
    cluster = Cluster(make_site, courier, "memory")
    dag = cluster.over(cluster.submit(wide(sketch, 5)))
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert [each.attempt for each in dag.sub_tasks] == [1] * 9
    assert DONE[dag.key] == ["do 0"] * 9
    assert cluster.texts(dag) == ["line of 0"] * 9


def test_a_failure_elsewhere_is_retried_by_undo_then_do(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("brittle", Brittle, agents=(B, C))
    given = draft(sketch.plan(), kind=HomeKind.CLUSTER)
    FAILING.add(given.key)
    failed = cluster.over(cluster.maintainer.engine.submit(given))
    assert states(failed) == [("FAILED", "RUN", 1)] * 2
    assert cluster.texts(failed) == ["it broke (mend it)"] * 2
    FAILING.discard(given.key)
    cluster.ask(failed, events.Retry())
    assert states(cluster.over(failed)) == [("SUCCEEDED", "RUN", 3)] * 2
    assert Counter(DONE[given.key]) == {"do brittle": 4, "undo brittle": 2}


def test_an_agent_that_is_away_delays_no_other(cluster: Cluster, sketch: Sketch) -> None:
    cluster.courier.cut.add(C)
    sketch.stage("n0", Count, agents=(B, C), args={"n": 0})
    dag = cluster.submit(sketch.plan())
    cluster.maintainer.until(dag, lambda now: now.sub_tasks[0].state is State.SUCCEEDED)
    assert list(eventually(lambda: cluster.maintainer.engine.status().troubles)) == [str(C)]
    cluster.courier.cut.discard(C)
    assert fold.dag_state(cluster.over(dag)) is State.SUCCEEDED


def test_a_cancel_reaches_the_step_on_the_other_agent(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.submit(chain(sketch, Once, agents=(B,)))
    eventually(lambda: DONE[dag.key])
    cluster.ask(dag, events.Cancel())
    assert states(cluster.over(dag)) == [("FAILED", "RUN", 1)]
    assert cluster.texts(dag) == ["sub task cancelled"]


def test_a_retry_elsewhere_waits_for_the_end_of_a_step_that_ignores_its_interrupt(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.submit(chain(sketch, Deaf, agents=(B,)))
    eventually(lambda: DONE[dag.key])
    cluster.ask(dag, events.Cancel())
    failed = cluster.over(dag)
    assert cluster.texts(failed) == ["its agent did not confirm the end in time"]
    cluster.ask(dag, events.Retry())
    eventually(lambda: cluster.sites[B].inbox.highest(dag.key, 0) == Fence(dag.key, 0, 1, 2))
    cluster.over(cluster.submit(chain(Sketch("other", Maintenance()), Noop, agents=(B,))))
    assert DONE[dag.key] == ["do deaf 1"]
    GATES[dag.key].set()
    assert fold.dag_state(cluster.over(dag)) is State.SUCCEEDED
    assert DONE[dag.key] == ["do deaf 1", "deaf 1 is over", "undo deaf", "do deaf 3", "deaf 3 is over"]


def test_a_signal_reaches_the_step_on_the_other_agent(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.submit(chain(sketch, Signal, agents=(B,)))
    eventually(lambda: cluster.sites[B].engine.waiting(dag.key))
    cluster.maintainer.engine.signal(HomeKind.CLUSTER, dag.key, "go", 7)
    assert cluster.over(dag).sub_tasks[0].result == 7


def test_an_outcome_waits_for_a_home_that_is_away(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.submit(chain(sketch, Gate, agents=(B,)))
    cluster.maintainer.until(dag, lambda now: now.sub_tasks[0].state is State.RUNNING)
    cluster.courier.cut.add(A)
    GATES[dag.key].set()
    eventually(lambda: cluster.sites[B].inbox.get(Fence(dag.key, 0, 1, 1)).ended)
    cluster.sites[B].die()
    cluster.courier.cut.discard(A)
    cluster.sites[B].born_again()
    assert fold.dag_state(cluster.over(dag)) is State.SUCCEEDED
    eventually(lambda: cluster.sites[B].inbox.get(Fence(dag.key, 0, 1, 1)).acknowledged)


def test_an_agent_that_dies_resumes_what_may_run_again(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("gates", Gate, agents=(B,))
    dag = cluster.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    cluster.sites[B].die()
    cluster.sites[B].born_again()
    eventually(lambda: len(DONE[dag.key]) == 2)
    GATES[dag.key].set()
    assert states(cluster.over(dag)) == [("SUCCEEDED", "RUN", 1)]
    assert DONE[dag.key] == ["do gate 1", "do gate 1 resumed"]


def test_an_agent_that_dies_fails_what_may_not_with_a_reason(cluster: Cluster, sketch: Sketch) -> None:
    dag = cluster.submit(chain(sketch, Once, agents=(B,)))
    eventually(lambda: DONE[dag.key])
    cluster.sites[B].die()
    cluster.sites[B].born_again()
    assert states(cluster.over(dag)) == [("FAILED", "RUN", 1)]
    assert "interrupted unexpectedly" in cluster.texts(dag)[0]


def _given_up_while_it_was_away(cluster: Cluster, sketch: Sketch, *, began: bool) -> Dag:
    """A dag whose step on B was given up by its home and passed while B was dead: before it began, or in the middle of it."""
    sketch.stage("late", Lately if began else Unlucky, agents=(B,))
    sketch.stage("next", Noop, agents=(C,))
    site = cluster.sites[B]
    if not began:
        site.engine.executor.reserve(QUICK.workers_max, starved=lambda: None)
    dag = cluster.submit(sketch.plan())
    eventually(lambda: site.inbox.highest(dag.key, 0) if not began else DONE[dag.key])
    site.die()
    failed = cluster.over(dag)
    assert "its agent did not confirm the end in time" in cluster.texts(failed)
    cluster.ask(failed, events.Pass(node=0))
    return cluster.over(dag)


@pytest.mark.parametrize("began", [False, True])
def test_what_was_given_up_and_passed_does_not_begin_when_its_agent_comes_back(cluster: Cluster, sketch: Sketch, began: bool) -> None:
    dag = _given_up_while_it_was_away(cluster, sketch, began=began)
    assert fold.dag_state(dag) is State.SUCCEEDED
    before = list(DONE[dag.key])
    GATES[dag.key].set()
    again = cluster.sites[B].born_again()
    eventually(lambda: again.inbox.get(Fence(dag.key, 0, 1, 1)).ended)
    assert (DONE[dag.key], again.inbox.get(Fence(dag.key, 0, 1, 1)).ended.ok) == (before, False)


def test_an_agent_that_comes_back_asks_before_it_begins_and_waits_for_a_home_that_is_away(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("late", Gate, agents=(B,))
    dag = cluster.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    cluster.sites[B].die()
    cluster.courier.cut.add(A)
    again = cluster.sites[B].born_again()
    eventually(lambda: again.engine.status().troubles)
    assert DONE[dag.key] == ["do gate 1"]
    cluster.courier.cut.discard(A)
    eventually(lambda: DONE[dag.key] == ["do gate 1", "do gate 1 resumed"])
    GATES[dag.key].set()
    assert fold.dag_state(cluster.over(dag)) is State.SUCCEEDED


def test_an_order_that_waited_for_a_worker_for_too_long_is_asked_about(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("late", Unlucky, agents=(B,))
    sketch.stage("next", Noop, agents=(C,))
    engine = cluster.sites[B].engine
    taken = engine.executor.reserve(QUICK.workers_max, starved=lambda: None)
    cluster.courier.unheard = {"interrupt"}
    dag = cluster.submit(sketch.plan())
    failed = cluster.over(dag)
    cluster.ask(failed, events.Pass(node=0))
    dag = cluster.over(dag)
    engine.executor.give_back(taken)
    eventually(lambda: cluster.sites[B].inbox.get(Fence(dag.key, 0, 1, 1)).ended)
    assert DONE[dag.key] == []


def test_lines_that_a_home_could_not_be_told_outlive_their_agent(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("teller", Teller, agents=(B,))
    dag = cluster.submit(sketch.plan())
    cluster.maintainer.until(dag, lambda now: now.sub_tasks[0].state is State.RUNNING)
    eventually(lambda: "said in the light" in cluster.texts(dag))
    cluster.courier.cut.add(A)
    GATES[dag.key].set()
    fence = Fence(dag.key, 0, 1, 1)
    eventually(lambda: cluster.sites[B].inbox.lines(fence))
    cluster.sites[B].die()
    cluster.courier.cut.discard(A)
    cluster.sites[B].born_again()
    failed = cluster.over(dag)
    eventually(lambda: "said in the dark" in cluster.texts(failed))
    assert [cluster.texts(failed).count(text) for text in ("said in the light", "said in the dark")] == [1, 1]


def test_more_time_reaches_what_a_step_on_another_agent_waits_for(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("late", Late, agents=(B,))
    dag = cluster.submit(sketch.plan())
    running = cluster.maintainer.until(dag, lambda now: now.sub_tasks[0].state is State.RUNNING)
    eventually(lambda: cluster.sites[B].engine.waiting(dag.key))
    until = time.time_ns() + 30 * SECOND
    cluster.ask(dag, events.Extend(0, until))
    eventually(lambda: cluster.sites[B].engine.waiting(dag.key)[0].until == until)
    GATES[dag.key].set()
    dag = cluster.over(dag)
    assert (states(dag), dag.sub_tasks[0].deadline) == ([("SUCCEEDED", "RUN", 1)], until)
    assert running.sub_tasks[0].deadline == 0


def test_other_retries_hold_for_a_step_on_another_agent(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("gate", Once, agents=(None,))
    sketch.stage("brittle", Brittle, agents=(C,))
    given = draft(sketch.plan(), kind=HomeKind.CLUSTER)
    FAILING.add(given.key)
    dag = cluster.maintainer.engine.submit(given)
    cluster.ask(dag, events.SetRetries(1, 2))
    GATES[dag.key].set()
    cluster.maintainer.until(dag, lambda now: now.sub_tasks[1].auto_retries == 1)
    FAILING.discard(given.key)
    dag = cluster.over(dag)
    assert states(dag)[1] == ("SUCCEEDED", "RUN", 3)
    assert DONE[dag.key] == ["do gate 1", "do brittle", "undo brittle", "do brittle"]


def test_another_maintainer_takes_over_what_is_under_way(cluster: Cluster, sketch: Sketch) -> None:
    sketch.stage("gate", Gate, agents=(C,))
    sketch.stage("bound", Count, agents=(None,), args={"n": 0})
    dag = cluster.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    cluster.sites[A].die()
    cluster.maintain(B, 2)
    GATES[dag.key].set()
    dag = cluster.over(dag)
    assert states(dag) == [("SUCCEEDED", "RUN", 1), ("SUCCEEDED", "RUN", 1)]
    assert dag.sub_tasks[1].agent == B
    assert dag.epoch == 2


def test_another_maintainers_word_is_enough_for_an_agent_that_was_dead(cluster: Cluster, sketch: Sketch) -> None:
    """It asks who gave the order whether it is still wanted: nobody answers there any more, and nothing else happens on it."""
    sketch.stage("gate", Gate, agents=(C,))
    dag = cluster.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    for agent in (A, C):
        cluster.sites[agent].die()
    again = cluster.sites[C].born_again()
    eventually(lambda: "does not answer" in str(again.engine.status().troubles))
    cluster.maintain(B, 2)
    GATES[dag.key].set()
    dag = cluster.over(dag)
    assert states(dag) == [("SUCCEEDED", "RUN", 1)]
    assert DONE[dag.key] == ["do gate 1", "do gate 1 resumed"]
    eventually(lambda: again.engine.status().troubles == {})


def order_for(attempt: int, *, key: str = "k" * 32) -> Order:
    return Order(
        fence=Fence(key, 0, 1, attempt),
        operator=Operator.RUN,
        home=Home(HomeKind.CLUSTER),
        maintainer=A,
        dag_id=1,
        dag_name="trial",
        node=0,
        name="n0",
        step=Count.registered_name(),
        agent=B,
        resumable=False,
        timeout=10**9,
        params={},
        args={"n": 0},
        results={},
    )


class Heard(Loose):
    """A home that only listens."""

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[Report] = []

    def report(self, home: Home, maintainer: object, report: Report) -> Verdict:
        self.reports.append(report)
        return Verdict.HEARD

    def ended(self) -> list[tuple[int, bool]]:
        return [(report.fence.attempt, report.ok) for report in self.reports if report.phase is Phase.ENDED]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_order_after_its_interrupt_never_begins(make_site: Callable[..., Site], kind: str) -> None:
    courier = Heard()
    site = make_site(kind=kind, here=B, courier=courier).start()
    order = order_for(3, key="a" * 31 + kind[0])
    site.engine.interrupt(Interrupt(order.fence, Stopping.ASKED, A))
    eventually(lambda: courier.ended() == [(3, False)])
    site.engine.order(order)
    eventually(lambda: courier.ended() == [(3, False)] * 2)
    assert DONE[order.fence.dag_key] == []
    assert [line.text for line in courier.reports[0].lines] == ["sub task cancelled"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_order_below_the_highest_attempt_never_begins(make_site: Callable[..., Site], kind: str) -> None:
    courier = Heard()
    site = make_site(kind=kind, here=B, courier=courier).start()
    key = "b" * 31 + kind[0]
    site.engine.order(order_for(5, key=key))
    eventually(lambda: courier.ended() == [(5, True)])
    site.engine.order(order_for(4, key=key))
    site.engine.order(order_for(5, key=key))
    eventually(lambda: courier.ended() == [(5, True)] * 2)
    assert DONE[key] == ["do 0"]


def test_a_report_for_a_home_served_elsewhere_is_not_mine(make_site: Callable[..., Site]) -> None:
    site = make_site().start()
    report = Report(fence=Fence("c" * 32, 0, 1, 1), operator=Operator.RUN, agent=B, phase=Phase.ENDED, at=1)
    assert site.engine.report(Home(HomeKind.CLUSTER), report) is Verdict.NOT_MINE
    assert site.engine.report(Home(HomeKind.AGENT, B), report) is Verdict.NOT_MINE
    with pytest.raises(Refused):
        site.engine.ask(HomeKind.CLUSTER, "c" * 32, events.Retry())


def test_an_agents_own_dag_may_have_sub_tasks_elsewhere(make_site: Callable[..., Site], sketch: Sketch) -> None:
    courier = Loose(seed=9, loss=0.2, doubled=0.2)
    first, second = (make_site(here=agent, courier=courier).start() for agent in (A, B))
    sketch.stage("n0", Count, agents=(A, B), args={"n": 0})
    sketch.stage("home", Count, agents=(B,), at_home=True, args={"n": 0})
    dag = first.run(sketch.plan())
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert second.inbox.get(Fence(dag.key, 1, 1, 1)).ended.ok
    assert second.inbox.get(Fence(dag.key, 2, 1, 1)) is None


@pytest.mark.parametrize(
    ("step", "ended"), [(Gate, (State.SUCCEEDED, ["do gate 1", "do gate 1 resumed"])), (Once, (State.FAILED, ["do gate 1"]))]
)
def test_a_damaged_order_stops_neither_its_agent_nor_its_dag(make_site: Callable[..., Site], sketch: Sketch, step: Any, ended: Any) -> None:
    cluster = Cluster(make_site, Loose(), "sqlite")
    dag = cluster.submit(chain(sketch, step, agents=(B,)))
    eventually(lambda: DONE[dag.key])
    cluster.sites[B].die()
    cluster.sites[B].inbox._database.write(lambda session: session.run("UPDATE inbox SET order_body = '{'"))
    cluster.sites[B].born_again()
    GATES[dag.key].set()
    cluster.maintainer.engine.nudge(HomeKind.CLUSTER, dag.key)
    assert (fold.dag_state(cluster.over(dag)), DONE[dag.key]) == ended
    assert fold.dag_state(cluster.over(cluster.submit(chain(Sketch("other", Maintenance()), Noop, agents=(B,))))) is State.SUCCEEDED
