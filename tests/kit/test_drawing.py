"""What a plan is drawn with is refused by name before a home is given what it could not read again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oboe.domain.errors import Refused
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Secret
from oboe.kit.drawing import SUB_TASKS_MAX
from oboe.kit.playbook import Playbook, Sketch
from oboe.kit.step import Step
from oboe.store.encoding import dag_of, draft_dag, encode_facts
from tests.engine.site import draft


class Fine(Step):
    skippable = True
    timeout = 1.5

    def run(self, run: object) -> None: ...


class Bare(Step):
    skippable = True


def with_(**facts: Any) -> type[Step]:
    return type("Odd", (Fine,), facts)


@pytest.mark.parametrize(
    ("code", "name", "step", "facts"),
    [
        *(("plan.name", name, Fine, {}) for name in ("", "  ", None, 5, "a\nb", "a\x00", "half \udcff", "x" * 256)),
        *(("plan.step", "n", step, {}) for step in (None, dict, Fine(), Bare, Step, "Fine")),
        *(("plan.limit", "n", with_(timeout=value), {}) for value in ("60", None, True, float("inf"), float("nan"), 1e12)),
        *(("plan.limit", "n", with_(**{which: "1"}), {}) for which in ("patience", "grace", "backoff")),
        *(("plan.limit", "n", with_(retries=value), {}) for value in (2.5, "3", True, 10**30)),
        *(("plan.flag", "n", with_(resumable=value), {}) for value in (None, "no", 1)),
        *(("plan.args", "n", Fine, {"args": {"a": value}}) for value in (object(), Path("/x"), Secret("pw"), "\udcff", "x" * (1 << 21))),
        ("plan.agent", "n", Fine, {"agents": ("127.0.0.1:2886",)}),
        *(("plan.upstream", "n", Fine, {"after": (node,)}) for node in ("first", 0, 7, -1, True)),
    ],
)
def test_what_a_home_could_not_read_again_is_refused_by_name(code: str, name: Any, step: Any, facts: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        Sketch("trial", Maintenance()).stage(name, step, **facts)
    assert refused.value.code == code
    assert len(refused.value.message) < 500


def test_args_nested_too_deeply_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit() * 10):
        deep = [deep]
    with pytest.raises(Refused, match="node 'n': the args cannot be kept"):
        Sketch("trial", Maintenance()).stage("n", Fine, args={"deep": deep})


@pytest.mark.parametrize("name", ["", None, "y" * 256, "half \udcff"])
def test_a_dag_has_a_name_that_every_store_keeps(name: Any) -> None:
    sketch = Sketch("trial", Maintenance())
    sketch.stage("n", Fine)
    sketch.name = name
    with pytest.raises(Refused, match="is no name for a dag"):
        sketch.plan()


@pytest.mark.parametrize("maintenance", [None, Maintenance(MaintenanceKind.TENANT, "t" * 129)])
def test_a_dag_locks_what_every_store_can_lock(maintenance: Any) -> None:
    sketch = Sketch("trial", maintenance)
    sketch.stage("n", Fine)
    with pytest.raises(Refused, match="the dag cannot lock"):
        sketch.plan()


def test_drawing_without_end_is_ended() -> None:
    sketch = Sketch("trial", Maintenance())
    sketch.stage("n", Fine, agents=(None,) * SUB_TASKS_MAX, parallel=True)
    with pytest.raises(Refused, match="more than 100000 sub-tasks"):
        sketch.stage("one more", Fine)


def _leaves(params: object, sketch: Sketch) -> None:
    sys.exit(3)


def _speechless(params: object, sketch: Sketch) -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise ValueError

    raise Speechless


@pytest.mark.parametrize(("draw", "told"), [(_leaves, "SystemExit: 3"), (_speechless, "Speechless")])
def test_a_function_that_draws_no_plan_says_why(draw: Callable[[Any, Sketch], None], told: str) -> None:
    book = Playbook("Trial", HomeKind.AGENT, Maintenance(), msgspec.Struct, draw)
    with pytest.raises(Refused) as refused:
        book.sketch(None)
    assert refused.value.code == "playbook.plan"
    assert refused.value.message == f"Trial draws no plan for these params: {told}"


def test_args_reach_a_step_as_they_are_read_again() -> None:
    sketch = Sketch("trial", Maintenance())
    sketch.stage("n", Fine, args={"many": {1}, "pair": (1, 2), "by": {1: "one"}})
    dag = draft_dag(draft(sketch.plan()), number=1, node_base=1, sub_task_base=1)
    again = dag_of((dag.key, 1, 1, 1, encode_facts(dag)), 1, "{}", {})
    assert dag.plan == again.plan
    assert dag.plan.nodes[0].args == {"many": [1], "pair": [1, 2], "by": {"1": "one"}}
