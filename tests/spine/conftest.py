"""Clusters over fake databases, whose homes are in the one real server of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from oboe.domain.errors import OboeError
from tests.spine.host import Host, eventually
from tests.spine.world import World


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


class _Shared:
    """A cluster of two for many tests. One that a test left otherwise than it found it is replaced."""

    def __init__(self, root: Path, store_port: int) -> None:
        self._root = root
        self._store_port = store_port
        self._count = 0
        self._world: World | None = None

    def world(self) -> World:
        if self._world is not None and not (len(self._world.hosts) == 2 and self._settled(self._world)):
            self.end()
        if self._world is None:
            self._count += 1
            world = World(self._root / f"cluster{self._count}", self._store_port)
            try:
                master, follower = world.host(), world.host()
                world.gather(master, follower)
                world.good(world.over(master, world.init(master)))
            except BaseException:
                world.end()
                raise
            self._world = world
        return self._world

    @staticmethod
    def _settled(world: World) -> bool:
        """What a test began may end a moment after it."""
        try:
            return bool(eventually(world.as_new, 2.0))
        except (AssertionError, OboeError, pymysql.Error):
            return False

    def end(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            world.end()


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[_Shared]:
    shared = _Shared(tmp_path_factory.mktemp("clusters"), store_port)
    yield shared
    shared.end()


@pytest.fixture
def cluster(_shared: _Shared) -> World:
    """Two CLUSTER AGENTs, as good as new."""
    return _shared.world()


@pytest.fixture
def joiner(cluster: World) -> Iterator[Host]:
    """A SINGLE agent beside the cluster; whatever becomes of it, the cluster forgets it."""
    host = cluster.host()
    yield host
    cluster.forget(host)


class _SharedPair:
    """A MASTER and a FOLLOWER for many tests. Of which a cluster was made, or that are not free, are replaced."""

    def __init__(self, root: Path, store_port: int) -> None:
        self._root = root
        self._store_port = store_port
        self._count = 0
        self._world: World | None = None

    def world(self) -> World:
        if self._world is not None and not _free(self._world):
            self.end()
        if self._world is None:
            self._count += 1
            self._world = World(self._root / f"pair{self._count}", self._store_port)
            try:
                self._world.gather(self._world.host(), self._world.host())
            except BaseException:
                self.end()
                raise
        return self._world

    def end(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            world.end()


@pytest.fixture(scope="session")
def _shared_pair(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[_SharedPair]:
    shared = _SharedPair(tmp_path_factory.mktemp("pairs"), store_port)
    yield shared
    shared.end()


@pytest.fixture
def pair(_shared_pair: _SharedPair) -> World:
    """A MASTER and a FOLLOWER, configured, of which a cluster can be made."""
    return _shared_pair.world()


def _free(world: World) -> bool:
    told = [host.public("/api/v1/status") for host in world.hosts]
    if not all(told):
        return False
    identities = [one["agent"]["identity"] for one in told]
    return identities == ["MASTER", "FOLLOWER"] and not any(one["underMaintenance"] for one in told)
