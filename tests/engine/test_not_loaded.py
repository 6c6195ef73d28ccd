"""Orders of other homes whose steps are not loaded: they wait, and say so, until their playbook is back or their home gives up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from oboe.domain import events, fold
from oboe.domain.model import Dag
from oboe.domain.values import HomeKind, State
from oboe.kit.playbook import Sketch
from tests.engine.site import B, Loose, Site, alive, chain, eventually, states
from tests.engine.steps import DONE, GATES, Gate, Noop, Sleeper, Unlucky
from tests.engine.test_remote import Cluster


class Steady(Sleeper):
    resumable = True


@pytest.fixture
def cluster(make_site: Callable[..., Site]) -> Cluster:
    return Cluster(make_site, Loose(), "sqlite")


def unload(site: Site) -> Callable[[], None]:
    """What brings its steps back."""
    steps = site.tools.registry._steps
    kept = dict(steps)
    steps.clear()
    return lambda: steps.update(kept)


def reason(step: type) -> str:
    name = f"{step.__module__}:{step.__name__}"
    return f"step {name} is not loaded here: bring its playbook back and start this agent again, or cancel the dag"


def waits(site: Site, dag: Dag) -> str:
    return eventually(lambda: [waiting.why for waiting in site.engine.waiting(dag.key).values()])[0]


def test_an_order_whose_step_is_not_loaded_waits_and_says_so_until_it_is_back(cluster: Cluster, sketch: Sketch) -> None:
    site = cluster.sites[B]
    bring_back = unload(site)
    dag = cluster.submit(chain(sketch, Noop, agents=(B,)))
    assert waits(site, dag) == reason(Noop)
    assert dict(site.engine.status().troubles) == {f"an order of dag {dag.id} trial": reason(Noop)}
    assert cluster.maintainer.engine.get(HomeKind.CLUSTER, dag.key).sub_tasks[0].state is State.READY  # type: ignore[union-attr]
    site.die()
    bring_back()
    site.born_again()
    assert states(cluster.over(dag)) == [("SUCCEEDED", "RUN", 1)]


def test_what_was_running_goes_on_when_its_playbook_is_back(cluster: Cluster, sketch: Sketch) -> None:
    site = cluster.sites[B]
    dag = cluster.submit(chain(sketch, Gate, agents=(B,)))
    eventually(lambda: DONE[dag.key])
    site.die()
    bring_back = unload(site)
    site.born_again()
    eventually(lambda: f"waits: {reason(Gate)}" in cluster.texts(dag))
    assert waits(site, dag) == reason(Gate)
    site.die()
    bring_back()
    GATES[dag.key].set()
    site.born_again()
    assert states(cluster.over(dag)) == [("SUCCEEDED", "RUN", 1)]
    assert DONE[dag.key] == ["do gate 1", "do gate 1 resumed"]


def test_a_home_that_gives_up_is_told_why_it_did_not_begin(cluster: Cluster, sketch: Sketch) -> None:
    bring_back = unload(cluster.sites[B])
    dag = cluster.submit(chain(sketch, Unlucky, agents=(B,)))
    assert states(cluster.over(dag)) == [("FAILED", "RUN", 1)]
    assert cluster.texts(dag) == ["nobody began it in time", reason(Unlucky)]
    assert cluster.sites[B].engine.status().orders_open == 0
    bring_back()
    cluster.ask(dag, events.Retry())
    assert fold.dag_state(cluster.over(dag)) is State.SUCCEEDED
    assert DONE[dag.key] == ["do unlucky"]


def test_a_cancel_of_what_waits_for_its_playbook_ends_what_it_left_running(cluster: Cluster, sketch: Sketch, tmp_path: Path) -> None:
    site, pid_file = cluster.sites[B], tmp_path / "pid"
    sketch.stage("sleep", Steady, agents=(B,), args={"pid_file": str(pid_file)})
    site.tools.registry._steps[Steady.registered_name()] = Steady
    dag = cluster.submit(sketch.plan())
    group = os.getpgid(int(eventually(lambda: pid_file.exists() and pid_file.read_text().strip())))
    site.die()
    unload(site)
    site.born_again()
    assert waits(site, dag) == reason(Steady)
    cluster.ask(dag, events.Cancel())
    assert states(cluster.over(dag)) == [("FAILED", "RUN", 1)]
    assert not alive(group)
