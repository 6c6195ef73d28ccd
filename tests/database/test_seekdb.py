"""The seekdb driver against a real primary and what clones it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pymysql
import pytest

from oboe.database.port import DatabaseState, Driver, Endpoint, Instance
from oboe.domain.errors import OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.kit.secret import Secret
from tests.database.authority import ThrowAwayAuthority
from tests.database.run_double import RunDouble
from tests.database.servers import AGE_SECONDS, BOUND, NOBODY, REAL, configured, driver, eventually, processes_in, read, write

pytestmark = REAL


@pytest.fixture(scope="module")
def authority() -> ThrowAwayAuthority:
    return ThrowAwayAuthority()


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory, authority: ThrowAwayAuthority) -> Iterator[Instance]:
    home = tmp_path_factory.mktemp("primary")
    instance = configured(home)
    run = RunDouble()
    driver.check_host(instance, run)
    driver.deploy(instance, authority.issue("127.0.0.1"), run)
    try:
        driver.start(instance, source=None, run=run)
        yield instance
    finally:
        driver.destroy(instance, RunDouble())
    assert (list(home.iterdir()), processes_in(home)) == ([], []), "destroy leaves nothing"


def test_the_driver_is_one_of_the_port() -> None:
    typed: Driver = driver
    assert (typed.name, typed.problem(), typed.version().partition("-")[0]) == ("seekdb", "", "1.4.0.0")


def test_a_primary_serves_and_knows_itself(primary: Instance) -> None:
    seen = driver.observe(primary)
    assert (seen.state, seen.role, seen.status, seen.source, seen.version) == (DatabaseState.AVAILABLE, "PRIMARY", "NORMAL", "", "1.4.0.0")
    assert 0 < seen.age_seconds < 3600
    assert seen.pid in processes_in(Path(primary.base_dir))
    eventually(lambda: driver.sync_scn(primary, NOBODY))


def test_its_sessions_have_the_settings_that_ours_need(primary: Instance) -> None:
    for connection in (
        driver.connect(primary, user="root", password=NOBODY),
        driver.dial("127.0.0.1", primary.mysql_port, user="root", password=NOBODY),
    ):
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT @@time_zone, @@autocommit, @@ob_query_timeout, @@ob_trx_lock_timeout, @@global.auto_increment_cache_size"
            )
            assert cursor.fetchone() == ("+00:00", 1, 10_000_000, 5_000_000, 100)


def test_its_files_are_for_its_owner_only(primary: Instance) -> None:
    wallet = Path(primary.base_dir) / "wallet"
    modes = {path.name: path.stat().st_mode & 0o777 for path in wallet.iterdir()}
    assert modes == {"ca.pem": 0o600, "cert.pem": 0o600, "key.pem": 0o600}


def test_starting_what_runs_is_fine(primary: Instance) -> None:
    before, run = driver.observe(primary).pid, RunDouble()
    driver.start(primary, source=None, run=run)
    driver.check_host(primary, run)
    assert (driver.observe(primary).pid, run.lines[0]) == (before, f"seekdb {before} runs already")


def test_it_outlives_the_session_that_started_it(primary: Instance) -> None:
    assert os.getsid(driver.observe(primary).pid) != os.getsid(0)


def test_passwords_are_told_apart_from_absence(primary: Instance, alone: Instance) -> None:
    wrong = Secret("wrong")
    with pytest.raises(Refused) as refused:
        driver.connect(primary, user="root", password=wrong)
    with pytest.raises(Unreachable):
        driver.connect(alone, user="root", password=NOBODY)
    with pytest.raises(Unreachable):
        driver.dial("127.0.0.1", alone.mysql_port, user="root", password=NOBODY, timeout=1)
    assert refused.value.code == "database.access_denied"
    assert [driver.accepts(primary, "root", one) for one in (NOBODY, wrong)] == [True, False]
    assert not driver.accepts(alone, "root", NOBODY)
    assert driver.observe(primary, password=wrong).state is DatabaseState.RESTRICTED
    assert driver.observe(alone).state is DatabaseState.ABSENT


def test_roots_password_is_set_again_and_taken_back(primary: Instance) -> None:
    new = Secret("n'e\\w\"")
    driver.set_root_password(primary, NOBODY, new)
    driver.set_root_password(primary, NOBODY, new)
    assert [driver.accepts(primary, "root", one) for one in (NOBODY, new)] == [False, True]
    driver.secure(primary, ["127.0.0.1"], new)
    driver.set_root_password(primary, new, NOBODY)
    assert driver.accepts(primary, "root", NOBODY)


def test_only_the_invited_connect_by_tcp(primary: Instance) -> None:
    host = next((ip for ip in _own_addresses() if not ip.startswith("127.")), "")
    if not host:
        pytest.skip("this host has no address but loopback")
    driver.secure(primary, ["127.0.0.1"])
    with pytest.raises(OboeError) as refused:
        driver.dial(host, primary.mysql_port, user="root", password=NOBODY)
    driver.secure(primary, [host])
    driver.dial(host, primary.mysql_port, user="root", password=NOBODY).close()
    assert refused.value.code == "database.not_invited"


def _own_addresses() -> list[str]:
    return [one.address for each in psutil.net_if_addrs().values() for one in each if one.family is socket.AF_INET]


def test_the_store_user_can_keep_a_store_and_leaves_no_trace(primary: Instance) -> None:
    first, second = Secret("first"), Secret("second")
    driver.create_store_user(primary, NOBODY, "oboe", first)
    driver.create_store_user(primary, NOBODY, "oboe", second)
    assert [driver.accepts(primary, "oboe", one) for one in (first, second)] == [False, True]
    with driver.connect(primary, user="oboe", password=second, database="oboe") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id BIGINT PRIMARY KEY AUTO_INCREMENT, a INT, KEY k (a))")
        cursor.execute("INSERT INTO t (a) VALUES (1), (2)")
        cursor.execute("CREATE INDEX k2 ON t (a, id)")
        cursor.execute("ALTER TABLE t ADD COLUMN b JSON")
        cursor.execute("ALTER SYSTEM SET syslog_level = 'ERROR'")
        cursor.execute("SET GLOBAL ob_tcp_invited_nodes = '%'")
        cursor.execute("SELECT COUNT(*) FROM oceanbase.V$OB_PARAMETERS WHERE name = 'mysql_port'")
        assert cursor.fetchone() == (1,)
        assert driver.replication(connection).takes_writes
    driver.drop_store(primary, NOBODY, "oboe")
    driver.drop_store(primary, NOBODY, "oboe")
    assert not driver.accepts(primary, "oboe", second)
    with pytest.raises(Refused) as unknown:
        driver.connect(primary, user="root", password=NOBODY, database="oboe")
    assert unknown.value.code == "database.unknown_schema"


def test_the_proxy_user_reads_and_does_notwrite(primary: Instance) -> None:
    password = Secret("proxy")
    driver.create_proxy_user(primary, NOBODY, password)
    with driver.connect(primary, user="proxyro", password=password) as connection, connection.cursor() as cursor:
        assert driver.replication(connection).role == "PRIMARY"
        with pytest.raises(pymysql.err.MySQLError):
            cursor.execute("CREATE DATABASE proxys_own")
    driver.drop_proxy_user(primary, NOBODY)
    driver.drop_proxy_user(primary, NOBODY)
    assert not driver.accepts(primary, "proxyro", password)


def test_a_standby_is_cloned_over_mutual_tls_follows_and_comes_back(
    primary: Instance, authority: ThrowAwayAuthority, tmp_path: Path
) -> None:
    run = RunDouble()
    standby = configured(tmp_path)
    source = Endpoint("127.0.0.1", primary.rpc_port)
    driver.deploy(standby, authority.issue("127.0.0.1"), run)
    try:
        run.wait_until(lambda: driver.observe(primary).age_seconds >= AGE_SECONDS, why="the primary's age", timeout=BOUND, every=0.1)
        driver.start(standby, source=source, run=run)
        seen = driver.observe(standby)
        assert (seen.state, seen.role, seen.status, seen.source) == (DatabaseState.AVAILABLE, "STANDBY", "NORMAL", str(source))
        driver.secure(standby, ["127.0.0.1"])
        with pytest.raises(TryAgain):
            driver.create_store_user(standby, NOBODY, "oboe", NOBODY)
        write(primary, "CREATE TABLE IF NOT EXISTS test.followed (id INT PRIMARY KEY)", "REPLACE INTO test.followed VALUES (7)")
        eventually(lambda: read(standby, "SELECT id FROM test.followed") == ((7,),))

        driver.stop(standby, graceful=False, run=run)
        assert driver.observe(standby).state is DatabaseState.ABSENT
        write(primary, "REPLACE INTO test.followed VALUES (8)")
        driver.start(standby, source=source, run=run)
        assert driver.observe(standby).role == "STANDBY"
        eventually(lambda: read(standby, "SELECT COUNT(*) FROM test.followed") == ((2,),))
    finally:
        driver.destroy(standby, RunDouble())
    assert (list(tmp_path.iterdir()), processes_in(tmp_path)) == ([], [])


def test_a_clone_that_the_primary_refuses_is_wiped_and_tried_a_bounded_number_of_times(primary: Instance, tmp_path: Path) -> None:
    run, standby = RunDouble(), configured(tmp_path)
    driver.deploy(standby, ThrowAwayAuthority().issue("127.0.0.1"), run)
    try:
        with pytest.raises(StepFailed) as raised:
            driver.start(standby, source=Endpoint("127.0.0.1", primary.rpc_port), run=run)
        assert raised.value.code == "database.clone_failed"
        assert "exit status 1" in raised.value.message
        assert sum("try " in line and "cloning" in line for line in run.lines) == 4
        assert sorted(path.name for path in Path(standby.base_dir).iterdir()) == [".oboe-made", "wallet"]
    finally:
        driver.destroy(standby, RunDouble())
