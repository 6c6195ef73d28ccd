"""A live server around a fake of the use cases, for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fakes import FakeControl, served


@pytest.fixture
def control() -> FakeControl:
    return FakeControl()


@pytest.fixture
def port(control: FakeControl) -> Iterator[int]:
    with served(control) as serving:
        yield serving.port
