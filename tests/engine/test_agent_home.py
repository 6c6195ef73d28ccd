"""Dags of an agent's own home, carried out by its own workers."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import pytest

from oboe.domain import events, fold
from oboe.domain.errors import Bug, Refused, TryAgain
from oboe.domain.messages import Fence, Level, Phase, Report, Verdict
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, Operator, State
from oboe.engine import turn
from oboe.engine.limits import Limits
from oboe.kit.playbook import Sketch
from tests.engine.site import A, Site, alive, chain, draft, eventually, states
from tests.engine.steps import DONE, FAILING, GATES, Brittle, Chatty, Count, Crashing, Deaf, Finder, Gate, Noop, Once, Signal, Sleeper


def counted(sketch: Sketch, length: int) -> None:
    for number in range(length):
        sketch.stage(f"n{number}", Count, agents=(A,), args={"n": number})


def ask(site: Site, key: str, event: events.Request) -> None:
    site.engine.ask(HomeKind.AGENT, key, event)


def test_a_chain_runs_in_order_and_results_reach_the_next_step(site: Site, sketch: Sketch) -> None:
    counted(sketch, 9)
    dag = site.run(sketch.plan())
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert DONE[dag.key] == [f"do {number}" for number in range(9)]
    assert [each.result for each in dag.sub_tasks] == list(range(1, 10))
    assert site.texts(dag) == [f"line of {number}" for number in range(9)]
    assert site.home.load(dag.key) == dag


def test_a_diamond_joins_only_after_both_sides(site: Site, sketch: Sketch) -> None:
    top = sketch.stage("n0", Count, agents=(A,), args={"n": 0})
    left = sketch.stage("n1", Count, agents=(A,), args={"n": 1}, after=[top])
    right = sketch.stage("n2", Count, agents=(A,), args={"n": 2}, after=[top])
    sketch.stage("n3", Count, agents=(A,), args={"n": 3}, after=[left, right])
    dag = site.run(sketch.plan())
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert DONE[dag.key][0] == "do 0"
    assert sorted(DONE[dag.key][1:3]) == ["do 1", "do 2"]
    assert DONE[dag.key][3] == "do 3"


def test_a_wide_node_runs_all_its_sub_tasks_with_few_workers(sketch: Sketch, make_site) -> None:  # type: ignore[no-untyped-def]
    site = make_site(limits=Limits(workers_max=3)).start()
    sketch.stage("wide", Count, agents=(A,) * 40, args={"n": 0})
    sketch.stage("n1", Count, agents=(A,), args={"n": 1})
    dag = site.run(sketch.plan())
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert len(DONE[dag.key]) == 41
    assert site.engine.executor.busy == 0


@pytest.mark.parametrize("parked", [0, 1, 3])
@pytest.mark.parametrize("idle_seconds", [10.0, 0.01])
def test_all_that_may_run_at_once_does_however_many_workers_wait_or_leave(  # type: ignore[no-untyped-def]
    make_site, parked: int, idle_seconds: float
) -> None:
    site = make_site(limits=Limits(workers_max=12, worker_idle_seconds=idle_seconds)).start()
    for number in range(4):
        if parked:
            warm = Sketch(f"warm {number}", Maintenance())
            warm.stage("wide", Noop, agents=(A,) * parked, parallel=True)
            site.run(warm.plan())
        sketch = Sketch("trial", Maintenance())
        sketch.stage("wide", Gate, agents=(A,) * 12, parallel=True)
        dag = site.submit(sketch.plan())
        eventually(lambda dag=dag: len(DONE[dag.key]) == 12)
        GATES[dag.key].set()
        assert fold.dag_state(site.over(dag)) is State.SUCCEEDED


def test_lines_keep_their_order_though_a_step_ends_while_some_are_on_their_way(site: Site, sketch: Sketch) -> None:
    sketch.stage("wide", Chatty, agents=(A,) * 200)
    patience = sys.getswitchinterval()
    sys.setswitchinterval(0.2)  # so that a worker gets on while the scheduler is still waking up
    try:
        dag = site.run(sketch.plan())
    finally:
        sys.setswitchinterval(patience)
    for index in range(200):
        assert site.texts(dag, index) == ["line 0", "line 1", "line 2", "last line"]


def test_a_failure_has_its_code_and_hint_in_the_log_and_retry_undoes_then_does(site: Site, sketch: Sketch) -> None:
    given = draft(chain(sketch, Noop, Brittle, Noop))
    FAILING.add(given.key)
    failed = site.over(site.engine.submit(given))
    assert fold.dag_state(failed) is State.FAILED
    (record,) = site.home.logs(failed)
    assert (record.line.level, record.line.code, record.line.text) == (Level.ERROR, "trial.broken", "it broke (mend it)")
    FAILING.discard(given.key)
    ask(site, given.key, events.Retry())
    dag = site.over(failed)
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert DONE[given.key] == ["do brittle", "undo brittle", "do brittle"]
    assert states(dag)[1] == ("SUCCEEDED", "RUN", 3)


def test_a_rollback_undoes_downstream_first_and_knows_what_was_returned(site: Site, sketch: Sketch) -> None:
    counted(sketch, 3)
    sketch.stage("last", Brittle, agents=(A,))
    given = draft(sketch.plan())
    FAILING.add(given.key)
    failed = site.over(site.engine.submit(given))
    ask(site, given.key, events.Rollback())
    dag = site.over(failed)
    assert fold.settled(dag)
    assert dag.operator is Operator.ROLLBACK
    assert DONE[given.key] == ["do 0", "do 1", "do 2", "do brittle", "undo brittle", "undo 2 3", "undo 1 2", "undo 0 1"]


def test_what_a_step_found_first_is_what_every_later_attempt_and_its_undo_find(site: Site, sketch: Sketch) -> None:
    counted(sketch, 2)
    sketch.stage("find", Finder, agents=(A,))
    failed = site.run(sketch.plan())
    ask(site, failed.key, events.Retry())
    dag = site.over(failed)
    assert DONE[dag.key] == ["do 0", "do 1", "first 2", "undo 2", "first 2"]
    assert dag.sub_tasks[2].result == 2


def test_a_crash_of_a_step_is_one_line_without_a_traceback(site: Site, sketch: Sketch) -> None:
    dag = site.run(chain(sketch, Crashing))
    assert fold.dag_state(dag) is State.FAILED
    assert site.texts(dag) == ["ValueError: no such thing"]


def test_a_dag_whose_step_no_longer_loads_is_set_aside_and_says_so(site: Site, sketch: Sketch) -> None:
    plan = chain(sketch, Noop)
    site.tools.registry._steps.clear()
    dag = site.engine.submit(draft(plan, site.here))
    told = eventually(lambda: site.engine.status().set_aside)[dag.key]
    assert told.startswith("step tests.engine.steps:Noop of playbook 'trial' is not loaded: bring it back")
    with pytest.raises(TryAgain, match="is not loaded"):
        site.engine.ask(HomeKind.AGENT, dag.key, events.Pause("ann", "why", 0))


class Passable(Noop):
    skippable = True


def test_a_dag_that_is_set_aside_because_of_its_steps_can_be_cancelled_and_passed(site: Site, sketch: Sketch) -> None:
    plan = chain(sketch, Passable)
    site.tools.registry._steps.clear()
    dag = site.engine.submit(draft(plan, site.here))
    eventually(lambda: site.engine.status().set_aside)
    ask(site, dag.key, events.Cancel())
    assert fold.dag_state(site.over(dag)) is State.FAILED
    assert site.engine.status().set_aside == {}
    ask(site, dag.key, events.Retry())
    eventually(lambda: "no step is named" in "".join(site.texts(site.engine.get(HomeKind.AGENT, dag.key))))
    ask(site, dag.key, events.Pass())
    assert fold.settled(site.over(dag))


def test_a_cancel_ends_the_process_group_of_a_running_command(site: Site, sketch: Sketch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    sketch.stage("sleep", Sleeper, agents=(A,), args={"pid_file": str(pid_file)})
    dag = site.submit(sketch.plan())
    pid = int(eventually(lambda: pid_file.exists() and pid_file.read_text().strip()))
    group = os.getpgid(pid)
    assert group != os.getpgid(0)
    assert alive(group)
    ask(site, dag.key, events.Cancel())
    dag = site.over(dag)
    assert fold.dag_state(dag) is State.FAILED
    assert site.texts(dag) == ["sub task cancelled", "cancel of the sleeper"]
    assert not alive(group)


def test_a_timeout_interrupts_and_fails(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    class Late(Gate):
        timeout = 0.05

    site = make_site(steps=[Late]).start()
    dag = site.run(chain(sketch, Late))
    assert states(dag) == [("FAILED", "RUN", 1)]
    assert site.texts(dag) == ["sub task timeout"]


def test_a_retry_never_runs_beside_a_step_that_ignores_its_interrupt(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(limits=Limits(workers_max=8, stubborn_seconds=0.05)).start()
    dag = site.submit(chain(sketch, Deaf))
    eventually(lambda: DONE[dag.key])
    ask(site, dag.key, events.Cancel())
    failed = site.over(dag)
    assert site.texts(failed) == ["its agent did not confirm the end in time"]
    assert site.engine.status().given_up == 1
    ask(site, dag.key, events.Retry())
    site.until(failed, lambda now: now.sub_tasks[0].attempt == 2)
    site.run(chain(Sketch("other", Maintenance()), Noop, Noop))
    assert DONE[dag.key] == ["do deaf 1"]
    GATES[dag.key].set()
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED
    assert DONE[dag.key] == ["do deaf 1", "deaf 1 is over", "undo deaf", "do deaf 3", "deaf 3 is over"]
    assert site.engine.status().given_up == 0


def test_a_signal_wakes_the_step_that_waits_for_it_and_counts_once(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Signal))
    eventually(lambda: site.engine.waiting(dag.key))
    site.engine.signal(HomeKind.AGENT, dag.key, "go", {"a": 1})
    site.engine.signal(HomeKind.AGENT, dag.key, "go", {"a": 2})
    assert site.over(dag).sub_tasks[0].result == {"a": 1}


def test_what_a_step_waits_for_can_be_seen_while_it_waits(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Gate))
    seen = eventually(lambda: site.engine.waiting(dag.key))
    assert seen[0].why == "the gate"
    assert seen[0].until - seen[0].since == 60 * 10**9
    GATES[dag.key].set()
    site.over(dag)
    assert not site.engine.waiting(dag.key)


def test_a_request_is_refused_to_its_asker_and_loses_no_neighbour(site: Site, sketch: Sketch) -> None:
    dag = site.run(chain(sketch, Noop))
    with pytest.raises(Refused):
        ask(site, dag.key, events.Retry())
    with pytest.raises(Refused) as refusal:
        ask(site, secrets.token_hex(16), events.Retry())
    assert refusal.value.code == "task.not_found"


def test_a_report_of_an_earlier_attempt_or_an_unknown_dag_is_answered_stop(site: Site, sketch: Sketch) -> None:
    given = draft(chain(sketch, Brittle))
    FAILING.add(given.key)
    failed = site.over(site.engine.submit(given))
    ask(site, given.key, events.Retry())
    dag = site.over(failed)

    def late(key: str, attempt: int) -> Verdict:
        fence = Fence(key, 0, dag.sub_tasks[0].epoch, attempt)
        return site.engine.report(dag.home, Report(fence=fence, operator=Operator.RUN, agent=A, phase=Phase.ENDED, at=1))

    assert late(given.key, 1) is Verdict.STOP
    assert late(secrets.token_hex(16), 1) is Verdict.STOP


def test_lines_of_a_running_step_are_durable_before_it_ends(site: Site, sketch: Sketch) -> None:
    sketch.stage("n0", Count, agents=(A,), args={"n": 0})
    sketch.stage("gate", Once, agents=(A,))

    dag = site.submit(sketch.plan())
    eventually(lambda: site.texts(dag))
    site.until(dag, lambda now: now.sub_tasks[1].state is State.RUNNING)
    GATES[dag.key].set()
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED


def test_many_lines_arrive_complete_and_in_order(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    class Talker(Noop):
        def run(self, run) -> None:  # type: ignore[no-untyped-def]
            for number in range(500):
                run.log(str(number))
                if number % 50 == 0:
                    run.note(at=number)
                    GATES["nobody"].wait(0.005)

    site = make_site(kind="sqlite", steps=[Talker]).start()
    dag = site.run(chain(sketch, Talker))
    assert site.texts(dag) == [str(number) for number in range(500)]
    assert dag.sub_tasks[0].additional == {"at": 450}


def test_a_store_that_is_away_delays_and_loses_nothing(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory")
    real, left = site.home.save, [7]

    def save(changes, lines=()):  # type: ignore[no-untyped-def]
        if left[0] > 0:
            left[0] -= 1
            raise TryAgain("store.away", "the store is away")
        return real(changes, lines)

    site.home.save = save
    site.start()
    counted(sketch, 3)
    dag = site.run(sketch.plan())
    assert left == [0]
    assert DONE[dag.key] == ["do 0", "do 1", "do 2"]
    assert not site.engine.status().troubles


def test_a_lost_race_loads_again_and_loses_nothing(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory")
    real, count = site.home.save, [0]

    def save(changes, lines=()):  # type: ignore[no-untyped-def]
        count[0] += 1
        if count[0] % 2:
            return {change.after.key: "stale" for change in changes}
        return real(changes, lines)

    site.home.save = save
    site.start()
    counted(sketch, 4)
    dag = site.run(sketch.plan())
    assert DONE[dag.key] == ["do 0", "do 1", "do 2", "do 3"]
    assert [each.attempt for each in dag.sub_tasks] == [1, 1, 1, 1]


def test_a_dag_that_cannot_be_advanced_is_set_aside_and_stops_no_other(make_site, sketch: Sketch, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory")
    plan = chain(sketch, Noop)
    bad, good = draft(plan), draft(plan)
    real = turn.advance

    def advance(dag, happened, **given):  # type: ignore[no-untyped-def]
        if dag.key == bad.key:
            raise KeyError("corrupt")
        return real(dag, happened, **given)

    monkeypatch.setattr(turn, "advance", advance)
    site.start()
    site.engine.submit(bad)
    assert fold.dag_state(site.over(site.engine.submit(good))) is State.SUCCEEDED
    assert list(eventually(lambda: site.engine.status().set_aside)) == [bad.key]


def test_waiting_for_a_version_ends_with_the_change(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Gate))
    running = site.until(dag, lambda now: now.sub_tasks[0].state is State.RUNNING)
    again = site.engine.wait_version(HomeKind.AGENT, dag.key, running.version, 0.01)
    assert again is not None
    assert again.version == running.version
    GATES[dag.key].set()
    later = site.engine.wait_version(HomeKind.AGENT, dag.key, running.version, 10)
    assert later is not None
    assert later.version > running.version


def test_a_listener_hears_every_version(site: Site, sketch: Sketch) -> None:
    heard: list[tuple[int, int]] = []
    end = site.engine.listen(lambda before, after: heard.append((before.version, after.version)))
    dag = site.run(chain(sketch, Noop, Noop))
    end()
    assert [after for _, after in heard] == [before for before, _ in heard[1:]] + [dag.version]


def test_a_dag_that_cannot_be_written_is_set_aside_and_stops_no_other(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory", limits=Limits(workers_max=2))
    plan = chain(sketch, Noop, Noop)
    drafts = [draft(plan) for _ in range(20)]
    real = site.home.save

    def save(changes, lines=()):  # type: ignore[no-untyped-def]
        if any(change.after.key == drafts[7].key for change in changes):
            raise ValueError("cannot be encoded")
        return real(changes, lines)

    site.home.save = save
    dags = [site.home.create(each) for each in drafts]
    site.start()
    assert all(fold.dag_state(site.over(dag)) is State.SUCCEEDED for dag in dags if dag.key != drafts[7].key)
    assert list(site.engine.status().set_aside) == [drafts[7].key]
    assert site.engine.executor.busy == 0


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_a_dag_that_the_store_would_not_take_for_a_while_goes_on_by_itself(make_site, sketch: Sketch, refused: int) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory", limits=Limits(safety_net_seconds=0.1))
    real, seen, left = site.home.save, [0], [3]

    def save(changes, lines=()):  # type: ignore[no-untyped-def]
        seen[0] += 1
        if seen[0] >= refused and left[0] > 0:
            left[0] -= 1
            raise Bug("store.failed", "an error that nobody has met")
        return real(changes, lines)

    site.home.save = save
    site.start()
    dag = site.over(site.submit(chain(sketch, Noop, Noop, Noop)))
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert [each.attempt for each in dag.sub_tasks] == [1, 1, 1]
    assert (left, site.engine.status().set_aside, site.engine.executor.busy) == ([0], {}, 0)


def test_a_dag_that_cannot_be_read_is_refused_and_stops_no_other(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory")
    real, bad = site.home.load, secrets.token_hex(16)

    def load(key: str):  # type: ignore[no-untyped-def]
        if key == bad:
            raise Bug("store.corrupt", "it cannot be read")
        return real(key)

    site.home.load = load
    site.start()
    with pytest.raises(Bug):
        ask(site, bad, events.Cancel())
    assert fold.dag_state(site.run(chain(sketch, Noop))) is State.SUCCEEDED
    assert list(site.engine.status().set_aside) == [bad]


def test_the_safety_net_finds_what_nobody_told(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(limits=Limits(safety_net_seconds=0.05)).start()
    dag = site.home.create(draft(chain(sketch, Noop)))
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED


def test_a_home_that_cannot_be_read_at_the_start_is_taken_up_when_it_can(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(limits=Limits(backoff_seconds_max=0.05))
    dag, real, left = site.home.create(draft(chain(sketch, Noop))), site.home.unsettled, [3]

    def unsettled():  # type: ignore[no-untyped-def]
        left[0] -= 1
        if left[0] >= 0:
            raise TryAgain("store.away", "the store is away")
        return real()

    site.home.unsettled = unsettled
    site.start()
    assert eventually(lambda: site.engine.status().troubles.get("agent home")) == "the store is away"
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED
    assert not site.engine.status().troubles
