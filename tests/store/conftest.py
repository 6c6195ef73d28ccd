"""The stores that the conformance suite runs on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oboe.store.memory import MemoryHome, MemoryInbox
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Sqlite]:
    opened = Sqlite(tmp_path / "oboe.db")
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sqlite"])
def home(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryHome()
    return SqliteHome(request.getfixturevalue("sqlite"))


@pytest.fixture(params=["memory", "sqlite"])
def inbox(request: pytest.FixtureRequest) -> Any:
    if request.param == "memory":
        return MemoryInbox()
    return SqliteInbox(request.getfixturevalue("sqlite"))
