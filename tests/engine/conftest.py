"""The stores under the engine: in memory, and in SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oboe.domain.model import Maintenance
from oboe.kit.playbook import Sketch
from oboe.store.memory import MemoryHome, MemoryInbox
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox
from tests.engine.site import A, Site
from tests.engine.steps import ALL


@pytest.fixture(params=["memory", "sqlite"])
def site(request: pytest.FixtureRequest, make_site: Callable[..., Site]) -> Site:
    """An agent that runs."""
    return make_site(kind=request.param).start()


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes agents, and ends them."""
    made: list[Site] = []
    files: list[Sqlite] = []

    def make(*, kind: str = "memory", here: Any = A, **given: Any) -> Site:
        if kind == "memory":
            home: Any = MemoryHome()
            inbox: Any = MemoryInbox()
        else:
            files.append(Sqlite(tmp_path / f"{here.port}.db"))
            home, inbox = SqliteHome(files[-1]), SqliteInbox(files[-1])
        made.append(Site(home, inbox, tmp_path, *ALL, *given.pop("steps", ()), here=here, **given))
        return made[-1]

    yield make
    for site in made:
        site.stop()
    for file in files:
        file.close()


@pytest.fixture
def sketch() -> Sketch:
    return Sketch("trial", Maintenance())
