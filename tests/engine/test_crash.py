"""An agent dies and is born again: what may run again does, what may not is FAILED with a reason, and commands are adopted or ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oboe.domain import events, fold
from oboe.domain.messages import Level
from oboe.domain.values import HomeKind, State
from oboe.engine.limits import Limits
from oboe.engine.reports import INTERRUPTED_CODE
from oboe.kit.playbook import Sketch
from oboe.kit.run import Run
from tests.engine.site import A, Site, chain, eventually, states
from tests.engine.steps import DONE, GATES, Gate, Noop, Once, Sleeper, did


class Adopter(Noop):
    """A command that counts how often it ran, under a step that may run again."""

    resumable = True

    def run(self, run: Run) -> str:
        did(run, "resumed" if run.resumed else "begun")
        script = 'echo ran >> "$0/ran"; until [ -e "$0/go" ]; do sleep 0.02; done; echo out'
        done = run.call(["sh", "-c", script, run.args["place"]], timeout=60)
        return f"{done.status} {done.stdout.strip()}"


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Site:
    return make_site(kind=request.param, steps=[Adopter]).start()


def test_a_resumable_step_runs_again_as_the_same_attempt(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Noop, Gate, Noop))
    eventually(lambda: DONE[dag.key])
    site.die()
    site.born_again()
    eventually(lambda: len(DONE[dag.key]) == 2)
    GATES[dag.key].set()
    dag = site.over(dag)
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert DONE[dag.key] == ["do gate 1", "do gate 1 resumed"]
    assert states(dag)[1] == ("SUCCEEDED", "RUN", 1)


def test_another_step_is_failed_with_a_reason_and_can_be_retried(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Once))
    eventually(lambda: DONE[dag.key])
    site.die()
    site.born_again()
    failed = site.over(dag)
    assert fold.dag_state(failed) is State.FAILED
    (record,) = site.home.logs(failed)
    assert (record.line.level, record.line.code) == (Level.ERROR, INTERRUPTED_CODE)
    assert "interrupted unexpectedly" in record.line.text
    GATES[dag.key].set()
    site.engine.ask(HomeKind.AGENT, dag.key, events.Retry())
    assert fold.dag_state(site.over(failed)) is State.SUCCEEDED
    assert DONE[dag.key] == ["do gate 1", "undo gate", "do gate 3"]


def test_a_command_outlives_its_agent_and_is_adopted(site: Site, sketch: Sketch, tmp_path: Path) -> None:
    sketch.stage("adopt", Adopter, agents=(A,), args={"place": str(tmp_path)})
    dag = site.submit(sketch.plan())
    eventually((tmp_path / "ran").exists)
    site.die()
    site.born_again()
    eventually(lambda: DONE[dag.key] == ["begun", "resumed"])
    (tmp_path / "go").touch()
    dag = site.over(dag)
    assert dag.sub_tasks[0].result == "0 out"
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_command_that_ended_while_its_agent_was_dead_is_not_run_again(site: Site, sketch: Sketch, tmp_path: Path) -> None:
    sketch.stage("adopt", Adopter, agents=(A,), args={"place": str(tmp_path)})
    dag = site.submit(sketch.plan())
    eventually((tmp_path / "ran").exists)
    site.die()
    (tmp_path / "go").touch()
    eventually(lambda: list(site.tools.work_root.glob("*/*/*/status")))
    site.born_again()
    assert site.over(dag).sub_tasks[0].result == "0 out"
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_the_command_of_a_step_that_may_not_run_again_is_ended_before_it_is_failed(site: Site, sketch: Sketch, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    sketch.stage("sleep", Sleeper, agents=(A,), args={"pid_file": str(pid_file)})
    dag = site.submit(sketch.plan())
    pid = int(eventually(lambda: pid_file.exists() and pid_file.read_text().strip()))
    site.die()
    assert _runs(pid)
    site.born_again()
    assert fold.dag_state(site.over(dag)) is State.FAILED
    assert not _runs(pid)


def test_a_cancel_that_came_before_the_death_is_carried_out_after_it(site: Site, sketch: Sketch) -> None:
    dag = site.submit(chain(sketch, Once))
    eventually(lambda: DONE[dag.key])
    site.engine.executor.interrupt = lambda fence, cause: True  # type: ignore[method-assign]
    site.engine.ask(HomeKind.AGENT, dag.key, events.Cancel())
    site.die()
    site.born_again()
    failed = site.over(dag)
    assert states(failed) == [("FAILED", "RUN", 1)]
    assert site.texts(failed) == ["sub task cancelled"]


def test_what_was_ready_and_had_no_worker_begins_after_a_restart(make_site: Callable[..., Site], sketch: Sketch) -> None:
    site = make_site(limits=Limits(workers_max=1)).start()
    sketch.stage("wide", Gate, agents=(A,) * 3)
    dag = site.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    assert [each.state for each in site.home.load(dag.key).sub_tasks] == [State.RUNNING, State.READY, State.READY]
    site.die()
    GATES[dag.key].set()
    site.born_again()
    dag = site.over(dag)
    assert [each.attempt for each in dag.sub_tasks] == [1, 1, 1]
    assert sorted(DONE[dag.key]) == ["do gate 1", "do gate 1", "do gate 1", "do gate 1 resumed"]


def test_a_graceful_stop_lets_short_steps_end_and_saves_them(make_site: Callable[..., Site], sketch: Sketch) -> None:
    site = make_site(kind="sqlite").start()
    dag = site.submit(chain(sketch, Gate))
    eventually(lambda: DONE[dag.key])
    GATES[dag.key].set()
    assert site.engine.stop(5.0)
    assert site.home.load(dag.key).sub_tasks[0].state is State.SUCCEEDED


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
