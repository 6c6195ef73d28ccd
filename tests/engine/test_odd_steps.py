"""Steps that do what nobody expects of them: each ends, says why, and can be stored and read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psutil
import pytest

from oboe.domain import events, fold
from oboe.domain.errors import TryAgain
from oboe.domain.messages import Level
from oboe.domain.values import HomeKind, State
from oboe.engine.limits import Limits
from oboe.kit.playbook import Sketch
from oboe.kit.run import Run
from tests.engine.site import QUICK, A, Site, chain, eventually
from tests.engine.steps import DONE, GATES, Gate, Noop, Odd

_ENDS = {
    "raises_keyboard_interrupt": "step.crashed: KeyboardInterrupt",
    "raises_system_exit": "step.crashed: SystemExit: 3",
    "raises_a_base_exception": "step.crashed: BaseException: odd",
    "raises_what_cannot_be_read": "step.crashed: Unreadable",
    "raises_half_a_character": r"trial.odd: half a character: \udcff",
    "notes_an_object": "note.not_plain: the note cannot be kept: Encoding objects of type object is unsupported",
    "notes_half_a_character": "note.not_plain: the note cannot be kept: 'utf-8' codec can't encode",
    "notes_much": "note.too_large: the note has 2000010 bytes, more than 1048576",
    "returns_an_object": "result.not_plain: the result cannot be kept: Encoding objects of type object is unsupported",
    "returns_much": "result.too_large: the result has 2000002 bytes, more than 1048576",
    "returns_half_a_character": "result.not_plain: the result cannot be kept: 'utf-8' codec can't encode",
    "calls_a_text": "call.not_a_list: a command is a list of texts, its program first, not 'echo hello'",
    "finds_no_room": "call.not_begun: true was not begun: Not a directory",
    "calls_nothing": "call.not_a_list: a command is a list of texts, its program first, not []",
}


@pytest.mark.parametrize("how", _ENDS)
def test_whatever_a_step_does_it_ends_with_a_reason(site: Site, sketch: Sketch, how: str) -> None:
    sketch.stage("odd", Odd, agents=(A,), args={"how": how})
    dag = site.run(sketch.plan())
    assert fold.dag_state(dag) is State.FAILED
    lines = [record.line for record in site.home.logs(dag, None)]
    assert [line.level for line in lines] == [Level.ERROR]
    assert f"{lines[0].code}: {lines[0].text}".startswith(_ENDS[how])
    assert site.engine.status().set_aside == {}


def test_a_command_that_writes_without_end_is_ended(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(limits=Limits(output_bytes_max=1 << 20)).start()
    sketch.stage("odd", Odd, agents=(A,), args={"how": "writes_without_end"})
    dag = site.run(sketch.plan())
    (line,) = [record.line for record in site.home.logs(dag, None)]
    assert (line.code, line.text.startswith("yes was ended when it had written ")) == ("call.too_much_output", True)
    assert not [each for each in psutil.process_iter(["cmdline"]) if str(site.tools.work_root) in " ".join(each.info["cmdline"] or [])]


def test_text_that_no_store_can_keep_is_written_with_escapes(site: Site, sketch: Sketch) -> None:
    sketch.stage("odd", Odd, agents=(A,), args={"how": "says_half_a_character"})
    dag = site.run(sketch.plan())
    assert fold.dag_state(dag) is State.SUCCEEDED
    assert site.texts(dag) == [r"half a character: \udcff"] * 2


def test_a_dag_that_was_set_aside_ends_when_a_person_cancels_it(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="memory")
    real, broken = site.home.save, set()

    def save(changes, lines=()):  # type: ignore[no-untyped-def]
        if any(change.after.key in broken and not change.after.cancelled for change in changes):
            raise ValueError("cannot be encoded")
        return real(changes, lines)

    site.home.save = save
    site.start()
    dag = site.submit(chain(sketch, Gate))
    eventually(lambda: DONE[dag.key])
    broken.add(dag.key)
    GATES[dag.key].set()
    assert list(eventually(lambda: site.engine.status().set_aside)) == [dag.key]
    site.engine.ask(HomeKind.AGENT, dag.key, events.Cancel())
    assert fold.dag_state(site.over(dag)) is State.FAILED
    assert site.engine.status().set_aside == {}


@pytest.mark.parametrize("given", [{"timeout": float("inf")}, {"timeout": "5"}, {"timeout": 5, "every": float("nan")}])
def test_a_wait_that_would_never_look_or_end_is_refused(make_site, sketch: Sketch, given: dict[str, Any]) -> None:  # type: ignore[no-untyped-def]
    class Endless(Noop):
        def run(self, run: Run) -> None:
            run.wait_until(lambda: False, why="nothing", **given)

    site = make_site(steps=[Endless]).start()
    dag = site.run(chain(sketch, Endless))
    assert fold.dag_state(dag) is State.FAILED
    assert [record.line.code for record in site.home.logs(dag)] == ["wait.no_seconds"]


def test_a_step_that_looks_without_pause_lets_others_run(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    looks: list[int] = []

    class Eager(Noop):
        def run(self, run: Run) -> None:
            run.wait_until(lambda: looks.append(1), why="nothing", timeout=0.3, every=0)

    site = make_site(steps=[Eager]).start()
    assert fold.dag_state(site.run(chain(sketch, Eager))) is State.FAILED
    assert len(looks) <= 32


def test_a_step_that_kills_its_agent_again_and_again_is_not_resumed_for_ever(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="sqlite", limits=replace(QUICK, deaths_max=2)).start()
    dag = site.submit(chain(sketch, Gate))
    for life in range(3):
        eventually(lambda life=life: len(DONE[dag.key]) > life)
        for attempt in site.engine.executor.attempts():  # a death suspends nothing
            attempt._resumed = False
        site.die()
        site.born_again()
    assert fold.dag_state(site.over(dag)) is State.FAILED
    assert len(DONE[dag.key]) == 3
    said = "its agent died 3 times in a row while it ran, so it does not run again by itself"
    assert said in site.texts(dag)
    GATES[dag.key].set()
    site.engine.ask(HomeKind.AGENT, dag.key, events.Retry())
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED


def test_a_step_that_its_agent_left_in_good_order_is_resumed_however_often(make_site, sketch: Sketch) -> None:  # type: ignore[no-untyped-def]
    site = make_site(kind="sqlite", limits=replace(QUICK, deaths_max=2)).start()
    dag = site.submit(chain(sketch, Gate))
    for life in range(4):
        eventually(lambda life=life: len(DONE[dag.key]) > life)
        site.die()
        site.born_again()
    GATES[dag.key].set()
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED


def test_a_request_that_is_not_durable_in_time_says_what_is_in_the_way(make_site, sketch: Sketch, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    site = make_site().start()
    dag = site.submit(chain(sketch, Gate))
    eventually(lambda: DONE[dag.key])

    def full(*given: object) -> None:
        raise TryAgain("store.full", "the disk is full")

    monkeypatch.setattr(site.home, "save", full)
    with pytest.raises(TryAgain, match=r"not durable within 0\.5 s: the disk is full"):
        site.engine.ask(HomeKind.AGENT, dag.key, events.Cancel(), timeout=0.5)
    monkeypatch.undo()
    site.engine.ask(HomeKind.AGENT, dag.key, events.Cancel())
    assert fold.dag_state(site.over(dag)) is State.FAILED
