"""Every playbook of oboe: its plan can be carried out, leads on wherever it fails, and is told to people. A new file is all it takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from oboe import playbooks
from oboe.domain import fold
from oboe.domain import plan as plans
from oboe.domain.events import Ended, Event, Rollback, Wake
from oboe.domain.machine import advance
from oboe.domain.model import Approval, Dag, Plan
from oboe.domain.values import SECOND, Operator, State
from oboe.kit.params import copy_params, read_params, schema_of
from oboe.kit.playbook import Playbook
from oboe.kit.registry import Registry
from oboe.kit.testing import HERE
from tests.domain.dags import chain
from tools import playbooks_docs
from tools.playbooks_docs import example_params, example_sketch

REGISTRY = Registry()
REGISTRY.add_package(playbooks)
BOOKS = pytest.mark.parametrize("book", REGISTRY.playbooks, ids=lambda book: book.name)
RELEASED = sorted((Path(__file__).parent / "released").glob("*.json"))
DAY = 86_400 * SECOND


@BOOKS
def test_its_plan_is_sound(book: Playbook) -> None:
    sketch = example_sketch(book)
    plan = sketch.plan()
    plans.check(plan)
    for node in plan.nodes:
        assert REGISTRY.step(node.step) is sketch.steps[node.step]
        assert node.name == node.name.strip()
        assert 0 < len(node.name) <= 100
        assert node.timeout <= 2 * DAY
        assert node.grace <= node.timeout
        assert node.patience <= DAY
        json.dumps(dict(node.args))


@BOOKS
def test_its_steps_say_how_they_are_undone_or_why_not(book: Playbook) -> None:
    silent = [step.registered_name() for step in example_sketch(book).steps.values() if not step.rollable() and not step.irreversible]
    assert silent == []


@BOOKS
def test_people_are_told_what_it_does(book: Playbook) -> None:
    assert book.doc.endswith(".")
    untold = [step.registered_name() for step in example_sketch(book).steps.values() if not (step.__doc__ or "").strip()]
    assert untold == []
    assert book.started_by == "" or book.started_by.startswith("oboe ") or REGISTRY.playbook(book.started_by)


@BOOKS
def test_its_params_are_described_and_survive_the_store(book: Playbook) -> None:
    example = example_params(book)
    assert copy_params(example) == example
    assert set(schema_of(book.params)["properties"]) == {field.encode_name for field in msgspec.structs.fields(book.params)}


@BOOKS
def test_wherever_it_fails_there_is_a_way_on(book: Playbook) -> None:
    plan = example_sketch(book).plan()
    for node in range(len(plan.nodes)):
        failed = driven(fresh(plan), fails=node)
        assert fold.dag_state(failed) is State.FAILED
        assert fold.allowed_operators(failed), plan.nodes[node].name
        if "ROLLBACK" not in fold.allowed_operators(failed):
            continue
        for undo in range(node + 1):
            stuck = driven(asked(failed), fails=undo, undo=True)
            assert fold.dag_state(stuck) is State.FAILED
            assert fold.allowed_operators(stuck), f"undo of {plan.nodes[undo].name}"


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_dags_of_every_release_still_find_their_steps_and_params(path: Path) -> None:
    """A dag knows a step by its module and class: whoever renames one leaves the old name too."""
    for name, kept in json.loads(path.read_text(encoding="utf-8")).items():
        assert [step for step in kept["steps"] if not REGISTRY.has_step(step)] == []
        read_params(REGISTRY.playbook(name).params, kept["params"])


def test_the_page_is_current() -> None:
    assert playbooks_docs.PATH.read_text(encoding="utf-8") == playbooks_docs.render(), "run `make docs`"


def fresh(plan: Plan) -> Dag:
    """Every approval is given beforehand."""
    return replace(chain(*plan.nodes), approvals=dict.fromkeys(range(len(plan.nodes)), Approval("test", "", 1)))


def asked(dag: Dag) -> Dag:
    found, _ = advance(dag, [Rollback()], now=3, here=HERE, epoch=1)
    return found


def driven(dag: Dag, *, fails: int, undo: bool = False) -> Dag:
    """To where it stands still: every order is carried out; those of one node, forwards or as an undo, end badly."""
    events: list[Event] = [Wake()]
    now = 2
    while events:
        dag, _ = advance(dag, events, now=now, here=HERE, epoch=1)
        events = []
        for index, sub_task in enumerate(dag.sub_tasks):
            if sub_task.live:
                bad = dag.plan.node_of[index] == fails and undo == (sub_task.operator is Operator.ROLLBACK)
                events.append(Ended(index, 1, sub_task.attempt, now, not bad, sub_task.operator))
        if not events and any(each.resting for each in dag.sub_tasks):
            now, events = fold.next_timer(dag), [Wake()]
    return dag
