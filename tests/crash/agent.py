"""The agent's process in a crash run: an engine over its stores, composed as the daemon does it, with points where it may be killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql

from oboe.domain.errors import OboeError
from oboe.domain.messages import Fence
from oboe.domain.model import Dag, Home
from oboe.domain.values import Address, HomeKind
from oboe.engine.attempt import Tools
from oboe.engine.limits import Limits
from oboe.engine.ports import Draft
from oboe.engine.server import Engine
from oboe.hosts import process
from oboe.hosts.signals import Signals
from oboe.kit.registry import Registry
from oboe.kit.typed import converted
from oboe.store.mysql import Lease, Mysql, MysqlHome
from oboe.store.sqlite import Sqlite, SqliteHome, SqliteInbox
from tests.crash import post, steps
from tests.crash.fuse import DeadlyMysql, DeadlySqlite, Fuse, Point
from tests.crash.plants import PLANTS
from tests.crash.stories import HOME, MAINTENANCE, STORIES

__all__ = ["KEY", "PATIENCE_SECONDS", "World", "live", "open_orders", "stored_dag"]

KEY = "c0ffee" * 5 + "00"
LIMITS = Limits(
    workers_max=16,
    flush_seconds=0.005,
    backoff_seconds_min=0.005,
    backoff_seconds_max=0.02,
    lease_seconds=60.0,
    lease_look_seconds=0.05,
    safety_net_seconds=3600.0,
)
"""Nothing is healed by looking again: what was lost stays lost."""
SWEEPING = replace(LIMITS, remind_seconds=0.0, inbox_keep_seconds=0.0, sweep_seconds=0.02)
PATIENCE_SECONDS = 60.0
"""A dag that does not change for so long is stuck. However slow the machine is, one that goes on is not."""


@dataclass(frozen=True, slots=True)
class World:
    """What outlives the agents of one run."""

    directory: Path
    story: str
    port: int = 0
    """Of the server that keeps the cluster's home; 0: the dag's home is an agent's SQLite file."""
    database: str = ""
    plant: str = ""
    """Of `PLANTS`; empty: the agents are as they are."""
    patience_seconds: float = PATIENCE_SECONDS

    @property
    def home(self) -> HomeKind:
        return HomeKind.CLUSTER if self.port else HomeKind.AGENT

    @property
    def effects(self) -> Path:
        return self.directory / "effects"

    def store_of(self, agent: Address) -> Path:
        return self.directory / f"{agent.port}.db"

    def points_of(self, agent: Address) -> Path:
        return self.directory / f"{agent.port}.points"

    def connect(self) -> Any:
        """A connection to the database of this run, on the cluster's server."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=self.database or None,
            connect_timeout=5,
            read_timeout=30,
            ssl_disabled=True,
        )


def live(world: World, here: Address, deadly: Point | None, *, sweep: bool, say_over: Callable[[], object]) -> None:
    """One life: take up what was left, play one's part until told to stop. Ends the process, by status 0 if all went well."""
    told = Signals(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    fuse = Fuse(world.points_of(here), deadly)
    courier = post.Courier(world.directory, fuse)
    engine = _engine(world, here, fuse, courier, SWEEPING if sweep else LIMITS)
    if world.plant:
        PLANTS[world.plant](engine, courier)
    post.serve(world.directory, here, engine, fuse)
    engine.start()
    if here == HOME:
        if world.port:
            cluster = DeadlyMysql(world.connect, fuse)
            engine.watch_lease(Lease(cluster), lambda: MysqlHome(cluster))
        _play(world, engine)
        _quiet(engine, world.patience_seconds)
        say_over()
    told.wait()
    if here != HOME:  # whose agent has gone before it
        _quiet(engine, world.patience_seconds)
    if sweep:
        _wait(
            lambda: not _remembered(world, here),
            lambda: f"{_remembered(world, here)} orders cannot be forgotten",
            seconds=world.patience_seconds,
        )
    engine.stop()
    sys.stdout.flush()
    os._exit(0)


def _engine(world: World, here: Address, fuse: Fuse, courier: post.Courier, limits: Limits) -> Engine:
    database = DeadlySqlite(world.store_of(here), fuse)
    registry = Registry()
    registry.add_module(steps)
    tools = Tools(
        here=here,
        registry=registry,
        services={steps.Effects: steps.Effects(world.effects, fuse)},
        children=None,  # type: ignore[arg-type]
        open_params=lambda home, kind, params: converted(params, kind),
        launch=process.launch,
        end_recorded=process.end_recorded,
        work_root=world.directory / f"work-{here.port}",
        limits=limits,
        clock=time.time_ns,
    )
    return Engine(tools=tools, home=SqliteHome(database), inbox=SqliteInbox(database), courier=courier)


def _play(world: World, engine: Engine) -> None:
    """The person: starts the dag, asks again when nobody answered, and asks what the story says until it is over."""
    story, kind = STORIES[world.story], world.home
    draft = Draft(
        key=KEY,
        name="crash",
        playbook="crash",
        plan=story.plan(),
        params={},
        home=Home(kind, HOME if kind is HomeKind.AGENT else None),
        maintenance=MAINTENANCE,
        created_at=time.time_ns(),
        created_by=HOME,
    )
    deadline = time.monotonic() + world.patience_seconds
    known, dag = -1, _insist(lambda: engine.submit(draft), deadline)
    while not story.over(dag):
        request = story.act(dag)
        if request is not None:
            _try(lambda request=request: engine.ask(kind, KEY, request))  # type: ignore[misc]
        known = dag.version
        found = _insist(lambda known=known: engine.wait_version(kind, KEY, known, 0.2), deadline)  # type: ignore[misc]
        if found is None:
            raise SystemExit("the dag is lost")
        if found.version != known:
            deadline = time.monotonic() + world.patience_seconds
        dag = found
        if time.monotonic() > deadline:
            raise SystemExit(f"{dag.sub_tasks} {_on_the_way(engine)}: stuck at {time.time_ns()}")  # the end of it is shown


def _quiet(engine: Engine, seconds: float) -> None:
    """Wait until nothing is on its way from this agent."""
    _wait(lambda: not _under_way(engine), lambda: f"never quiet: {_on_the_way(engine)}", seconds=seconds)


def _wait(fact: Callable[[], bool], complain: Callable[[], str], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not fact():
        if time.monotonic() > deadline:
            raise SystemExit(complain())
        pause.wait(0.002)


def _under_way(engine: Engine) -> bool:
    served = engine._serving()
    for each in served:
        with each.scheduler._turning:  # what follows from a save that was seen is sent when its turn is over
            pass
    status = engine.status()
    return bool(status.running or status.orders_open or status.reports_pending or any(each.dispatcher.pending for each in served))


def _on_the_way(engine: Engine) -> str:
    return f"{engine.status()}, {[each.dispatcher.pending for each in engine._serving()]} messages to agents"


def _insist(ask: Callable[[], Any], deadline: float) -> Any:
    """Ask until there is an answer."""
    while True:
        try:
            return ask()
        except OboeError:
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.005)


def _try(ask: Callable[[], object]) -> None:
    """Ask once; what is refused, or not answered, is decided anew from how the dag stands."""
    try:
        ask()
    except OboeError as error:
        print(f"not granted: {error}", file=sys.stderr)


def open_orders(world: World, agent: Address) -> list[Fence]:
    """Orders of that agent that are not over, or whose end was not acknowledged."""
    database = Sqlite(world.store_of(agent), log_bytes=0)
    try:
        return [entry.fence for entry in SqliteInbox(database).open()]
    finally:
        database.close()


def _remembered(world: World, agent: Address) -> int:
    """How many orders that agent has on record."""
    with closing(sqlite3.connect(world.store_of(agent))) as connection:
        ((count,),) = connection.execute("SELECT COUNT(*) FROM inbox").fetchall()
        return int(count)


def stored_dag(world: World) -> tuple[Dag | None, int, list[str]]:
    """The dag as it is kept, how many locks are held in its home, and its log."""
    database: Any = Mysql(world.connect) if world.port else Sqlite(world.store_of(HOME), log_bytes=0)
    home = MysqlHome(database) if world.port else SqliteHome(database)
    try:
        dag = home.load(KEY)
        ((locks,),) = database.read(lambda session: session.rows("SELECT COUNT(*) FROM maintenance_lock"))
        return dag, locks, [] if dag is None else [record.line.text for record in home.logs(dag)]
    finally:
        database.close()
