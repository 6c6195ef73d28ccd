"""The fake driver behaves like a database as far as playbooks can tell, and does what a test tells it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from unittest import mock

import pytest
from pymysql.connections import Connection

from oboe.database.fake import FakeDriver
from oboe.database.port import Certificates, DatabaseState, Driver, Endpoint, Instance
from oboe.domain.errors import Interrupted, OboeError, Refused, StepFailed, Unreachable
from oboe.kit.secret import Secret
from tests.database.run_double import RunDouble

NOBODY, PASSWORD = Secret(""), Secret("s3cr3t")


@pytest.fixture
def fake(tmp_path: Path) -> FakeDriver:
    return FakeDriver(tmp_path / "fake")


def deployed(fake: FakeDriver, home: Path) -> Instance:
    instance = fake.configure({}, home=home, ip="127.0.0.1", zone="zone1").instance
    fake.deploy(instance, Certificates("ca", "certificate", "key"), RunDouble())
    return instance


def test_it_is_a_driver(fake: FakeDriver) -> None:
    typed: Driver = fake
    assert (typed.name, typed.problem(), bool(typed.version())) == ("fake", "", True)


def test_a_life_from_deploy_to_destroy(fake: FakeDriver, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    instance, run = deployed(fake, home), RunDouble()
    states = [fake.observe(instance).state]
    for _ in range(2):
        fake.start(instance, source=None, run=run)
    states.append(fake.observe(instance).state)
    assert fake.observe(instance).role == "PRIMARY"
    assert fake.observe(instance).age_seconds >= 10
    fake.stop(instance, graceful=False, run=run)
    states.append(fake.observe(instance).state)
    fake.destroy(instance, run)
    fake.destroy(instance, run)
    assert states == [DatabaseState.ABSENT, DatabaseState.AVAILABLE, DatabaseState.ABSENT]
    assert list(home.iterdir()) == []


def test_a_clone_follows_its_source_and_has_its_users(fake: FakeDriver, tmp_path: Path) -> None:
    primary, standby, run = deployed(fake, tmp_path / "a"), deployed(fake, tmp_path / "b"), RunDouble()
    source = Endpoint(primary.ip, primary.rpc_port)
    with pytest.raises(StepFailed) as raised:
        fake.start(standby, source=source, run=run)
    assert raised.value.code == "database.clone_failed"
    fake.start(primary, source=None, run=run)
    fake.start(standby, source=source, run=run)
    fake.set_root_password(primary, NOBODY, PASSWORD)
    seen = fake.observe(standby, password=PASSWORD)
    assert (seen.role, seen.source, seen.status) == ("STANDBY", str(source), "NORMAL")
    assert fake.observe(standby).state is DatabaseState.RESTRICTED


def test_users_come_and_go(fake: FakeDriver, tmp_path: Path) -> None:
    instance = deployed(fake, tmp_path / "a")
    fake.start(instance, source=None, run=RunDouble())
    fake.secure(instance, ["127.0.0.1"])
    fake.create_store_user(instance, NOBODY, "oboe", PASSWORD)
    fake.create_proxy_user(instance, NOBODY, PASSWORD)
    assert [fake.accepts(instance, user, PASSWORD) for user in ("oboe", "proxyro", "root")] == [True, True, False]
    fake.drop_store(instance, NOBODY, "oboe")
    fake.drop_proxy_user(instance, NOBODY)
    assert [fake.accepts(instance, user, PASSWORD) for user in ("oboe", "proxyro")] == [False, False]
    with pytest.raises(Refused) as refused:
        fake.create_store_user(instance, PASSWORD, "oboe", PASSWORD)
    assert refused.value.code == "database.access_denied"


def test_it_answers_nobody_without_a_factory(fake: FakeDriver, tmp_path: Path) -> None:
    instance = deployed(fake, tmp_path / "a")
    fake.start(instance, source=None, run=RunDouble())
    with pytest.raises(Unreachable):
        fake.connect(instance, user="root", password=NOBODY)
    with pytest.raises(Unreachable):
        fake.dial(instance.ip, instance.mysql_port, user="root", password=NOBODY)


def test_with_a_factory_connections_know_whose_they_are(tmp_path: Path) -> None:
    given = mock.Mock(spec=Connection)
    fake = FakeDriver(tmp_path / "fake", answer=lambda ip, port, user, password, database: given)
    instance = deployed(fake, tmp_path / "a")
    with pytest.raises(OboeError):
        fake.dial(instance.ip, instance.mysql_port, user="root", password=NOBODY)
    fake.start(instance, source=None, run=RunDouble())
    assert fake.dial(instance.ip, instance.mysql_port, user="root", password=NOBODY) is given
    assert fake.replication(given).takes_writes
    fake.stop(instance, graceful=True, run=RunDouble())
    with pytest.raises(Unreachable):
        fake.replication(given)


def test_another_process_may_ask_and_know(fake: FakeDriver, tmp_path: Path) -> None:
    """Two drivers of one directory stand for two agents of one host."""
    other = FakeDriver(tmp_path / "fake")
    primary, standby = deployed(fake, tmp_path / "a"), deployed(other, tmp_path / "b")
    fake.start(primary, source=None, run=RunDouble())
    other.start(standby, source=Endpoint(primary.ip, primary.rpc_port), run=RunDouble())
    other.fail("stop")
    with pytest.raises(StepFailed):
        fake.stop(primary, graceful=False, run=RunDouble())


def test_a_call_fails_so_often(fake: FakeDriver, tmp_path: Path) -> None:
    instance = deployed(fake, tmp_path / "a")
    fake.fail("start", times=2, text="no luck", code="test.luck")
    for _ in range(2):
        with pytest.raises(StepFailed) as raised:
            fake.start(instance, source=None, run=RunDouble())
        assert (raised.value.code, raised.value.message) == ("test.luck", "no luck")
    fake.start(instance, source=None, run=RunDouble())
    assert fake.observe(instance).state is DatabaseState.AVAILABLE


def test_a_held_call_waits_for_its_release(fake: FakeDriver, tmp_path: Path) -> None:
    instance = deployed(fake, tmp_path / "a")
    fake.hold("start")
    thread = threading.Thread(target=lambda: fake.start(instance, source=None, run=RunDouble()))
    thread.start()
    assert fake.observe(instance).state is DatabaseState.ABSENT
    fake.release("start")
    thread.join(10)
    assert (thread.is_alive(), fake.observe(instance).state) == (False, DatabaseState.AVAILABLE)


def test_a_held_call_can_be_interrupted(fake: FakeDriver, tmp_path: Path) -> None:
    instance, run = deployed(fake, tmp_path / "a"), RunDouble()
    fake.hold("start")
    run.stop_at = lambda: True
    with pytest.raises(Interrupted):
        fake.start(instance, source=None, run=run)


def test_a_slow_call_takes_its_time(fake: FakeDriver, tmp_path: Path) -> None:
    instance = deployed(fake, tmp_path / "a")
    fake.slow("observe", 0.05)
    before = time.monotonic()
    fake.observe(instance)
    assert time.monotonic() - before >= 0.05


def test_who_looks_while_others_change_it_sees_one_state_or_the_other_and_no_change_is_lost(fake: FakeDriver, tmp_path: Path) -> None:
    """As agents and a test do, side by side."""
    primary, standby, run = deployed(fake, tmp_path / "a"), deployed(fake, tmp_path / "b"), RunDouble()
    fake.start(primary, source=None, run=run)
    over, strange = threading.Event(), []

    def look() -> None:
        while not over.is_set():
            try:
                fake.dial(standby.ip, standby.mysql_port, user="root", password=NOBODY)
            except (Unreachable, Refused):
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is
                strange.append(error)

    def come_and_go() -> None:
        for _ in range(50):
            fake.start(standby, source=Endpoint(primary.ip, primary.rpc_port), run=RunDouble())
            fake.stop(standby, graceful=False, run=RunDouble())

    def alter() -> None:
        for number in range(50):
            fake.alter(Path(primary.base_dir), **{f"fact{number}": number})

    lookers = [threading.Thread(target=look) for _ in range(2)]
    changers = [threading.Thread(target=work) for work in (come_and_go, alter)]
    for thread in (*lookers, *changers):
        thread.start()
    for number in range(50):
        fake.create_store_user(primary, NOBODY, f"user{number}", PASSWORD)
    for thread in changers:
        thread.join()
    over.set()
    for thread in lookers:
        thread.join()
    assert strange == []
    known = json.loads((Path(primary.base_dir) / "database.json").read_bytes())
    assert {f"user{number}" for number in range(50)} <= set(known["users"])
    assert {f"fact{number}" for number in range(50)} <= set(known)
