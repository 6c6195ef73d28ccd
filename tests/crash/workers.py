"""Processes that carry out runs beside one another, each in directories and a database of its own.

Each is forked before anything in it has a thread, because agents are forked from it; what it has imported is set apart from the garbage
collector, so that agents share its memory.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from oboe.domain.values import Address
from tests.crash.agent import PATIENCE_SECONDS, World, stored_dag
from tests.crash.cluster import Database
from tests.crash.fuse import Point
from tests.crash.lives import Broken, Nursery
from tests.crash.steps import read_effects
from tests.crash.verdict import faults

__all__ = ["Outcome", "Workers", "scratch"]

_PR_SET_PDEATHSIG = 1
_MEMORY_DISK = Path("/dev/shm")
_ROOM_BYTES = 4 << 30
"""What runs and a server may take at most; less than that in memory: they go to the disk."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run."""

    points: tuple[str, ...]
    """That the victim met, by label."""
    kills: int
    faults: tuple[str, ...]
    directory: str
    """Kept when there are faults."""


def scratch() -> Path:
    """Where runs keep their files: in memory if there is room. What a SIGKILL leaves there is what it leaves on a disk."""
    try:
        if os.access(_MEMORY_DISK, os.W_OK) and shutil.disk_usage(_MEMORY_DISK).free >= _ROOM_BYTES:
            return _MEMORY_DISK
    except OSError:
        pass
    return Path(tempfile.gettempdir())


class Workers:
    """So many processes; they end with this one. ``port``: of the server that keeps the cluster's home; 0: there is none.

    ``plant``, ``patience_seconds``: of every `World`."""

    def __init__(self, count: int, place: Path, port: int = 0, *, plant: str = "", patience_seconds: float = PATIENCE_SECONDS) -> None:
        here = _Place(place, port, plant, patience_seconds)
        self._pool = ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("fork"), initializer=_settle, initargs=(os.getpid(), here)
        )

    def run(self, story: str, victim: Address, deadly: Sequence[Point]) -> Future[Outcome]:
        """One run of that story, whose victim dies at these points, one in each of its lives."""
        return self._pool.submit(_run, story, victim, tuple(deadly))

    def stop(self) -> None:
        """Wait for the runs that have begun; the others are cancelled."""
        self._pool.shutdown(cancel_futures=True)


class _Place:
    """Of one worker."""

    def __init__(self, directory: Path, port: int, plant: str, patience_seconds: float) -> None:
        self._directory = directory
        self._port = port
        self._plant = plant
        self._patience_seconds = patience_seconds
        self._database: Database | None = None

    def world(self, story: str) -> World:
        """A world whose stores are as new."""
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self._directory))
        name = ""
        if self._database is not None:
            self._database.renew()
        elif self._port:
            self._database = Database(self._port, f"crash_{os.getpid()}")
        if self._database is not None:
            name = self._database.name
        return World(directory, story, self._port, name, self._plant, self._patience_seconds)


_place: list[_Place] = []
"""This worker's."""


def _settle(parent: int, here: _Place) -> None:
    """In a new worker."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _place.append(here)
    gc.collect()
    gc.freeze()


def _run(story: str, victim: Address, deadly: Sequence[Point]) -> Outcome:
    (place,) = _place
    world = place.world(story)
    nursery = Nursery(world, {victim: deadly})
    points: list[str] = []
    try:
        nursery.run()
        points = world.points_of(victim).read_text().splitlines()
        found = faults(world) or _of_one_more_life(world)
    except Broken as broken:
        found = [str(broken)]
    if not found:
        shutil.rmtree(world.directory)
    return Outcome(tuple(points), nursery.kills, tuple(found), str(world.directory))


def _of_one_more_life(world: World) -> list[str]:
    """Nothing happens after the end: both agents live once more, forget what they did, and everything is as it was."""
    before = stored_dag(world), read_effects(world.effects)
    Nursery(world, {}, sweep=True).run()
    return [] if (stored_dag(world), read_effects(world.effects)) == before else ["something went on after the end"]
