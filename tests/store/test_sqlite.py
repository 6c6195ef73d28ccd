"""What is particular to the embedded store: shared commits, power loss, damage, versions of its tables."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import threading
from pathlib import Path
from typing import Any

import pytest

from oboe.domain.errors import Bug, Refused, TryAgain
from oboe.domain.fold import dag_state, settled
from oboe.domain.records import Page
from oboe.domain.values import State
from oboe.kit.secret import Secret
from oboe.store.audit import Audit
from oboe.store.sealing import Sealer
from oboe.store.sqlite import DagCopies, Facts, Sqlite, SqliteHome, SqliteInbox
from tests.store.fixtures.make_sqlite import KEY
from tests.store.samples import GLOBAL, NONE, chain, draft, finish, line, order, report, step

FIXTURES = Path(__file__).parent / "fixtures"


# Shared commits


def _queued_behind(sqlite: Sqlite, works: list[Any]) -> list[Any]:
    """Run each work in a thread of its own, all of them queued while another commits; results or errors."""
    busy, over = threading.Event(), threading.Event()

    def commits(session: Any) -> None:
        busy.set()
        over.wait(30)

    answers: list[Any] = [None] * len(works)

    def run(place: int) -> None:
        try:
            answers[place] = sqlite.write(works[place])
        except Exception as error:  # noqa: BLE001 — the test looks at it
            answers[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    first = threading.Thread(target=sqlite.write, args=(commits,))
    first.start()
    assert busy.wait(30)
    for place, thread in enumerate(threads):
        thread.start()
        while len(sqlite._together._queue) <= place:
            thread.join(0.001)
    over.set()
    for thread in (first, *threads):
        thread.join(30)
    return answers


def test_what_is_queued_shares_one_commit(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    commits: list[str] = []
    sqlite._writer.set_trace_callback(lambda text: commits.append(text) if text == "COMMIT" else None)
    dags = _queued_behind(sqlite, [lambda session, n=n: _put(session, n) for n in range(8)])
    assert dags == list(range(8))
    assert len(commits) == 2, "the one that they waited for, and theirs"
    home.create(draft())
    assert len(commits) == 3, "and one alone does not wait"


def _put(session: Any, number: int) -> int:
    session.run("INSERT INTO fact (name, body) VALUES (?, ?)", (f"f{number}", "1"))
    return number


def test_nobody_waits_for_ever_in_a_crowd_larger_than_a_commit(tmp_path: Path) -> None:
    sqlite = Sqlite(tmp_path / "oboe.db", batch_max=3)
    start = threading.Barrier(16)

    def write(first: int) -> None:
        start.wait(10)
        for number in range(first, first + 40):
            sqlite.write(lambda session, n=number: _put(session, n))

    threads = [threading.Thread(target=write, args=(place * 40,), daemon=True) for place in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert sqlite.read(lambda session: session.rows("SELECT COUNT(*) FROM fact")) == [(640,)]
    assert not sqlite._together._led
    sqlite.close()


def test_work_that_fails_leaves_no_trace_and_harms_nobody(sqlite: Sqlite) -> None:
    def fails(session: Any) -> None:
        _put(session, 99)
        raise Refused("no", "no")

    def twice(session: Any) -> None:
        _put(session, 0)
        _put(session, 0)

    first, refused, broken, last = _queued_behind(sqlite, [lambda s: _put(s, 0), fails, twice, lambda s: _put(s, 1)])
    assert (first, last) == (0, 1)
    assert isinstance(refused, Refused)
    assert isinstance(broken, Bug)
    assert sqlite.read(lambda session: session.rows("SELECT name FROM fact ORDER BY name")) == [("f0",), ("f1",)]
    with pytest.raises(Refused):
        sqlite.write(fails)
    assert sqlite.write(lambda s: _put(s, 2)) == 2


def test_readers_see_what_was_acknowledged_and_do_not_wait_for_the_writer(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    dag = home.create(draft())
    seen: list[Any] = []

    def work(session: Any) -> None:
        session.run("DELETE FROM dag_state")
        reader = threading.Thread(target=lambda: seen.append(home.load(dag.key)))
        reader.start()
        reader.join(10)
        raise Refused("no", "no")

    with pytest.raises(Refused):
        sqlite.write(work)
    assert seen == [dag]


def test_readers_are_bounded(tmp_path: Path) -> None:
    sqlite = Sqlite(tmp_path / "oboe.db", readers_max=1, busy_seconds=0.05)

    def nested(session: Any) -> None:
        with pytest.raises(TryAgain) as refusal:
            sqlite.read(lambda inner: inner.rows("SELECT 1"))
        assert refusal.value.code == "store.busy"

    sqlite.read(nested)
    assert sqlite.read(lambda session: session.rows("SELECT 1")) == [(1,)]
    sqlite.close()


def test_a_store_that_another_process_locks_is_try_again(tmp_path: Path) -> None:
    sqlite = Sqlite(tmp_path / "oboe.db", busy_seconds=0.05)
    home = SqliteHome(sqlite)
    other = sqlite3.connect(tmp_path / "oboe.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TryAgain) as refusal:
        home.create(draft())
    assert refusal.value.code == "store.busy"
    other.execute("ROLLBACK")
    other.close()
    assert home.create(draft()).id == 1
    sqlite.close()


def test_a_full_disk_is_try_again_and_loses_nothing(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    dag = home.create(draft())
    (pages,) = sqlite._writer.execute("PRAGMA page_count").fetchone()
    sqlite._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(TryAgain) as refusal:
        home.create(draft(params={"big": "x" * 200_000}))
    assert refusal.value.code == "store.no_space"
    big = [lambda s, n=n: s.run("INSERT INTO fact (name, body) VALUES (?, ?)", (f"f{n}", "x" * 200_000)) for n in range(2)]
    answers = _queued_behind(sqlite, [lambda s: _put(s, 77), *big])
    assert {type(answer) for answer in answers[1:]} == {TryAgain}
    assert home.load(dag.key) == dag
    sqlite._writer.execute("PRAGMA max_page_count = 1000000")
    assert home.create(draft(params={"big": "x" * 200_000})).id == dag.id + 1


def test_a_closed_store_says_so(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    sqlite.close()
    with pytest.raises(TryAgain) as refusal:
        home.create(draft())
    assert refusal.value.code == "store.closed"


def test_the_file_is_for_its_owner_alone(sqlite: Sqlite) -> None:
    SqliteHome(sqlite).create(draft())
    assert {path.name: path.stat().st_mode & 0o777 for path in sqlite.path.parent.glob("oboe.db*")} == {
        "oboe.db": 0o600,
        "oboe.db-wal": 0o600,
        "oboe.db-shm": 0o600,
    }


# Power loss


def _frames(wal: Path) -> list[int]:
    """Where each frame of a write-ahead log ends."""
    content = wal.read_bytes()
    (page_size,) = struct.unpack(">I", content[8:12])
    return list(range(32 + 24 + page_size, len(content) + 1, 24 + page_size))


def test_after_power_loss_at_any_frame_the_store_is_what_was_acknowledged(tmp_path: Path) -> None:
    source = tmp_path / "source"
    sqlite = Sqlite(source / "oboe.db", log_bytes=0)
    home, inbox = SqliteHome(sqlite), SqliteInbox(sqlite)
    sqlite._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sqlite._writer.execute("PRAGMA wal_autocheckpoint = 0")
    wal = source / "oboe.db-wal"
    acknowledged: list[tuple[int, dict[str, Any], int]] = [(0, {}, 0)]
    stored: dict[str, Any] = {}
    orders = 0

    def note() -> None:
        acknowledged.append((wal.stat().st_size, dict(stored), orders))

    for maintenance in (GLOBAL, NONE, NONE):
        dag = home.create(draft(plan=chain(1, 2), maintenance=maintenance))
        stored[dag.key] = dag
        note()
    for attempt in range(1, 5):
        changes = [step(dag) for dag in stored.values() if not settled(dag)]
        assert home.save(changes, [line(dag, attempt)]) == {}
        stored.update({change.after.key: change.after for change in changes})
        note()
        inbox.accept(order(attempt=attempt), begin=True)
        orders += 1
        note()
    ends = _frames(wal)
    assert len(ends) > 20
    cuts = [0, 31, *ends, *[end - 1 for end in ends], *range(ends[-2] + 1, ends[-1], 97)]
    for place, cut in enumerate(cuts):
        _check_after_loss(source, tmp_path / f"loss{place}", cut, acknowledged)
    sqlite.close()


def _check_after_loss(source: Path, target: Path, cut: int, acknowledged: list[tuple[int, dict[str, Any], int]]) -> None:
    """Open what is left when the write-ahead log ends at ``cut``."""
    target.mkdir()
    shutil.copy(source / "oboe.db", target)
    (target / "oboe.db-wal").write_bytes((source / "oboe.db-wal").read_bytes()[:cut])
    sqlite = Sqlite(target / "oboe.db")
    try:
        assert sqlite.read(lambda session: session.rows("PRAGMA integrity_check")) == [("ok",)]
        home = SqliteHome(sqlite)
        found = {dag.key: dag for dag in home.page(Page())}
        assert home.poisoned == []
        safe = [(dags, orders) for size, dags, orders in acknowledged if size <= cut]
        under_way = [(dags, orders) for size, dags, orders in acknowledged if size > cut][:1]
        assert (found, len(SqliteInbox(sqlite).open())) in [safe[-1], *under_way]
        assert home.under_maintenance() == any(dag.maintenance == GLOBAL and not settled(dag) for dag in found.values())
        assert home.create(draft()).id == max((dag.id for dag in found.values()), default=0) + 1
    finally:
        sqlite.close()
    shutil.rmtree(target)


def test_a_log_grown_in_advance_holds_no_more_than_what_was_written(tmp_path: Path) -> None:
    sqlite = Sqlite(tmp_path / "oboe.db")
    home = SqliteHome(sqlite)
    made = home.create(draft())
    wal = tmp_path / "oboe.db-wal"
    size = wal.stat().st_size
    change = step(made)
    home.save([change])
    assert wal.stat().st_size == size, "commits do not make it longer"
    (tmp_path / "copy").mkdir()
    for path in (sqlite.path, wal):
        shutil.copy(path, tmp_path / "copy")
    copy = Sqlite(tmp_path / "copy" / "oboe.db")
    assert copy.read(lambda session: session.rows("PRAGMA integrity_check")) == [("ok",)]
    assert SqliteHome(copy).unsettled() == [change.after]
    copy.close()
    sqlite.close()


# Damage


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE dag SET facts = 'no json' WHERE id = 2",
        "UPDATE dag SET facts = '{}' WHERE id = 2",
        "UPDATE dag_state SET body = '{\"operator\":99}' WHERE dag_id = 2",
        'UPDATE sub_task SET body = \'{"state":"x"}\' WHERE dag_id = 2',
        "UPDATE sub_task SET sub_task = 77 WHERE dag_id = 2 AND sub_task = 0",
    ],
)
def test_a_dag_that_cannot_be_read_is_set_aside_and_named(database: Any, table_home: Any, damage: str) -> None:
    home = table_home
    dags = [home.create(draft()) for _ in range(3)]
    assert home.save([step(dags[1])]) == {}
    database.write(lambda session: session.run(damage))
    assert home.unsettled() == [dags[0], dags[2]]
    assert [(one.key, one.dag_id) for one in home.poisoned] == [(dags[1].key, 2)]
    assert home.poisoned[0].reason
    assert home.page(Page()) == [dags[2], dags[0]]
    for read in (lambda: home.load(dags[1].key), lambda: home.find("sub_task", dags[1].sub_task_base)):
        with pytest.raises(Bug) as refusal:
            read()
        assert refusal.value.code == "store.corrupt"
    change = step(dags[0])
    assert home.save([change]) == {}
    database.write(lambda session: session.run("DELETE FROM dag_state WHERE dag_id = 2"))
    assert home.unsettled() == [change.after, dags[2]]
    assert home.poisoned == []


def test_a_row_that_is_no_text_hides_no_other(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    dags = [home.create(draft()) for _ in range(3)]
    sqlite.write(lambda session: session.run("UPDATE dag_state SET body = CAST(x'fffe00' AS TEXT) WHERE dag_id = 2"))
    assert home.unsettled() == [dags[0], dags[2]]
    assert [(one.key, one.dag_id) for one in home.poisoned] == [(dags[1].key, 2)]
    assert home.page(Page()) == [dags[2], dags[0]]
    assert home.save([step(dags[0])]) == {}


# Versions of the tables


def test_the_store_of_release_0_1_0_opens(tmp_path: Path) -> None:
    path = Path(shutil.copy(FIXTURES / "0.1.0.db", tmp_path / "oboe.db"))
    sqlite = Sqlite(path)
    home, facts = SqliteHome(sqlite), Facts(sqlite, Sealer(KEY))
    states = {dag.name: dag_state(dag) for dag in home.page(Page())}
    assert states == {"Over": State.SUCCEEDED, "Live": State.RUNNING, "New": State.READY, "Failed": State.FAILED}
    assert home.under_maintenance()
    (live,) = home.page(Page(names=("Live",)))
    assert [record.line.text for record in home.logs(live)] == ["so far so good"] * 2
    assert [dag.name for dag in home.unsettled()] == ["Live", "New", "Failed"]
    assert home.poisoned == []
    finish(home, live)
    assert not home.under_maintenance()
    assert home.create(draft()).id == 5
    (over,) = home.page(Page(names=("Over",)))
    assert [copy.dag for copy in DagCopies(sqlite).newest(9)] == [over]
    first, second = SqliteInbox(sqlite).open()
    assert (first.order, first.begun, first.ended) == (order(), True, None)
    assert second.ended is not None
    assert second.ended.result == report(order().fence).result
    assert facts.all() == {"identity": 2, "root_password": Secret("hunter2"), "zone": "zone1"}
    assert facts.members() == [{"ip": "10.0.0.1", "port": 2886, "zone": "zone1"}]
    assert [one.what for one in Audit(sqlite).newest()] == ["password"]
    sqlite.close()


def test_a_store_of_a_later_release_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "oboe.db"
    Sqlite(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO schema_version (version, applied_at) VALUES (999, 0)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Refused) as refusal:
        Sqlite(path)
    assert refusal.value.code == "store.newer"
    assert "999" in refusal.value.message
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oboe.store.sqlite import connection

    path = tmp_path / "oboe.db"
    first = connection.migrations(connection._MIGRATIONS)
    broken = [*first, (2, ["CREATE TABLE fine (a INTEGER)", "CREATE TABLE dag (a INTEGER)"])]
    Sqlite(path).close()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "migrations", lambda directory: broken)
        with pytest.raises(Bug):
            Sqlite(path)
    sqlite = Sqlite(path)
    tables = sqlite.read(lambda session: session.rows("SELECT name FROM sqlite_master WHERE name = 'fine'"))
    assert tables == []
    sqlite.close()


def test_two_that_open_a_new_store_at_once_both_can(tmp_path: Path) -> None:
    opened: list[Sqlite] = []
    start = threading.Barrier(4)

    def open_it() -> None:
        start.wait(10)
        opened.append(Sqlite(tmp_path / "oboe.db"))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 4
    for sqlite in opened:
        sqlite.close()


def test_history_does_not_slow_the_live_ones(sqlite: Sqlite) -> None:
    """Every query of a running home goes by an index, however long the history."""
    from oboe.store import statements
    from oboe.store.database import listed
    from oboe.store.sqlite.connection import _translated

    live = {
        "UNSETTLED": (),
        "NEWEST_MAINTENANCE": (),
        "OWNER_OF_NODE": (1,),
        "OWNER_OF_SUB_TASK": (1,),
        "ID_OF_KEY": ("k",),
        "PAGE_NEWEST": (1, 1),
        "PAGE_NAMED_NEWEST": ("n", 1, 1),
        "PAGE_SETTLED_NEWEST": (1, 1, 1),
        "ALL_LINES": (1, 0),
        "NTH_NEWEST_SETTLED": (1,),
        "OLDEST_SETTLED": (1,),
    }
    for name, values in live.items():
        plan = sqlite.read(lambda session, n=name, v=values: session.rows("EXPLAIN QUERY PLAN " + _translated(getattr(statements, n)), v))
        for *_, step_of_plan in plan:
            assert step_of_plan.startswith("SEARCH") or "B-TREE" in step_of_plan, (name, plan)
        assert not any("TEMP B-TREE" in row[-1] for row in plan) or name == "ALL_LINES", (name, plan)
    for name, lists in (("GUARD", 1), ("BODIES", 2), ("FACTS", 1), ("VERSIONS", 1)):
        text, keys = listed(getattr(statements, name), [1, 2, 3], lists=lists)
        plan = sqlite.read(lambda session, t=text, k=keys: session.rows("EXPLAIN QUERY PLAN " + _translated(t), k))
        assert not any(row[-1].startswith("SCAN") for row in plan), (name, plan)


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "oboe.db").mkdir()
    with pytest.raises(Refused) as refusal:
        Sqlite(tmp_path / "oboe.db")
    assert (refusal.value.code, str(tmp_path / "oboe.db") in refusal.value.message) == ("store.unusable", True)
