"""A real agent over a fake database, its accounts, and clients of both dialects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ocp.site import Site
from tests.spine.conftest import make_world, world

__all__ = ["make_world", "shared_site", "site", "world"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For tests that only look."""
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made
    finally:
        made.end()
