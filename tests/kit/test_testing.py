"""`oboe.kit.testing`: what it says a step did, a step does under an agent too."""

from __future__ import annotations

import pytest

from oboe.domain.errors import Bug, Interrupted
from oboe.domain.values import Stopping
from oboe.kit import Secret
from oboe.kit.run import Run
from oboe.kit.testing import FakeRun, Progress, Refused, Rehearsal, State, StepFailed, Wait, killed_everywhere, plan_of

from .copying import A, Announce, B, Copy, CopyParams, Make, World, copy, copy_in_turn


def rehearsal(world: World | None = None, **more: object) -> Rehearsal:
    dag = Rehearsal(
        copy, {"target": "/t", "token": "hush", **more}, members=(A, B), services={World: world or World()}, signals={"go": None}
    )
    dag.answer("cp", stdout="xyz")
    dag.answer("rm")
    return dag


class Forgetful(list[str]):
    """What is put into it is gone."""

    def append(self, value: str) -> None: ...


# Plans


def test_a_plan_is_drawn_from_a_mapping_and_from_a_value_alike() -> None:
    plan = plan_of(copy, {"target": "/t"}, members=(A, B))
    assert plan == plan_of(copy, CopyParams("/t"), members=(A, B))
    assert [(node.name, node.agents, node.parallel) for node in plan.nodes] == [
        ("Make", (None,), False),
        ("Copy", (A, B), True),
        ("Announce", (None,), False),
    ]


def test_params_that_an_agent_refuses_are_refused() -> None:
    with pytest.raises(Refused, match="target must be given"):
        plan_of(copy, {})
    with pytest.raises(Refused, match=r"node 'Copy' has no sub-tasks"):
        plan_of(copy, {"target": "/t"}, members=())


# One step


def test_a_step_is_run_alone_and_everything_it_did_is_there() -> None:
    run = FakeRun(CopyParams("/t", Secret("hush")), agent=B, results={"Make": "/t"}, services={World: World()})
    run.answer("cp", stdout="xyz", seconds=4)
    run.clock.at(7, lambda: run.use(World).made.append("/t"))
    assert Copy().run(run) == 3
    assert run.waits == [Wait("the target", 10.0, 7.0, 15, True)]
    (call,) = run.calls
    assert (str(call), call.env, call.timeout) == ("cp -a /10.0.0.2 /t", {"TOKEN": "hush"}, 30)
    assert run.progressed == [Progress(0, 1, "tables"), Progress(1, 1, "tables")]
    assert run.clock.seconds == 11


def test_a_wait_gives_up_with_the_words_of_the_engine() -> None:
    run = FakeRun(CopyParams("/t"), services={World: World()})
    with pytest.raises(StepFailed, match=r"gave up after 10 s and 21 tries: the target"):
        Copy().run(run)
    assert run.waits == [Wait("the target", 10.0, 10.0, 21, False)]


def test_a_command_of_which_the_test_says_nothing_is_the_tests_fault() -> None:
    world = World()
    world.made.append("/t")
    run = FakeRun(CopyParams("/t"), services={World: world}, results={"Make": "/t"})
    with pytest.raises(AssertionError, match=r"says nothing of the command 'cp -a /10.0.0.1 /t'"):
        Copy().run(run)


def test_a_command_that_takes_too_long_is_ended() -> None:
    run = FakeRun()
    run.answer("sleep", seconds=31)
    with pytest.raises(StepFailed, match="sleep was ended after 30 s"):
        run.call(["sleep", "99"], timeout=30)
    assert (run.calls, run.clock.seconds) == ([], 30)


def test_the_answer_said_last_counts_until_it_is_used_up() -> None:
    run = FakeRun()
    run.answer("cp")
    run.answer("cp", "-a", status=1, times=2)
    assert [run.call(["cp", "-a"], timeout=1).status for _ in range(3)] == [1, 1, 0]
    assert run.call(["cp", "-b"], timeout=1).status == 0


def test_a_step_that_is_told_to_stop_hears_it_at_its_next_line() -> None:
    run = FakeRun(CopyParams("/t"), services={World: World()})
    run.at(3, run.interrupt)
    with pytest.raises(Interrupted):
        Copy().run(run)
    assert run.clock.seconds == 1.0


def test_a_signal_is_waited_for_and_may_come_late() -> None:
    signals: dict[str, str] = {}
    run = FakeRun(signals=lambda: signals, results={"Copy": [1]})
    run.clock.at(12, lambda: signals.update(go="now"))
    assert Announce().run(run) == [1]
    assert run.waits == [Wait("the signal 'go'", 30, 12.0, 1, True)]


def test_what_the_agent_has_not_is_a_bug_as_under_an_agent() -> None:
    with pytest.raises(Bug, match="no service World"):
        Make().run(FakeRun(CopyParams("/t")))


def test_a_fake_run_is_a_run() -> None:
    run: Run = FakeRun()  # by its type, for mypy
    missing = [name for name in vars(Run) if not name.startswith("_") and not hasattr(run, name)]
    assert missing == []


# A whole dag


def test_a_dag_runs_to_its_end() -> None:
    dag = rehearsal()
    assert dag.run() is State.SUCCEEDED
    assert dag.story == ["Make", "Copy on 10.0.0.1:2886", "Copy on 10.0.0.2:2886", "Announce"]
    assert dag.results("Copy") == [3, 3]
    assert dag.results("Announce") == [[3, 3]]
    assert [str(call) for call in dag.calls] == ["cp -a /10.0.0.1 /t", "cp -a /10.0.0.2 /t"]
    assert dag.lines == ["made /t"]


def test_a_failed_step_is_undone_and_run_again_by_a_retry() -> None:
    dag = rehearsal()
    dag.answer("cp", "-a", "/10.0.0.2", status=1, stderr="disk full", times=1)
    assert dag.run() is State.FAILED
    assert dag.lines[-1] == "ERROR: disk full [copy.failed]"
    assert dag.retry() is State.SUCCEEDED
    assert dag.story[1:] == [
        "Copy on 10.0.0.1:2886",
        "Copy on 10.0.0.2:2886 (failed)",
        "undo Copy on 10.0.0.2:2886",
        "Copy on 10.0.0.2:2886",
        "Announce",
    ]


def test_a_rollback_undoes_the_last_first() -> None:
    world = World()
    dag = rehearsal(world)
    dag.fail("Announce")
    assert dag.run() is State.FAILED
    dag.fail("Make", undo=True)
    assert dag.rollback() is State.FAILED
    assert dag.rollback() is State.SUCCEEDED
    assert (dag.rolled_back, world.made) == (True, [])
    assert dag.story[4:] == [
        "undo Announce",
        "undo Copy on 10.0.0.1:2886",
        "undo Copy on 10.0.0.2:2886",
        "undo Make (failed)",
        "undo Make",
    ]


def test_a_resumable_step_goes_on_as_the_same_attempt_and_its_command_is_adopted() -> None:
    dag = rehearsal()
    dag.kill("Copy", agent=A, at=4)
    assert dag.run() is State.SUCCEEDED
    first, second = dag.did[1], dag.did[2]
    assert (str(first), str(second)) == ("Copy on 10.0.0.1:2886 (killed)", "Copy on 10.0.0.1:2886")
    assert (second.attempt, second.run.resumed, [call.adopted for call in second.run.calls]) == (1, True, [True])


def test_any_other_step_is_failed_and_a_person_retries_it() -> None:
    dag = rehearsal()
    dag.kill("Announce")
    assert dag.run() is State.FAILED
    assert dag.lines[-1].startswith("ERROR: sub task was interrupted unexpectedly")
    assert dag.retry() is State.SUCCEEDED
    assert dag.story[3:] == ["Announce (killed)", "undo Announce", "Announce"]


def test_a_cancel_stops_the_step_and_it_says_its_word() -> None:
    dag = rehearsal()
    dag.cancel_in("Announce")
    assert dag.run() is State.FAILED
    assert (dag.story[-1], dag.lines[-1]) == ("Announce (stopped)", "not announced")
    assert dag.retry() is State.SUCCEEDED


def test_a_step_is_stopped_at_its_timeout() -> None:
    world = World()
    dag = rehearsal(world, wait_seconds=500.0)
    world.made = Forgetful()
    assert dag.run() is State.FAILED
    assert dag.story[1:] == ["Copy on 10.0.0.1:2886 (stopped)", "Copy on 10.0.0.2:2886 (stopped)"]
    assert dag.clock.seconds == 120
    assert [each.stopping for each in dag.dag.sub_tasks[1:3]] == [Stopping.TIMEOUT] * 2


def test_a_dag_waits_for_a_person_and_goes_on_when_approved() -> None:
    dag = Rehearsal(copy_in_turn, {"target": "/t"}, members=(A, B), services={World: World()}, signals={"go": 1})
    dag.answer("cp", stdout="ab", times=1)
    dag.answer("cp", "-a", "/10.0.0.2", stdout="abc")
    assert (dag.run(), dag.story) == (State.RUNNING, ["Make"])
    assert dag.approve("Copy") is State.SUCCEEDED
    assert dag.results("Announce") == [[2, 3]]


def test_an_agent_killed_anywhere_leaves_the_same_world() -> None:
    worlds: list[World] = []

    def make() -> Rehearsal:
        worlds.append(World())
        return rehearsal(worlds[-1])

    stories = [tuple(dag.story) for dag in killed_everywhere(make)]
    assert (len(stories), len(set(stories))) == (16, 4)
    assert all(any("(killed)" in life for life in story) for story in stories)
    assert all(world.made == ["/t"] for world in worlds)


def test_killed_everywhere_says_where_a_dag_does_not_get_over_it() -> None:
    def make() -> Rehearsal:
        dag = rehearsal(wait_seconds=0.0)
        dag.fail("Announce", times=1)
        return dag

    with pytest.raises(AssertionError, match="undisturbed, it ends FAILED"):
        list(killed_everywhere(make))
