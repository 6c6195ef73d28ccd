"""Searches for dags, on every kind of home; and how much of a table each one reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from oboe.domain.events import Cancel, Wake
from oboe.domain.records import Draft
from oboe.domain.searching import Order, Search
from oboe.domain.values import Asked, State
from oboe.store.database import Database
from oboe.store.mysql import MysqlHome
from oboe.store.mysql.schema import _MIGRATIONS as MYSQL
from oboe.store.sqlite import Sqlite, SqliteHome
from oboe.store.sqlite.connection import _MIGRATIONS as SQLITE
from tests.store.samples import draft, ended, moved

ALL = Search()


def test_a_search_tells_what_the_whole_dags_say(home: Any) -> None:
    waiting = home.create(draft("First"))
    going = home.create(draft("Second"))
    for event in (Wake(), None):
        change = moved(going, event or ended(going, 0, ok=False))
        assert home.save([change]) == {}
        going = change.after
    found = {header.id: (header.name, header.state, header.created_at, header.ended_at) for header in home.search(ALL)}
    assert found == {
        waiting.id: ("First", State.READY, waiting.created_at, 0),
        going.id: ("Second", State.FAILED, going.created_at, going.ended_at),
    }
    assert home.count(ALL) == {State.READY: 1, State.FAILED: 1}
    assert home.search(replace(ALL, limit=0)) == []


def filled(home: Any) -> dict[str, int]:
    """Dags of every kind, by name."""
    made: dict[str, Draft] = {}
    for place, (name, creator) in enumerate([("Alpha", "ann"), ("beta 100%", "bob"), ("Gamma", "ann"), ("beta", "obshell")]):
        each = draft(name)
        made[name] = replace(each, creator=creator, created_at=1_000 + place, leader=each.leader if name == "Gamma" else None)
    dags = {name: home.create(each) for name, each in made.items()}
    begun = moved(dags["Gamma"], Wake())
    failed = moved(begun.after, ended(begun.after, 0, ok=False))
    asked = moved(dags["beta"], Wake())
    cancelled = moved(asked.after, Cancel())
    for change in (begun, failed, asked, cancelled):
        assert home.save([change]) == {}
    return {name: dag.id for name, dag in dags.items()}


@pytest.mark.parametrize(
    ("search", "names"),
    [
        (ALL, ["beta", "Gamma", "beta 100%", "Alpha"]),
        (Search(descending=False), ["Alpha", "beta 100%", "Gamma", "beta"]),
        (Search(limit=2), ["beta", "Gamma"]),
        (Search(order=Order.ID, descending=False, limit=3), ["Alpha", "beta 100%", "Gamma"]),
        (Search(order=Order.NAME, descending=False), ["Alpha", "Gamma", "beta", "beta 100%"]),
        (Search(order=Order.ENDED, limit=1), ["Gamma"]),
        (Search(states=(State.FAILED,)), ["Gamma"]),
        (Search(states=(State.READY, State.FAILED)), ["beta", "Gamma", "beta 100%", "Alpha"]),
        (Search(creator="ann"), ["Gamma", "Alpha"]),
        (Search(creator="ann", states=(State.READY,)), ["Alpha"]),
        (Search(name="BETA"), ["beta", "beta 100%"]),
        (Search(name="0%"), ["beta 100%"]),
        (Search(name="_eta"), []),
        (Search(since=1_001, before=1_003), ["Gamma", "beta 100%"]),
        (Search(asked=(Asked.CANCEL,)), ["beta"]),
        (Search(led=True), ["Gamma"]),
        (Search(led=False, limit=1), ["beta"]),
        (Search(tenants=("books",)), []),
        (Search(tenants=()), []),
        (Search(not_tenants=("",)), []),
    ],
)
def test_searches(home: Any, search: Search, names: list[str]) -> None:
    ids = filled(home)
    found = home.search(search)
    assert [header.name for header in found] == names
    assert [header.id for header in found] == [ids[name] for name in names]
    if len(names) < search.limit:
        assert sum(home.count(search).values()) == len(names)


def test_what_is_forgotten_is_not_found(home: Any) -> None:
    filled(home)
    dag = home.create(replace(draft("Old"), created_at=1))
    while not home.load(dag.key).ended_at:
        now = home.load(dag.key)
        live = next((index for index, one in enumerate(now.sub_tasks) if one.live), None)
        home.save([moved(now, Wake() if live is None else ended(now, live))])
    assert home.forget(2) == [dag.key]
    assert "Old" not in [header.name for header in home.search(ALL)]
    assert State.SUCCEEDED not in home.count(ALL)


def test_many_dags_at_once_without_those_that_are_gone(home: Any) -> None:
    made = [home.create(draft(f"Number {place}")) for place in range(5)]
    wanted = [made[3].id, made[1].id, 999_999_999]
    assert [dag.name for dag in home.many(wanted)] == ["Number 1", "Number 3"]
    assert home.many([]) == []


# How much is read


PAGES = {
    "the newest": Search(limit=10),
    "the oldest": Search(descending=False, limit=10),
    "by name": Search(order=Order.NAME, descending=False, limit=10),
    "by end": Search(order=Order.ENDED, limit=10),
    "by id": Search(order=Order.ID, limit=10),
    "one status, which is rare": Search(states=(State.FAILED,), limit=10),
    "two states": Search(states=(State.READY, State.RUNNING), limit=10),
    "one creator": Search(creator="rare", limit=10),
    "a time": Search(since=500, before=600, limit=10),
}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_no_more_of_a_long_history_than_of_a_short_one(sqlite: Sqlite, page: str) -> None:
    home = SqliteHome(sqlite)
    _fill(sqlite, 1, 2_000)
    short = _steps(sqlite, lambda: home.search(PAGES[page]))
    _fill(sqlite, 2_001, 20_000)
    long = _steps(sqlite, lambda: home.search(PAGES[page]))
    assert long <= short * 1.5 + 100, "steps of SQLite's machine, which each row costs some of"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_sorts_nothing(sqlite: Sqlite, page: str) -> None:
    plans = _plans(sqlite, lambda: SqliteHome(sqlite).search(PAGES[page]))
    assert plans
    assert not [plan for plan in plans if "TEMP B-TREE" in plan], plans


def test_a_page_and_its_total_of_100_000_dags_read_neither_plans_nor_states(sqlite: Sqlite) -> None:
    _fill(sqlite, 1, 100_000)
    home = SqliteHome(sqlite)
    assert len(home.search(Search(limit=2_000))) == 2_000
    assert sum(home.count(ALL).values()) == 100_000
    plans = _plans(sqlite, lambda: (home.search(Search(limit=10)), home.count(ALL), home.count(Search(states=(State.FAILED,)))))
    assert all("dag_search" in plan for plan in plans), plans
    assert sum("COVERING INDEX" in plan for plan in plans) == 2, "a total reads index entries"


def _fill(database: Sqlite, first: int, last: int) -> None:
    """Rows as `search_row` writes them: one in a thousand FAILED, one in a thousand of a rare creator."""
    rows = [
        (
            number,
            int(State.FAILED if number % 1000 == 7 else State.RUNNING if number % 500 == 3 else State.SUCCEEDED),
            1,
            0,
            "rare" if number % 1000 == 9 else "obshell",
            "",
            f"Dag {number % 977}",
            f"dag {number % 977}",
            number,
            number + 5,
        )
        for number in range(first, last + 1)
    ]
    database.write(lambda session: session.many(f"INSERT INTO dag_search VALUES ({', '.join('?' * 10)})", rows))


def _steps(database: Sqlite, read: Any) -> int:
    """How many steps SQLite's machine takes, in units of ten."""
    counted = [0]

    def step() -> int:
        counted[0] += 1
        return 0

    with database._reader() as connection:
        connection.set_progress_handler(step, 10)
    try:
        read()
    finally:
        with database._reader() as connection:
            connection.set_progress_handler(None, 0)
    return counted[0]


def _plans(database: Sqlite, read: Any) -> list[str]:
    """The query plans of the statements that are run."""
    statements: list[str] = []
    with database._reader() as connection:
        connection.set_trace_callback(statements.append)
    try:
        read()
    finally:
        with database._reader() as connection:
            connection.set_trace_callback(None)
    queries = [text for text in statements if text.startswith("SELECT")]
    with database._reader() as connection:
        return [row[3] for text in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]


# A store of before


def test_the_dags_of_an_older_store_are_found(database: Database) -> None:
    """The migration makes the rows that would have been written."""
    is_sqlite = isinstance(database, Sqlite)
    filled(SqliteHome(database) if isinstance(database, Sqlite) else MysqlHome(database))
    before = database.read(lambda session: session.rows("SELECT * FROM dag_search ORDER BY dag_id"))
    script = (SQLITE / "0004_search.sql" if is_sqlite else MYSQL / "0003_search.sql").read_text(encoding="utf-8")
    insert = script[script.index("INSERT ") :].rstrip().rstrip(";")

    def again(session: Any) -> None:
        session.run("DELETE FROM dag_search")
        session.run(insert)

    database.write(again)
    assert database.read(lambda session: session.rows("SELECT * FROM dag_search ORDER BY dag_id")) == before
    assert len(before) == 4
