"""One real server for the homes of all clusters, and clusters over fake databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.spine.world import World
from tests.store.seekdb_server import SeekdbServer, missing


@pytest.fixture(scope="session")
def store_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if missing():
        pytest.skip(missing())
    directory = tmp_path_factory.mktemp("store")
    server = SeekdbServer(directory)
    try:
        yield server.port
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def make_world(tmp_path: Path, store_port: int) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def make(**given: object) -> World:
        made.append(World(tmp_path / f"world{len(made)}", store_port, **given))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for world in made:
        world.end()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()
