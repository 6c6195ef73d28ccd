"""A place for a seekdb server of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from oboe.database.port import Instance
from tests.database.run_double import RunDouble
from tests.database.servers import configured, driver, processes_in


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Instance]:
    instance = configured(tmp_path)
    yield instance
    driver.destroy(instance, RunDouble())
    assert processes_in(tmp_path) == []
