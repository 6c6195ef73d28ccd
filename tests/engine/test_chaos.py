"""Operators, deaths and lost messages at once: no two attempts of a sub-task run beside each other, and all comes to rest."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from oboe.domain import events, fold
from oboe.domain.errors import OboeError, StepFailed
from oboe.domain.model import Dag
from oboe.domain.values import HomeKind, State
from oboe.engine.attempt import Attempt
from oboe.kit.playbook import Sketch
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.store.memory import MemoryHome
from tests.engine.site import WAIT, A, B, C, Loose, Site, draft, eventually

RUNNING: Counter[tuple[str, int]] = Counter()
OVERLAPS: list[tuple[str, int]] = []
_LOCK = threading.Lock()
_DICE = random.Random(3)


class Restless(Step):
    """Short, sometimes failing, and noisy when it is not alone."""

    resumable = True
    skippable = True

    def _act(self, run: Run) -> None:
        assert isinstance(run, Attempt)
        place = (run.dag_key, run.fence.sub_task)
        with _LOCK:
            RUNNING[place] += 1
            if RUNNING[place] > 1:
                OVERLAPS.append(place)
            fails, pause = _DICE.random() < 0.15, _DICE.random() * 0.01
        try:
            run.log(f"attempt {run.attempt}")
            due = time.monotonic() + pause
            run.wait_until(lambda: time.monotonic() >= due, why="its time", timeout=5, every=0.002)
            if fails:
                raise StepFailed("trial.unlucky", "unlucky")
        finally:
            with _LOCK:
                RUNNING[place] -= 1

    def run(self, run: Run) -> int:
        self._act(run)
        return run.attempt

    def rollback(self, run: Run) -> None:
        self._act(run)


def _ask(site: Site, kind: HomeKind, dag: Dag, dice: random.Random) -> None:
    event = dice.choice([events.Cancel(), events.Retry(), events.Rollback(), events.Retry()])
    try:
        site.engine.ask(kind, dag.key, event, 2.0)
    except OboeError:
        return


def _kill_and_bear(site: Site) -> None:
    """In one process the threads of the dead must be gone before the next life begins, as they are in truth."""
    dead = site.engine.executor
    site.die()
    eventually(lambda: dead.workers == 0)
    site.born_again()


def _lead_on(site: Site, kind: HomeKind, dag: Dag) -> None:
    """Retry until it settles."""
    deadline = time.monotonic() + WAIT
    while True:
        now = site.over(dag)
        if fold.settled(now):
            return
        assert time.monotonic() < deadline, (now.sub_tasks, site.engine.status())
        try:
            site.engine.ask(kind, dag.key, events.Retry() if now.operator.name != "ROLLBACK" else events.Rollback(), 5.0)
        except OboeError:
            continue


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_agents_home_comes_to_rest(make_site: Callable[..., Site], sketch: Sketch, seed: int, kind: str) -> None:
    dice = random.Random(seed)
    site = make_site(kind=kind, steps=[Restless]).start()
    for number in range(4):
        sketch.stage(f"n{number}", Restless, agents=(A, A, A), args={"n": number}, after=[number - 1] if number else [])
    dags = [site.submit(sketch.plan()) for _ in range(5)]
    for _ in range(60):
        _ask(site, HomeKind.AGENT, dice.choice(dags), dice)
        if dice.random() < 0.05:
            _kill_and_bear(site)
    for dag in dags:
        _lead_on(site, HomeKind.AGENT, dag)
    eventually(lambda: site.engine.executor.busy == 0)
    assert not OVERLAPS
    assert not site.engine.status().set_aside


@pytest.mark.parametrize("seed", range(3))
def test_a_cluster_comes_to_rest_whatever_is_lost(make_site: Callable[..., Site], sketch: Sketch, seed: int) -> None:
    dice = random.Random(seed)
    home, courier = MemoryHome(), Loose(seed=seed, loss=0.2, doubled=0.2)
    sites = {agent: make_site(here=agent, courier=courier, steps=[Restless]).start() for agent in (A, B, C)}
    sites[A].engine.serve_cluster(home, 1)
    for number in range(4):
        sketch.stage(f"n{number}", Restless, agents=(A, B, C), args={"n": number})
    dags = [sites[A].engine.submit(draft(sketch.plan(), kind=HomeKind.CLUSTER)) for _ in range(4)]
    for _ in range(30):
        _ask(sites[A], HomeKind.CLUSTER, dice.choice(dags), dice)
        if dice.random() < 0.1:
            _kill_and_bear(sites[dice.choice([B, C])])
    courier.loss = 0.05
    for dag in dags:
        _lead_on(sites[A], HomeKind.CLUSTER, dag)
    for site in sites.values():
        assert not site.engine.status().set_aside
    assert all(each.state is State.SUCCEEDED for dag in dags for each in home.load(dag.key).sub_tasks if each.attempt)  # type: ignore[union-attr]
    assert not OVERLAPS
