"""What is particular to the cluster's store: the lease, the directory, lost connections, standbys, versions."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

import pymysql
import pytest

from oboe import store
from oboe.domain.errors import Bug, Refused, TryAgain, Unreachable
from oboe.domain.records import Page, Regress
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.store.mysql import ID_JUMP, Directory, Lease, Mysql, MysqlHome, create_schema
from oboe.store.schema import migrations
from oboe.store.sealing import Sealer
from tests.store.samples import GLOBAL, HERE, THERE, draft, finish, step

FIXTURES = Path(__file__).parent / "fixtures"
MIGRATIONS = Path(store.mysql.__file__).parent / "migrations"


def _run(mysql: Mysql, statement: str, *values: Any) -> Any:
    return mysql.write(lambda session: session.run(statement, values))


def _expire(mysql: Mysql) -> None:
    _run(mysql, "UPDATE lease SET expires_at = 1")


# The lease


def test_the_lease_is_had_by_one_agent_until_it_runs_out(mysql: Mysql) -> None:
    lease = Lease(mysql)
    assert lease.holder() is None
    assert lease.take(HERE, 60) == 1
    assert lease.take(THERE, 60) is None
    held = lease.holder()
    assert held is not None
    assert held[:2] == (HERE, 1)
    assert 50 < held[2] < 61, "the database's clock may differ a little from one statement to the next"
    assert lease.renew(HERE, 1, 600)
    assert not lease.renew(THERE, 1, 60)
    _expire(mysql)
    expired = lease.holder()
    assert expired is not None
    assert expired[2] < 0
    assert lease.take(THERE, 60) == 2
    assert not lease.renew(HERE, 1, 60), "its epoch is over"


def test_before_the_first_epoch_the_lease_can_be_reserved(mysql: Mysql) -> None:
    lease = Lease(mysql)
    lease.reserve(HERE, 60)
    assert lease.take(THERE, 60) is None
    assert lease.take(HERE, 10) == 1
    assert lease.look().left < 11
    lease.reserve(THERE, 60)
    assert lease.look().agent == HERE


def test_in_one_epoch_the_end_of_the_lease_never_falls_and_a_store_that_was_put_back_shows_by_it(mysql: Mysql) -> None:
    lease = Lease(mysql)
    lease.take(HERE, 60)
    before = lease.look().beat
    assert lease.take(HERE, 10) == 1
    assert before < lease.look().beat < (renewed := lease.renew(HERE, 1, 90))
    assert renewed == lease.look().beat
    assert not lease.renew(HERE, 1, 90, beat_min=renewed + 1)
    assert lease.look().beat == renewed


def test_a_store_that_went_back_begins_a_new_epoch_and_grants_no_maintenance_lock(mysql: Mysql) -> None:
    lease, home = Lease(mysql), MysqlHome(mysql)
    assert lease.take(HERE, 60) == 1
    first = home.create(draft("Before"))
    assert lease.take(HERE, 60, went_back=True, epoch_min=5) == 5
    assert home.regress().epoch == 5
    with pytest.raises(Refused, match="the store went back"):
        home.create(draft("Locked", maintenance=GLOBAL))
    after = home.create(draft("After"))
    assert (first.epoch, after.epoch, after.id > ID_JUMP) == (0, 5, True)
    home.end_recall()
    assert home.regress() == Regress(5, 0)
    assert home.create(draft("Locked", maintenance=GLOBAL)).epoch == 5


def test_the_same_agent_keeps_its_epoch_and_can_renew_what_nobody_took(mysql: Mysql) -> None:
    lease = Lease(mysql)
    assert lease.take(HERE, 60) == 1
    assert lease.take(HERE, 60) == 1
    _expire(mysql)
    assert lease.renew(HERE, 1, 60)
    assert lease.take(THERE, 60) is None


def test_a_lease_let_go_is_free_at_once(mysql: Mysql) -> None:
    lease = Lease(mysql)
    lease.take(HERE, 60)
    lease.release(THERE, 1)
    lease.release(HERE, 9)
    assert lease.holder() is not None
    lease.release(HERE, 1)
    assert lease.holder() is None
    assert lease.take(HERE, 60) == 2, "an epoch is had once"


def test_numbers_jump_when_the_lease_changes_hands_and_only_then(mysql: Mysql) -> None:
    lease, home = Lease(mysql), MysqlHome(mysql)
    lease.take(HERE, 60)
    first = home.create(draft())
    lease.take(HERE, 60)
    second = home.create(draft())
    _expire(mysql)
    lease.take(THERE, 60)
    third = home.create(draft())
    assert first.id == 1, "the first epoch leaves the ids dense from 1"
    assert second.id == first.id + 1
    assert third.id == second.id + 1 + ID_JUMP
    assert third.node_base == second.node_base + 2 + ID_JUMP
    assert third.sub_task_base == second.sub_task_base + 3 + ID_JUMP


def test_a_store_that_went_back_gives_no_epoch_again(mysql: Mysql) -> None:
    lease = Lease(mysql)
    assert lease.take(HERE, 60) == 1
    assert lease.take(HERE, 60, epoch_min=7) == 7
    assert MysqlHome(mysql).create(draft()).id == ID_JUMP + 1
    assert not lease.renew(HERE, 1, 60)


def test_of_eight_that_want_the_lease_at_once_one_gets_it(mysql: Mysql) -> None:
    lease = Lease(mysql)
    answers: list[int | None] = []
    start = threading.Barrier(8)

    def take(port: int) -> None:
        start.wait(10)
        answers.append(lease.take(Address("10.0.0.1", port), 60))

    threads = [threading.Thread(target=take, args=(port,)) for port in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers, key=str) == [1, *[None] * 7]


# The directory


def test_the_directory_keeps_members_zones_servers_and_facts(mysql: Mysql) -> None:
    directory = Directory(mysql)
    member = {"ip": "10.0.0.1", "port": 2886, "zone": "zone1", "é": [1, None]}
    directory.put_member(member)
    directory.put_member(member | {"zone": "zone2"})
    directory.put_member(member | {"port": 2887})
    assert [one["zone"] for one in directory.members()] == ["zone2", "zone1"]
    directory.remove_member("10.0.0.1", 2887)
    assert directory.members() == [member | {"zone": "zone2"}]

    directory.put_zone("zone1", "INACTIVE")
    directory.put_zone("Zone1", "INACTIVE")
    directory.put_zone("zone1", "ACTIVE")
    assert directory.zones() == {"Zone1": "INACTIVE", "zone1": "ACTIVE"}
    directory.remove_zone("Zone1")
    assert directory.zones() == {"zone1": "ACTIVE"}

    server = {
        "ip": "10.0.0.1",
        "rpc_port": 2882,
        "sql_port": 2881,
        "zone": "zone1",
        "agent_ip": "10.0.0.1",
        "agent_port": 2886,
        "status": "ACTIVE",
        "with_rootserver": True,
        "build_version": "1.4.0.0-1-abc",
    }
    directory.put_server(server)
    directory.put_server(server)
    directory.put_server(server | {"rpc_port": 2892, "with_rootserver": False})
    directory.set_server_status("10.0.0.1", 2892, "DELETING")
    assert directory.servers() == [server, server | {"rpc_port": 2892, "with_rootserver": False, "status": "DELETING"}]
    directory.put_server(server | {"rpc_port": 2892, "sql_port": 2891, "with_rootserver": False})
    for primary in (2891, 2881, 2891):
        directory.mark_primary("10.0.0.1", primary)
        assert [row["sql_port"] for row in directory.servers() if row["with_rootserver"]] == [primary]
    directory.mark_primary("10.0.0.1", 2881)
    directory.remove_server("10.0.0.1", 2892)
    assert directory.servers() == [server]

    directory.put_facts(cluster_id=3, cluster_name="obé", nested={"a": [1]})
    directory.put_facts(cluster_id=4)
    directory.put_facts()
    assert directory.facts() == {"cluster_id": 4, "cluster_name": "obé", "nested": {"a": [1]}}
    directory.clear()
    assert (directory.members(), directory.zones(), directory.servers(), directory.facts()) == ([], {}, [], {})


def test_secrets_of_the_cluster_are_sealed_under_its_key(mysql: Mysql) -> None:
    sealed = Directory(mysql, sealer=Sealer(bytes(32)))
    sealed.put_facts(password=Secret("hunter2"))
    assert sealed.facts() == {"password": Secret("hunter2")}
    assert "hunter2" not in str(Directory(mysql).facts())
    with pytest.raises(TypeError):
        Directory(mysql).put_facts(password=Secret("hunter2"))


# Bad luck


def _kill_connections(mysql: Mysql) -> None:
    """End every connection that the pool holds, as a restart of the server would."""
    ((mine,),) = mysql.read(lambda session: session.rows("SELECT CONNECTION_ID()"))
    with contextlib.closing(mysql._connect()) as other, other.cursor() as cursor:
        cursor.execute(f"KILL {mine}")


def test_a_connection_that_died_while_idle_is_replaced(mysql: Mysql) -> None:
    home = MysqlHome(mysql)
    dag = home.create(draft())
    _kill_connections(mysql)
    change = step(dag)
    assert home.save([change]) == {}
    _kill_connections(mysql)
    assert home.load(dag.key) == change.after


def test_a_connection_lost_in_a_transaction_undoes_it_and_says_try_again(mysql: Mysql) -> None:
    told: list[int] = []
    watched = Mysql(mysql._connect, lost=lambda: told.append(1))
    home = MysqlHome(watched)
    dag = home.create(draft())

    def work(session: Any) -> None:
        session.run("UPDATE dag_state SET version = 77")
        _end_this_connection(mysql, session)
        session.run("UPDATE dag_state SET version = 78")

    with pytest.raises(TryAgain) as refusal:
        watched.write(work)
    assert refusal.value.code == "store.away"
    assert told == [1]
    assert home.versions([dag.key]) == {dag.key: dag.version}
    watched.close()


def _end_this_connection(mysql: Mysql, session: Any) -> None:
    ((mine,),) = session.rows("SELECT CONNECTION_ID()")
    with contextlib.closing(mysql._connect()) as other, other.cursor() as cursor:
        cursor.execute(f"KILL {mine}")


def test_a_database_that_is_away_is_try_again(denied: Any) -> None:
    home = MysqlHome(denied)
    for call in (home.unsettled, home.newest_maintenance, lambda: home.create(draft()), lambda: home.load("a")):
        with pytest.raises(TryAgain) as refusal:
            call()
        assert refusal.value.code == "store.away"


def test_no_primary_is_try_again_and_what_is_refused_stays_refused() -> None:
    def no_primary() -> Any:
        raise Unreachable("cluster.no_primary", "no primary: a is STANDBY")

    def none() -> Any:
        raise Refused("cluster.none", "this agent belongs to no running cluster")

    with pytest.raises(TryAgain) as again:
        MysqlHome(no_primary).unsettled()
    assert again.value.code == "store.away"
    with pytest.raises(Refused) as refusal:
        MysqlHome(none).unsettled()
    assert refusal.value.code == "cluster.none"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (1205, "busy"),
        (1213, "busy"),
        (6002, "busy"),
        (6235, "busy"),
        (4688, "read_only"),
        (2006, "away"),
        (2013, "away"),
        (5066, "away"),
        (5065, "busy"),
        (1317, "busy"),
        (1146, "absent"),
        (1045, "denied"),
    ],
)
def test_what_passes_is_try_again(number: int, code: str) -> None:
    def connect() -> Any:
        raise pymysql.err.OperationalError(number, "as measured")

    with pytest.raises(TryAgain) as refusal:
        MysqlHome(connect).unsettled()
    assert refusal.value.code == f"store.{code}"


def test_what_contradicts_us_is_a_bug(mysql: Mysql) -> None:
    with pytest.raises(Bug):
        mysql.read(lambda session: session.rows("SELECT no_such_column FROM dag"))
    assert MysqlHome(mysql).unsettled() == [], "and does no harm"


def test_any_text_is_kept_where_the_server_would_take_a_backslash_for_what_it_is(mysql: Mysql) -> None:
    def connect() -> Any:
        connection = mysql._connect()
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_BACKSLASH_ESCAPES')")
        return connection

    name = "\\' \\\\' ', 0); DROP TABLE dag; -- %s %d \n \""
    Directory(Mysql(connect)).put_zone(name, "it's \\ it")
    assert Directory(mysql).zones() == {name: "it's \\ it"}


def test_a_waiting_writer_gives_up_in_bounded_time(mysql: Mysql) -> None:
    dag = MysqlHome(mysql).create(draft())
    with contextlib.closing(mysql._connect()) as other, other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE dag_state SET version = version + 1")
        with pytest.raises(TryAgain) as refusal:
            MysqlHome(mysql).save([step(dag)])
        other.rollback()
    assert refusal.value.code == "store.busy"
    assert MysqlHome(mysql).save([step(dag)]) == {}


# Versions of the tables


def test_a_store_of_a_later_release_is_refused(mysql: Mysql) -> None:
    _run(mysql, "INSERT INTO schema_version (version, applied_at) VALUES (999, 0)")
    try:
        fresh = Mysql(mysql._connect)
        with pytest.raises(Refused) as refusal:
            MysqlHome(fresh).unsettled()
        assert refusal.value.code == "store.newer"
        fresh.close()
        with contextlib.closing(mysql._connect()) as connection, pytest.raises(Refused) as refusal:
            create_schema(connection)
        assert refusal.value.code == "store.newer"
    finally:
        _run(mysql, "DELETE FROM schema_version WHERE version = 999")


def test_a_database_without_tables_is_try_again(mysql: Mysql) -> None:
    def connect() -> Any:
        connection = mysql._connect()
        connection.select_db("oboe_empty")
        return connection

    with contextlib.closing(mysql._connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS oboe_empty")
    empty = Mysql(connect)
    with pytest.raises(TryAgain) as refusal:
        MysqlHome(empty).unsettled()
    assert refusal.value.code == "store.absent"
    with contextlib.closing(connect()) as connection:
        create_schema(connection)
    assert MysqlHome(empty).unsettled() == []
    empty.close()
    _run(mysql, "DROP DATABASE oboe_empty")


@pytest.mark.seekdb
@pytest.mark.parametrize(
    ("name", "values", "lists"),
    [
        ("VERSIONS", ("a", "b"), 1),
        ("PAGE_SETTLED_NAMED_NEWEST", (1, "a", 1, 1), 0),
        ("PAGE_SETTLED_NAMED_OLDEST", (1, "a", 1, 1), 0),
        ("OLDEST_SETTLED", (1,), 0),
        ("GUARD", (1, 2), 1),
        ("BODIES", (1, 2), 2),
    ],
)
def test_no_statement_of_a_running_home_scans_a_table(seekdb: Any, name: str, values: Any, lists: int) -> None:
    """With the statistics of an empty store, which is when the kernel would prefer to."""
    from oboe.store import statements
    from oboe.store.database import listed

    statement: str = getattr(statements, name)
    if lists:
        statement, values = listed(statement, values, lists=lists)
    mysql = Mysql(seekdb)
    plan = "\n".join(str(row[0]) for row in mysql.read(lambda session: session.rows("EXPLAIN " + statement, values)))
    mysql.close()
    assert "TABLE" in plan
    assert "FULL SCAN" not in plan


# Versions of the tables


@pytest.mark.parametrize("product", ["seekdb", "mariadb"])
def test_the_rows_of_release_0_1_0_are_read_once_the_tables_are_brought_up_to_date(request: pytest.FixtureRequest, product: str) -> None:
    server = request.getfixturevalue(product)

    def connect() -> Any:
        connection = server()
        connection.select_db("of_0_1_0")
        return connection

    with contextlib.closing(server()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE of_0_1_0")
    with contextlib.closing(connect()) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE schema_version (version INT NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)")
        for statement in migrations(MIGRATIONS)[0][1]:
            cursor.execute(statement)
        for table, rows in json.loads((FIXTURES / "0.1.0.mysql.json").read_bytes()).items():
            cursor.execute(f"DELETE FROM {table}")
            for row in rows:
                cursor.execute(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", row)
        connection.commit()

    mysql = Mysql(connect)
    with pytest.raises(TryAgain) as older:
        MysqlHome(mysql).unsettled()
    assert older.value.code == "store.older"
    with contextlib.closing(connect()) as connection:
        create_schema(connection)
    home = MysqlHome(mysql)
    assert [dag.name for dag in home.unsettled()] == ["Live", "New", "Failed"]
    assert home.poisoned == []
    (live,) = home.page(Page(names=("Live",)))
    assert [record.line.text for record in home.logs(live)] == ["so far so good"] * 2
    assert home.under_maintenance()
    finish(home, live)
    assert not home.under_maintenance()
    sight = Lease(mysql).look()
    assert (sight.agent, sight.epoch, home.regress()) == (Address("10.0.0.1", 2886), 1, Regress())
    assert home.create(draft("Later")).id == 5
    assert Lease(mysql).take(HERE, 60, went_back=True) is not None
    assert home.regress().epoch == 2
    assert Directory(mysql).facts() == {"cluster_name": "kept"}
    mysql.close()
