"""What is forgotten: old dags with their directories, and the inbox of dags that settled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oboe.domain.messages import Fence
from oboe.engine.housekeeping import Housekeeping
from oboe.engine.limits import Limits
from oboe.kit.playbook import Sketch
from tests.engine.site import A, B, Loose, Site, chain, eventually
from tests.engine.steps import Count, Noop


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_old_dags_go_with_their_directories_and_the_newest_stay(make_site: Callable[..., Site], sketch: Sketch, kind: str) -> None:
    site = make_site(kind=kind).start()
    plan = chain(sketch, Noop)
    dags = [site.run(plan) for _ in range(4)]
    for dag in dags:
        (site.tools.work_root / dag.key).mkdir(parents=True)
    keeping = Limits(keep_dags_max=2)
    assert _sweeper(site, keeping).sweep() == 2
    assert [site.home.load(dag.key) is not None for dag in dags] == [False, False, True, True]
    assert [(site.tools.work_root / dag.key).exists() for dag in dags] == [False, False, True, True]


def test_directories_of_dags_kept_elsewhere_go_by_age(make_site: Callable[..., Site]) -> None:
    site = make_site().start()
    old, young, used = (site.tools.work_root / name for name in ("old", "young", "used"))
    for path in (old, young, used):
        path.mkdir(parents=True)
    for path in (old, used):
        os.utime(path, (time.time() - 10**7,) * 2)
    _sweeper(site, Limits(), in_use=lambda key: key == "used").sweep()
    assert [path.exists() for path in (old, young, used)] == [False, True, True]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_an_agent_forgets_a_dag_some_time_after_its_home_said_that_it_settled(
    make_site: Callable[..., Site], sketch: Sketch, kind: str
) -> None:
    courier = Loose()
    first, second = (make_site(kind=kind, here=agent, courier=courier).start() for agent in (A, B))
    sketch.stage("n0", Count, agents=(B,), args={"n": 0})
    fence = Fence(first.run(sketch.plan()).key, 0, 1, 1)
    eventually(lambda: second.inbox.get(fence).acknowledged)
    sweeper = _sweeper(second, Limits(inbox_keep_seconds=3600))
    sweeper.sweep()
    assert second.inbox.get(fence) is not None
    sweeper = _sweeper(second, Limits(inbox_keep_seconds=-1))
    eventually(lambda: sweeper.sweep() == 0 and second.inbox.get(fence) is None)


def _sweeper(site: Site, limits: Limits, *, in_use: Callable[[str], bool] = lambda key: False) -> Housekeeping:
    histories: Any = lambda: [site.home]  # noqa: E731
    root: Path = site.tools.work_root
    return Housekeeping(histories, site.inbox, root, in_use=in_use, remind=site.engine._inbox.remind, limits=limits)
