"""A host of the tests: an agent, in this process or in one of its own, over a fake database that only this host's troubles touch."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pymysql
from pymysql.connections import Connection
from pymysql.constants import ER

from oboe import daemon
from oboe.config import Settings
from oboe.database.fake import FakeDriver
from oboe.database.port import Driver, Instance
from oboe.database.seekdb.connecting import by_tcp
from oboe.domain.values import Address
from oboe.engine.limits import Limits
from oboe.kit.run import Run
from oboe.kit.secret import Secret

__all__ = ["WAIT", "Host", "HostDriver", "Store", "eventually"]

WAIT = 120.0
"""Every wait of a test ends by then: a real clone takes half a minute, and more beside other tests."""
_STORE = "oboe"


@dataclass(frozen=True, slots=True)
class Store:
    """A database of the real server that all fake ones of a cluster show as their database ``oboe``."""

    port: int
    name: str
    password: str = ""

    def connect(self, database: str = "") -> Connection[Any]:
        return by_tcp("127.0.0.1", self.port, user="root", password=Secret(self.password), timeout=5.0, database=database)

    def answer(self, ip: str, port: int, user: str, password: Secret, database: str) -> Connection[Any]:
        return self.connect(self.name if database == _STORE else database)

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last one."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def rows(self, question: str) -> list[tuple[Any, ...]]:
        """Asked in the cluster's own database."""
        return self.run(f"USE {self.name}", question)

    def cut_off(self) -> None:
        """End every connection that looks at it."""
        for row in self.run("SHOW PROCESSLIST"):
            if row[3] == self.name:
                self._kill(row[0])

    def _kill(self, connection: int) -> None:
        try:
            self.run(f"KILL {connection}")
        except pymysql.err.Error as error:
            if error.args[0] != ER.NO_SUCH_THREAD:  # it has ended by itself
                raise


class HostDriver(FakeDriver):
    """Databases are known on all hosts; what is held, slow or failing here is so on this host alone."""

    def __init__(self, shared: Path, own: Path, store: Store) -> None:
        super().__init__(shared, answer=store.answer)
        self.troubles = FakeDriver(own)
        self._store = store

    def _called(self, call: str, run: Run | None = None) -> None:
        self.troubles._called(call, run)

    def create_store_user(self, instance: Instance, root_password: Secret, user: str, password: Secret) -> None:
        super().create_store_user(instance, root_password, user, password)
        self._store.run(f"CREATE DATABASE IF NOT EXISTS {self._store.name}")

    def drop_store(self, instance: Instance, root_password: Secret, user: str) -> None:
        super().drop_store(instance, root_password, user)
        self._store.run(f"DROP DATABASE IF EXISTS {self._store.name}")


class Host:
    """``start`` before anything else. One ``apart`` has a process of its own, which can be killed."""

    def __init__(
        self,
        name: str,
        root: Path,
        ports: Sequence[int],
        store: Store,
        *,
        apart: bool = False,
        limits: Limits | None = None,
        driver: Driver | None = None,
    ) -> None:
        self.name = name
        self.home = root / name
        self.address = Address("127.0.0.1", ports[0])
        self.rpc_port = ports[1]
        self.apart = apart
        self.store = store
        self.shared, self.own = root / "fake", root / f"fake-{name}"
        self.troubles = FakeDriver(self.own)
        self._limits = limits or Limits()
        self._driver = driver
        self._agent: daemon.Agent | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> Path:
        """Where its database goes when nothing else is configured."""
        return self.home / "seekdb"

    @property
    def agent(self) -> daemon.Agent:
        assert self._agent is not None, f"{self.name} is no agent of this process"
        return self._agent

    def begin(self) -> Host:
        """Start, and wait for the first answer."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self.apart:
            (self.home / "output").touch(mode=0o600)
            with (self.home / "output").open("ab") as output:
                self._process = subprocess.Popen(self._command(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            eventually(self.answers)
            return self
        self._agent = daemon.Agent(
            home=self.home,
            address=self.address,
            rpc_port=self.rpc_port,
            driver=self._driver or HostDriver(self.shared, self.own, self.store),
            settings=Settings.of({}, source="test"),
            limits=self._limits,
        )
        self._agent.start()
        return self

    def kill(self) -> None:
        """As by ``kill -9``."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(WAIT)
        self._process = None

    def gate(self, *steps: str) -> None:
        """Steps of these names, in a process of its own, wait when their work is done."""
        for step in steps:
            (self.own / f"gate.{step}").touch()

    def plant(self, step: str) -> None:
        """That step, in a process of its own, fails once when its work is done."""
        (self.own / f"plant.{step}").touch()

    def at_gate(self) -> str:
        """The step that waits; empty: none does."""
        return next((path.name.removeprefix("at.") for path in self.own.glob("at.*")), "")

    def open_gate(self, step: str) -> None:
        for kind in ("gate", "at"):
            (self.own / f"{kind}.{step}").unlink(missing_ok=True)

    def signal(self, number: int) -> None:
        """Send its process one."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.stop(1.5)
        if self._process is not None:
            self.kill()

    def answers(self) -> bool:
        assert self._process is None or self._process.poll() is None, (self.home / "output").read_text()[-3000:]
        return "identity" in self.public("/api/v1/info")

    def public(self, path: str) -> dict[str, Any]:
        """What it tells anybody; nothing when it does not answer."""
        try:
            found = httpx.get(f"http://{self.address}{path}", timeout=20).json()["data"]
        except httpx.TransportError:
            return {}
        assert isinstance(found, dict)
        return found

    @property
    def identity(self) -> str:
        return str(self.public("/api/v1/info").get("identity", ""))

    def troubled(self) -> bool:
        """Something is held, slow or to fail here."""
        return any(path.name.split(".")[0] in ("hold", "slow", "fail", "gate", "plant") for path in self.own.iterdir())

    def runs(self) -> bool:
        """Its database does."""
        return bool(self.known().get("running"))

    def alter(self, **facts: Any) -> None:
        """From now on these are so of its database, behind everybody's back."""
        FakeDriver(self.shared).alter(self.base, **facts)

    def known(self) -> dict[str, Any]:
        """Of its database; nothing where there is none."""
        file = self.base / "database.json"
        return dict(json.loads(file.read_bytes())) if file.exists() else {}

    def database(self, running: bool) -> None:
        """Stop or start its database behind everybody's back."""
        self.alter(running=running)
        if not running:
            self.store.cut_off()

    def _command(self) -> list[str]:
        given = [self.home, self.address.port, self.rpc_port, self.shared, self.own, self.store.port, self.store.name]
        return [sys.executable, "-m", "tests.spine.agent", *map(str, given)]


def eventually(fact: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Look until it is so; a failure says what was seen last."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (found := fact()):
        assert time.monotonic() < deadline, f"never came true: {fact}, last {found!r}"
        pause.wait(0.04)
    return found
