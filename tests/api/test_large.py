"""What a dag of many nodes costs to show does not grow with the square of them."""

from __future__ import annotations

import pytest

from oboe.api.obshell import codec
from oboe.control.views import DagView
from oboe.domain import events, fold
from oboe.domain.machine import advance
from oboe.domain.model import Maintenance
from oboe.domain.values import Operator, State
from oboe.kit.playbook import Sketch
from oboe.store.encoding import draft_dag
from tests.engine.site import A, draft
from tests.engine.steps import Noop


def test_where_a_dag_stands_is_asked_once_for_all_its_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    sketch = Sketch("trial", Maintenance())
    for number in range(50):
        sketch.stage(f"n{number}", Noop, agents=(A,))
    dag = draft_dag(draft(sketch.plan()), number=1, node_base=1, sub_task_base=1)
    ended = events.Ended(0, 1, 1, 3, ok=False, operator=Operator.RUN)
    for now, event in enumerate((events.Wake(), events.Cancel(), events.Wake(), ended), start=1):
        dag, _ = advance(dag, (event,), now=now, here=A, epoch=1)
    assert fold.dag_state(dag) is State.FAILED
    asked: list[int] = []
    real = fold.stage

    def stage(dag: object) -> int:
        asked.append(1)
        return real(dag)  # type: ignore[arg-type]

    monkeypatch.setattr(fold, "stage", stage)
    shown = codec.dag_object(DagView(dag, ()), details=True)
    assert [node.operator for node in shown.nodes or ()] == ["CANCEL"] + ["RUN"] * 49
    assert len(asked) <= 2
