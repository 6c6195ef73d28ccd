"""What was lost because somebody died at the wrong moment, found by `tests.crash`: each bug with the trace that showed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oboe.domain import events, fold
from oboe.domain.errors import TryAgain
from oboe.domain.messages import Fence
from oboe.domain.values import State, Stopping
from oboe.engine.orders import interrupt_of, order_of
from oboe.kit.playbook import Sketch
from tests.engine.site import A, B, Loose, Site, chain, draft, eventually
from tests.engine.steps import DONE, GATES, Gate, Once


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_agent_takes_no_order_before_it_has_taken_up_what_it_left(make_site: Callable[..., Site], sketch: Sketch, kind: str) -> None:
    """Else what had begun in its earlier life would begin a second time."""
    courier = Loose()
    first, second = (make_site(kind=kind, here=agent, courier=courier).start() for agent in (A, B))
    sketch.stage("once", Once, agents=(B,))
    dag = first.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    running = first.engine.get(dag.home.kind, dag.key)
    assert running is not None
    order, interrupt = order_of(running, 0, maintainer=A), interrupt_of(running, 0, Stopping.ASKED, maintainer=A)
    courier.cut.add(B)
    second.die()
    second.engine = second._born()
    for message in (lambda: second.engine.order(order), lambda: second.engine.interrupt(interrupt)):
        with pytest.raises(TryAgain, match="has not yet taken up"):
            message()
    second.start()
    courier.cut.clear()
    first.over(dag)
    assert DONE[dag.key] == ["do gate 1"]


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_home_that_died_before_it_said_settled_is_reminded(
    make_site: Callable[..., Site], sketch: Sketch, kind: str, forgotten: bool
) -> None:
    courier = _Deaf()
    first, second = (make_site(kind=kind, here=agent, courier=courier).start() for agent in (A, B))
    for name in ("one", "two"):
        sketch.stage(name, Gate, agents=(B,))
    dag = first.submit(sketch.plan())
    eventually(lambda: DONE[dag.key])
    GATES[dag.key].set()
    first.over(dag)
    eventually(lambda: second.inbox.get(Fence(dag.key, 1, 1, 1)).acknowledged)
    if forgotten:
        first.home.forget(1 << 62)
    second.inbox.forget(1 << 62)
    (entry,) = second.inbox.unsettled()
    assert entry.fence.dag_key == dag.key
    second.engine._inbox.remind(entry.ended.at)
    assert second.inbox.unsettled() == [entry], "it ended only just now"
    courier.deaf = False
    second.engine._inbox.remind(1 << 62)
    eventually(lambda: not second.inbox.unsettled())
    assert second.inbox.forget(1 << 62) == 2


class _Deaf(Loose):
    """Loses what homes say of settled dags."""

    deaf = True

    def settled(self, agent: Any, dag_key: str) -> None:
        if not self.deaf:
            super().settled(agent, dag_key)


def test_a_dag_that_is_asked_for_again_while_it_goes_on_is_seen_as_it_stands(site: Site, sketch: Sketch) -> None:
    """What was read for the second request may be older than what was saved since."""
    asked = draft(chain(sketch, Once))
    dag = site.engine.submit(asked)
    eventually(lambda: DONE[dag.key])
    store = site.engine._own.scheduler.store
    running, create = store.load(dag.key), store.create
    site.engine.ask(dag.home.kind, dag.key, events.Cancel())
    site.over(dag)
    store.create = lambda draft: running  # type: ignore[method-assign, assignment, return-value]
    site.engine.submit(asked)
    store.create = create  # type: ignore[method-assign]
    GATES[dag.key].set()
    assert fold.dag_state(site.engine.ask(dag.home.kind, dag.key, events.Retry())) is not State.FAILED
    assert fold.dag_state(site.over(dag)) is State.SUCCEEDED
