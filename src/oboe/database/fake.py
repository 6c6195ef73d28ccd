"""A driver for tests: directories and a JSON file in the place of a database, everything at once. The daemon takes it for ``driver=fake``.

It manages nothing real and is of no use to anybody who has data. Every call of the port can be held, slowed or made to fail by its
name. What is asked of it is kept as files of ``directory``, so a test in another process can ask as well; several agents of one host
share a directory, and with it know each other's databases::

    servers/<ip>_<port>     base directory of the database that answers there, for its SQL port and its RPC port
    hold.<call>             while it exists, the call waits
    slow.<call>             seconds that the call takes
    fail.<call>             {"times", "code", "text"}: the call fails so often
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pymysql.connections import Connection

from oboe.database.port import Certificates, Configured, DatabaseState, Endpoint, Instance, Observation
from oboe.database.seekdb.configuration import configure
from oboe.domain.errors import OboeError, Refused, StepFailed, Unreachable
from oboe.hosts import directories
from oboe.kit.run import Run
from oboe.kit.secret import Secret

__all__ = ["ConnectionFactory", "FakeDriver"]

ConnectionFactory = Callable[[str, int, str, Secret, str], "Connection[Any]"]
"""``(ip, port, user, password, database)`` → a connection, to whatever the test has."""

_HELD_SECONDS = 120.0
_AGE_SECONDS = 60.0
"""How old a fake server is when it begins, so that nobody waits for its age."""
_OWNER = "fake database"
_FILE, _NEW = "database.json", ".new"
_VERSION = "1.4.0.0"


class FakeDriver:
    """Implements `Driver`. ``answer`` opens connections; without it nobody gets one."""

    name = "fake"
    primary_age_seconds = 10.0

    def __init__(self, directory: Path, *, answer: ConnectionFactory | None = None) -> None:
        self._directory = directory
        self._answer = answer
        self._ends: WeakKeyDictionary[Connection[Any], Path] = WeakKeyDictionary()
        (directory / "servers").mkdir(parents=True, exist_ok=True)

    # What a test asks of it

    def fail(self, call: str, *, times: int = 1, text: str = "it was told to fail", code: str = "fake.failed") -> None:
        """The next so many calls of that name raise `StepFailed`."""
        _write(self._directory / f"fail.{call}", {"times": times, "text": text, "code": code})

    def succeed(self, call: str) -> None:
        """No more of them."""
        (self._directory / f"fail.{call}").unlink(missing_ok=True)

    def hold(self, call: str) -> None:
        """Calls of that name wait until `release`."""
        (self._directory / f"hold.{call}").touch()

    def release(self, call: str) -> None:
        (self._directory / f"hold.{call}").unlink(missing_ok=True)

    def slow(self, call: str, seconds: float) -> None:
        _write(self._directory / f"slow.{call}", seconds)

    def alter(self, base: Path, **facts: Any) -> None:
        """From now on these are so of the database in that directory, behind everybody's back: ``running``, ``role``, ``users``…"""
        with self._alone():
            _write(base / _FILE, _read(base) | facts)

    # The product

    def version(self) -> str:
        return f"{_VERSION}-1.fake"

    def problem(self) -> str:
        return ""

    def configure(self, settings: Mapping[str, str], *, home: Path, ip: str, zone: str, taken_ports: Sequence[int] = ()) -> Configured:
        self._called("configure")
        return configure(settings, home=home, ip=ip, zone=zone, taken_ports=taken_ports)

    # Life

    def disk_needed(self, instance: Instance) -> int:
        return 1 << 20

    def check_host(self, instance: Instance, run: Run) -> None:
        self._called("check_host", run)

    def deploy(self, instance: Instance, certificates: Certificates | None, run: Run) -> None:
        self._called("deploy", run)
        for place in _places(instance):
            directories.claim(place, _OWNER)
        if certificates is not None:
            (_base(instance) / "wallet").mkdir(exist_ok=True, mode=0o700)
            _write(_base(instance) / "wallet" / "ca.pem", certificates.ca)
        run.log(f"{instance.base_dir} is ready")

    def destroy(self, instance: Instance, run: Run) -> None:
        self._called("destroy", run)
        with self._alone():
            self._forget(instance)
            for place in reversed(_places(instance)):
                directories.remove(place, _OWNER)
        run.log(f"{instance.base_dir} is gone")

    def start(self, instance: Instance, *, source: Endpoint | None, run: Run) -> None:
        self._called("start", run)
        if not directories.is_claimed(_base(instance), _OWNER):
            raise StepFailed("database.not_deployed", f"{instance.base_dir} was not made by oboe")
        with self._alone():
            known = _read(_base(instance))
            if not known.get("running"):
                known = known or self._born(source)
                _write(_file(instance), {**known, "running": True, "began": time.time_ns(), "pid": os.getpid()})
            for port in (instance.mysql_port, instance.rpc_port):
                _put(self._server(instance.ip, port), instance.base_dir)
        run.log(f"the fake database in {instance.base_dir} answers")

    def stop(self, instance: Instance, *, graceful: bool, run: Run) -> None:
        self._called("stop", run)
        with self._alone():
            if known := _read(_base(instance)):
                _write(_file(instance), {**known, "running": False})
            self._forget(instance)

    def _born(self, source: Endpoint | None) -> dict[str, Any]:
        """A primary, or what its source has, users and all."""
        if source is None:
            return {"role": "PRIMARY", "source": "", "users": {"root": _kept(Secret(""))}, "invited": []}
        origin = self._at(source.ip, source.port)
        if not origin.get("running"):
            raise StepFailed("database.clone_failed", f"nobody answers at {source}")
        return {"role": "STANDBY", "source": str(source), "users": origin["users"], "invited": origin["invited"]}

    # Looking

    def observe(self, instance: Instance, *, password: Secret | None = None, timeout: float = 2.0) -> Observation:
        self._called("observe")
        known = _read(_base(instance))
        if not known.get("running"):
            return Observation(state=DatabaseState.ABSENT, reason="it is not running")
        if known["users"]["root"] != _kept(password or Secret("")):
            return Observation(state=DatabaseState.RESTRICTED, pid=known["pid"], reason="it does not accept this password")
        return _observation(known)

    def sync_scn(self, instance: Instance, password: Secret) -> int:
        self._called("sync_scn")
        self._logged_in(_base(instance), "root", password)
        return time.time_ns()

    def replication(self, connection: Connection[Any]) -> Observation:
        self._called("replication")
        known = _read(self._ends[connection]) if connection in self._ends else {}
        if not known.get("running"):
            raise Unreachable("database.unreachable", "the other end is gone")
        return _observation(known)

    def clone_obstacle(self, connection: Connection[Any]) -> str:
        self._called("clone_obstacle")
        return ""

    def unreadable_tables(self, instance: Instance, password: Secret, since: float) -> list[str]:
        self._called("unreadable_tables")
        return []

    def minor_freeze(self, connection: Connection[Any]) -> None:
        self._called("minor_freeze")

    def checkpoint_scn(self, connection: Connection[Any]) -> int:
        self._called("checkpoint_scn")
        return time.time_ns()

    def hasten_clone(self, connection: Connection[Any]) -> None:
        self._called("hasten_clone")

    # Connections

    def connect(self, instance: Instance, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        self._called("connect")
        self._logged_in(_base(instance), user, password)
        return self._opened(_base(instance), (instance.ip, instance.mysql_port, user, password, database))

    def dial(self, ip: str, port: int, *, user: str, password: Secret, timeout: float = 5.0, database: str = "") -> Connection[Any]:
        self._called("dial")
        base = self._base_at(ip, port)
        if base is None:
            raise Unreachable("database.unreachable", f"nobody answers at {ip}:{port}")
        self._logged_in(base, user, password)
        return self._opened(base, (ip, port, user, password, database))

    def _opened(self, base: Path, place: tuple[str, int, str, Secret, str]) -> Connection[Any]:
        if self._answer is None:
            raise Unreachable("database.unreachable", "a fake database answers nobody", hint="give the fake driver a connection factory")
        connection = self._answer(*place)
        self._ends[connection] = base
        return connection

    def _logged_in(self, base: Path, user: str, password: Secret) -> dict[str, Any]:
        known = _read(base)
        if not known.get("running"):
            raise Unreachable("database.down", f"the database in {base} is not running")
        if known["users"].get(user) != _kept(password):
            raise Refused("database.access_denied", f"the database in {base} does not accept this user and password")
        return known

    # Users

    def secure(self, instance: Instance, invited: Sequence[str], password: Secret | None = None) -> None:
        self._called("secure")
        with self._alone():
            known = self._logged_in(_base(instance), "root", password or Secret(""))
            _write(_file(instance), {**known, "invited": list(invited)})

    def let_in(self, connection: Connection[Any], invited: Sequence[str]) -> None:
        self._called("let_in")
        self.alter(self._ends[connection], invited=list(invited))

    def set_root_password(self, instance: Instance, old: Secret, new: Secret) -> None:
        self._called("set_root_password")
        if not self.accepts(instance, "root", new):
            self._change(instance, old, root=new)

    def accepts(self, instance: Instance, user: str, password: Secret) -> bool:
        try:
            self._logged_in(_base(instance), user, password)
        except OboeError:
            return False
        return True

    def create_store_user(self, instance: Instance, root_password: Secret, user: str, password: Secret) -> None:
        self._called("create_store_user")
        self._change(instance, root_password, **{user: password})

    def drop_store(self, instance: Instance, root_password: Secret, user: str) -> None:
        self._called("drop_store")
        self._change(instance, root_password, **{user: None})

    def create_proxy_user(self, instance: Instance, root_password: Secret, password: Secret) -> None:
        self._called("create_proxy_user")
        self._change(instance, root_password, proxyro=password)

    def drop_proxy_user(self, instance: Instance, root_password: Secret) -> None:
        self._called("drop_proxy_user")
        self._change(instance, root_password, proxyro=None)

    def _change(self, instance: Instance, root_password: Secret, **users: Secret | None) -> None:
        """On every database that follows this one, too: users are replicated."""
        with self._alone():
            self._logged_in(_base(instance), "root", root_password)
            sources = {f"{instance.ip}:{instance.rpc_port}"}
            bases = {Path(path.read_text()) for path in (self._directory / "servers").iterdir() if path.suffix != _NEW}
            for base in {_base(instance)} | {base for base in bases if _read(base).get("source") in sources}:
                known = _read(base)
                kept = {name: text for name, text in known["users"].items() if name not in users}
                given = {name: _kept(secret) for name, secret in users.items() if secret is not None}
                _write(base / _FILE, {**known, "users": {**kept, **given}})

    # Files

    def _called(self, call: str, run: Run | None = None) -> None:
        """Slow, held, failed: in that order, as far as a test asked for it."""
        slow = self._directory / f"slow.{call}"
        until = time.monotonic() + (float(slow.read_text()) if slow.exists() else 0.0)
        _waited(run, lambda: time.monotonic() >= until, f"{call} is slow")
        held = self._directory / f"hold.{call}"
        _waited(run, lambda: not held.exists(), f"{call} is held")
        if (self._directory / f"fail.{call}").exists():
            self._fail(self._directory / f"fail.{call}")

    def _fail(self, failure: Path) -> None:
        with self._alone():
            asked: dict[str, Any] = json.loads(failure.read_bytes()) if failure.exists() else {}
            if asked.get("times", 0) > 1:
                _write(failure, {**asked, "times": asked["times"] - 1})
            else:
                failure.unlink(missing_ok=True)
        if asked:
            raise StepFailed(asked["code"], asked["text"])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all threads and processes that share the directory, the only one that changes what is known there. Not to be nested."""
        with (self._directory / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _server(self, ip: str, port: int) -> Path:
        return self._directory / "servers" / f"{ip}_{port}"

    def _base_at(self, ip: str, port: int) -> Path | None:
        try:
            return Path(self._server(ip, port).read_text())
        except FileNotFoundError:
            return None

    def _at(self, ip: str, port: int) -> dict[str, Any]:
        base = self._base_at(ip, port)
        return {} if base is None else _read(base)

    def _forget(self, instance: Instance) -> None:
        for port in (instance.mysql_port, instance.rpc_port):
            self._server(instance.ip, port).unlink(missing_ok=True)


def _waited(run: Run | None, ready: Callable[[], bool], why: str) -> None:
    """Through the run where there is one, so that it can be interrupted."""
    if ready():
        return
    if run is not None:
        run.wait_until(ready, why=why, timeout=_HELD_SECONDS, every=0.01)
        return
    deadline = time.monotonic() + _HELD_SECONDS
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.01)


def _observation(known: Mapping[str, Any]) -> Observation:
    now = time.time_ns()
    return Observation(
        state=DatabaseState.AVAILABLE,
        role=known["role"],
        status=known.get("status", "NORMAL"),
        source=known["source"],
        sync_scn=now,
        readable_scn=now,
        age_seconds=_AGE_SECONDS + (now - known["began"]) / 1e9,
        version=_VERSION,
        pid=known["pid"],
    )


def _kept(password: Secret) -> str:
    """As a database keeps it: not to be read back."""
    return sha256(password.reveal().encode()).hexdigest()


def _base(instance: Instance) -> Path:
    return Path(instance.base_dir)


def _places(instance: Instance) -> list[Path]:
    return [Path(text) for text in (instance.base_dir, instance.data_dir, instance.redo_dir) if text]


def _file(instance: Instance) -> Path:
    return _base(instance) / _FILE


def _read(base: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((base / _FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return found


def _write(path: Path, value: Any) -> None:
    _put(path, json.dumps(value))


def _put(path: Path, text: str) -> None:
    """Whole or not at all: others read it, and write it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}{_NEW}")
    beside.write_text(text)
    beside.replace(path)
