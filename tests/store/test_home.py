"""What every home promises (`oboe.engine.ports.DagStore`), on each of them."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from oboe.domain import events
from oboe.domain.errors import Bug, Refused
from oboe.domain.fold import holds_lock, settled
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Approval, GoneAgent, Pause
from oboe.domain.records import AttemptLine, Change, Page
from oboe.domain.values import Operator
from oboe.store.sqlite import SqliteHome
from tests.store.samples import GLOBAL, HERE, NONE, OBPROXY, THERE, chain, draft, finish, host, line, moved, now, step, tenant

if TYPE_CHECKING:
    from oboe.engine.ports import DagStore
    from oboe.store.memory import MemoryHome
    from oboe.store.mysql import MysqlHome

    def every_home_fits_the_port(memory: MemoryHome, sqlite: SqliteHome, mysql: MysqlHome) -> list[DagStore]:
        return [memory, sqlite, mysql]


def test_a_dag_is_read_back_as_it_was_made(home: Any) -> None:
    made = home.create(draft(plan=chain(1, 3, 2), maintenance=GLOBAL))
    assert made.version > 0
    assert home.load(made.key) == made
    assert home.load("0" * 32) is None


def test_making_the_same_dag_twice_gives_the_one_stored(home: Any) -> None:
    asked = draft(maintenance=GLOBAL)
    made = home.create(asked)
    change = step(made)
    assert home.save([change]) == {}
    assert home.create(asked) == change.after
    assert home.create(draft()).id == made.id + 1


def test_every_part_of_the_state_is_kept(home: Any) -> None:
    made = home.create(draft())
    after = replace(
        made,
        operator=Operator.ROLLBACK,
        cancelled=True,
        skipped_undo=True,
        asks=3,
        started_at=now(),
        ended_at=now(),
        signals={"deploy": {"a": [1, None]}, "start": None},
        paused=Pause("me", "lunch", now(), now()),
        approvals={1: Approval("me", "fine", now())},
        halt_reason="the store went back",
        recalled=(HERE, THERE),
        recalled_at=now(),
        gone=(GoneAgent(THERE, "me", "burnt", now()),),
        epoch=4,
        version=made.version + 3,
        sub_tasks=(
            made.sub_tasks[0],
            *[replace(one, result={"x": "😀"}, additional={"p": 1.5}, unsure=True) for one in made.sub_tasks[1:]],
        ),
    )
    assert home.save([Change(made, after)]) == {}
    assert home.load(made.key) == after


def test_a_dag_may_go_back_to_what_it_was(home: Any) -> None:
    made = home.create(draft())
    there = step(made)
    assert home.save([there]) == {}
    back = replace(made, version=there.after.version + 1)
    assert home.save([Change(there.after, back)]) == {}
    assert home.load(made.key) == back


def test_a_change_of_an_older_version_is_stale_and_changes_nothing(home: Any) -> None:
    made = home.create(draft())
    first, second = step(made), step(made)
    assert home.save([first]) == {}
    assert home.save([second], [line(made, 0)]) == {made.key: "stale"}
    assert home.load(made.key) == first.after
    assert home.logs(made) == []


def test_in_a_group_only_the_stale_one_is_left_out(home: Any) -> None:
    dags = [home.create(draft(f"Dag {number}")) for number in range(20)]
    changes = [step(dag) for dag in dags]
    assert home.save([step(dags[7])]) == {}
    lines = [line(dag, 0, dag.name) for dag in dags]
    assert home.save(changes, lines) == {dags[7].key: "stale"}
    for number, change in enumerate(changes):
        if number != 7:
            assert home.load(change.after.key) == change.after
            assert [record.line.text for record in home.logs(change.after)] == [f"Dag {number}"]
    assert home.logs(dags[7]) == []


def test_a_change_of_a_dag_that_is_gone_is_stale(home: Any) -> None:
    made = home.create(draft())
    gone = replace(made, id=made.id + 1000, key="e" * 32)
    assert home.save([step(gone)]) == {gone.key: "stale"}


def test_lines_alone_are_saved(home: Any) -> None:
    made = home.create(draft())
    assert home.save([], [line(made, 0, "a"), line(made, 1, "b", sub_task=2)]) == {}
    assert [(record.sub_task, record.line.text) for record in home.logs(made)] == [(0, "a"), (2, "b")]


def test_a_line_sent_twice_is_kept_once_and_lines_stay_in_order(home: Any) -> None:
    made = home.create(draft())
    first = [line(made, seq, f"line {seq}") for seq in range(3)]
    again = [line(made, seq, "said again") for seq in range(2, 5)]
    home.save([], first)
    home.save([], [*again, again[0]])
    home.save([], [line(made, 0, "second attempt", attempt=2)])
    records = home.logs(made)
    texts = ["line 0", "line 1", "line 2", "said again", "said again", "second attempt"]
    assert [record.line.text for record in records] == texts
    assert [record.id for record in records] == sorted({record.id for record in records})


def test_a_line_keeps_every_member_and_any_text(home: Any) -> None:
    made = home.create(draft())
    said = LogLine(9, now(), Level.ERROR, "quote ' \" \\ % ? percent %s \0 nul 😀\nsecond", "Agent.Unreachable")
    home.save([], [AttemptLine(made.id, 1, 4, said)])
    (record,) = home.logs(made)
    assert (record.sub_task, record.attempt, record.line) == (1, 4, said)


def test_bytes_that_are_no_text_do_not_stop_a_log(home: Any) -> None:
    made = home.create(draft())
    home.save([], [line(made, 0, "bad \udcff byte")])
    assert home.logs(made)[0].line.text == "bad ? byte"


def test_logs_can_be_read_for_some_sub_tasks(home: Any) -> None:
    made = home.create(draft(plan=chain(600)))
    home.save([], [line(made, 0, str(index), sub_task=index) for index in range(600)])
    assert [record.sub_task for record in home.logs(made, [3, 1, 3])] == [1, 3]
    assert home.logs(made, []) == []
    assert len(home.logs(made, range(10, 590))) == 580
    assert len(home.logs(made)) == 600


def test_logs_can_be_read_from_a_line_on(home: Any) -> None:
    made, other = home.create(draft()), home.create(draft())
    home.save([], [line(made, 0, "first"), line(other, 0, "another's"), line(made, 0, "second", sub_task=1)])
    first, second = home.logs(made)
    home.save([], [line(made, 1, "third")])
    assert [record.line.text for record in home.logs(made, after=first.id)] == ["second", "third"]
    assert [record.line.text for record in home.logs(made, [0], after=first.id)] == ["third"]
    assert [record.line.text for record in home.logs(made, after=second.id)] == ["third"]
    assert home.logs(made, after=home.logs(made)[-1].id) == []


def test_ids_are_never_given_twice_and_find_their_dag(home: Any) -> None:
    first = home.create(draft(plan=chain(1, 3)))
    second = home.create(draft(plan=chain(2)))
    assert (second.id, second.node_base, second.sub_task_base) == (first.id + 1, first.node_base + 2, first.sub_task_base + 4)
    for dag in (first, second):
        assert home.find("dag", dag.id) == (dag, 0)
        for index in range(len(dag.plan.nodes)):
            assert home.find("node", dag.node_id(index)) == (dag, index)
        for index in range(dag.plan.size):
            assert home.find("sub_task", dag.sub_task_id(index)) == (dag, index)


@pytest.mark.parametrize("kind", ["dag", "node", "sub_task"])
def test_an_id_of_nothing_finds_nothing(home: Any, kind: str) -> None:
    home.create(draft())
    for number in (-1, 0, 1 << 40, 1 << 63, 1 << 80):
        assert home.find(kind, number) is None


def test_unsettled_are_all_that_are_not_over_by_id(home: Any) -> None:
    made = [home.create(draft()) for _ in range(4)]
    over = finish(home, made[1])
    failed = step(made[2])
    home.save([failed])
    failed = step(failed.after, ok=False)
    home.save([failed])
    assert home.unsettled() == [made[0], failed.after, made[3]]
    assert settled(over)
    assert home.poisoned == []


def test_many_unsettled_dags_are_read_whole(home: Any) -> None:
    made = [home.create(draft(str(number))) for number in range(300)]
    assert home.unsettled() == made


def test_versions_are_those_stored(home: Any) -> None:
    made = [home.create(draft()) for _ in range(3)]
    change = step(made[1])
    home.save([change])
    expected = {made[0].key: made[0].version, made[1].key: change.after.version}
    assert home.versions([made[0].key, made[1].key, "0" * 32]) == expected
    assert home.versions([]) == {}


def test_the_newest_maintenance_is_found_settled_or_not(home: Any) -> None:
    assert home.newest_maintenance() is None
    over = finish(home, home.create(draft(maintenance=GLOBAL)))
    home.create(draft())
    assert home.newest_maintenance() == over


def test_an_edition_is_another_whenever_the_dag_or_its_lines_are(home: Any) -> None:
    assert home.edition(1) is None
    assert home.newest_maintenance_edition() is None
    made = home.create(draft(maintenance=GLOBAL))
    first = home.edition(made.id)
    assert first == home.newest_maintenance_edition()
    assert (first.dag_id, first.key, first.version, first.lines, first.regress) == (made.id, made.key, made.version, 0, 0)
    change = step(made)
    home.save([change])
    second = home.edition(made.id)
    assert second == replace(first, version=change.after.version)
    home.save([], [line(change.after, 0)])
    third = home.edition(made.id)
    assert third == replace(second, lines=1)
    home.create(draft())
    assert third == home.edition(made.id) == home.newest_maintenance_edition()


def test_pages_follow_each_other(home: Any) -> None:
    made = [home.create(draft("odd" if number % 2 else "even")) for number in range(10)]
    over = [finish(home, dag) for dag in made[:4]]
    now_stored = [*over, *made[4:]]
    assert home.page(Page(limit=3)) == now_stored[:-4:-1]
    assert home.page(Page(limit=3, before_id=made[7].id)) == now_stored[6:3:-1]
    assert home.page(Page(limit=2, oldest_first=True)) == now_stored[:2]
    assert home.page(Page(limit=2, oldest_first=True, before_id=made[1].id)) == now_stored[2:4]
    assert home.page(Page(names=("odd",), limit=2)) == [now_stored[9], now_stored[7]]
    assert home.page(Page(names=("odd", "even", "odd", "other"))) == now_stored[::-1]
    assert home.page(Page(settled=True)) == over[::-1]
    assert home.page(Page(settled=False, oldest_first=True, names=("even",))) == [now_stored[4], now_stored[6], now_stored[8]]
    assert home.page(Page(settled=True, names=("even",))) == [over[2], over[0]]
    assert home.page(Page(before_id=made[0].id)) == []


# Maintenance locks


@pytest.mark.parametrize(
    ("held", "asked", "may"),
    [
        (GLOBAL, GLOBAL, False),
        (GLOBAL, tenant("a"), False),
        (tenant("a"), GLOBAL, False),
        (tenant("a"), tenant("a"), False),
        (tenant("a"), tenant("A"), True),
        (tenant("a"), tenant("b"), True),
        (OBPROXY, OBPROXY, False),
        (OBPROXY, GLOBAL, True),
        (GLOBAL, OBPROXY, True),
        (GLOBAL, host("10.0.0.1:2886"), False),
        (host("10.0.0.1:2886"), GLOBAL, False),
        (host("10.0.0.1:2886"), host("10.0.0.1:2886"), False),
        (host("10.0.0.1:2886"), host("10.0.0.2:2886"), True),
        (host("10.0.0.1:2886"), tenant("a"), True),
        (OBPROXY, host("10.0.0.1:2886"), True),
        (OBPROXY, tenant("a"), True),
        (GLOBAL, NONE, True),
        (NONE, GLOBAL, True),
    ],
)
def test_locks_exclude_as_the_matrix_says(home: Any, held: Any, asked: Any, may: bool) -> None:
    holder = home.create(draft("Holder", maintenance=held))
    if may:
        assert home.create(draft(maintenance=asked)).id == holder.id + 1
        return
    with pytest.raises(Refused) as refusal:
        home.create(draft(maintenance=asked))
    refused: Any = refusal.value
    assert refused.code == "maintenance.held"
    assert (refused.holder_name, refused.holder_id, refused.holder_key) == ("Holder", holder.id, holder.key)
    assert refused.taken_at == holder.created_at
    assert "Holder" in refused.message
    assert home.create(draft()).id == holder.id + 1, "a refused dag takes no number"


def test_a_lock_is_held_until_the_dag_settles(home: Any) -> None:
    assert not home.under_maintenance()
    dag = home.create(draft(maintenance=GLOBAL))
    assert home.under_maintenance()
    change = step(dag)
    home.save([change])
    failed = step(change.after, ok=False)
    home.save([failed])
    assert home.under_maintenance(), "a failed dag keeps its lock"
    retried = moved(failed.after, events.Retry())
    assert home.save([retried]) == {}
    finish(home, retried.after)
    assert not home.under_maintenance()
    home.create(draft(maintenance=tenant("a")))
    assert not home.under_maintenance(), "a tenant's lock is not the agent's maintenance"


def _released(home: Any, name: str = "First") -> Any:
    """A dag that FAILED at a step that releases its lock."""
    dag = home.create(draft(name, plan=chain(1, release=True), maintenance=GLOBAL))
    for ok in (True, False):
        change = step(dag, ok=ok)
        assert home.save([change]) == {}
        dag = change.after
    assert not holds_lock(dag)
    return dag


def test_a_released_lock_is_won_again_when_it_is_free(home: Any) -> None:
    failed = _released(home)
    assert not home.under_maintenance()
    retried = moved(failed, events.Retry())
    assert home.save([retried]) == {}
    assert home.under_maintenance()
    assert home.load(failed.key) == retried.after


def test_a_released_lock_that_another_took_is_refused_and_the_rest_is_saved(home: Any) -> None:
    failed = _released(home)
    other = home.create(draft("Second", maintenance=GLOBAL))
    neighbour = home.create(draft())
    retried, beside = moved(failed, events.Retry()), step(neighbour)
    refused: Any = home.save([retried, beside], [line(failed, 7), line(neighbour, 7)])
    assert list(refused) == [failed.key]
    assert (refused[failed.key].code, refused[failed.key].holder_key) == ("maintenance.held", other.key)
    assert home.load(failed.key) == failed
    assert home.logs(failed) == []
    assert home.load(neighbour.key) == beside.after
    assert len(home.logs(neighbour)) == 1


def test_of_two_that_want_the_lock_again_in_one_commit_one_wins(home: Any) -> None:
    first, second = _released(home), _released(home, "Other")
    changes = [moved(first, events.Retry()), moved(second, events.Retry())]
    refused: Any = home.save(changes)
    assert list(refused) == [second.key]
    assert refused[second.key].holder_key == first.key


def test_a_lock_freed_in_a_commit_can_be_won_in_it(home: Any) -> None:
    failed = _released(home)
    other = home.create(draft("Second", plan=chain(1), maintenance=GLOBAL))
    change = step(other)
    home.save([change])
    last = step(change.after)
    assert settled(last.after)
    assert home.save([moved(failed, events.Retry()), last]) == {}
    assert home.under_maintenance()


def test_of_eight_that_ask_for_the_same_lock_at_once_one_wins(home: Any) -> None:
    won: list[int] = []
    refused: list[Refused] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait(10)
        try:
            won.append(home.create(draft(maintenance=GLOBAL)).id)
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(won), len(refused)) == (1, 7)
    assert {error.code for error in refused} == {"maintenance.held"}
    assert [dag.id for dag in home.unsettled()] == won


def test_many_that_are_made_at_once_have_numbers_of_their_own_and_one_that_cannot_be_harms_nobody(home: Any) -> None:
    twice = draft("twice")
    too_long = draft("x" * 70_000)
    wanted = [twice, twice, too_long, *(draft(f"dag {place}", plan=chain(1, place % 3 + 1)) for place in range(20))]
    made: dict[int, Any] = {}
    start = threading.Barrier(len(wanted))

    def make(place: int) -> None:
        start.wait(10)
        try:
            made[place] = home.create(wanted[place])
        except Bug as error:
            made[place] = error

    threads = [threading.Thread(target=make, args=(place,)) for place in range(len(wanted))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert made[0] == made[1] == home.load(twice.key)
    whole = [dag for dag in made.values() if not isinstance(dag, Bug)]
    assert len(whole) >= len(wanted) - 1
    dags = {dag.id: dag for dag in whole}
    assert [home.load(wanted[place].key) for place in range(3, len(wanted))] == [made[place] for place in range(3, len(wanted))]
    ordered = [dags[number] for number in sorted(dags)]
    for before, after in pairwise(ordered):
        assert after.id == before.id + 1
        assert after.node_base == before.node_base + len(before.plan.nodes)
        assert after.sub_task_base == before.sub_task_base + before.plan.size


def test_of_eight_that_save_the_same_version_at_once_one_wins(home: Any) -> None:
    dag = home.create(draft())
    answers: list[Any] = []
    start = threading.Barrier(8)

    def save() -> None:
        change = step(dag)
        start.wait(10)
        answers.append(home.save([change]))

    threads = [threading.Thread(target=save) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers, key=len) == [{}, *[{dag.key: "stale"}] * 7]


# Forgetting


def test_old_settled_dags_are_forgotten_with_all_they_had(home: Any) -> None:
    over = [finish(home, home.create(draft())) for _ in range(3)]
    live = home.create(draft())
    home.save([], [line(over[0], 0)])
    assert home.forget(over[2].created_at) == [over[0].key, over[1].key]
    assert home.load(over[0].key) is None
    assert home.logs(over[0]) == []
    assert home.find("sub_task", over[1].sub_task_id(0)) is None
    assert home.page(Page()) == [live, over[2]]
    assert home.create(draft()).id == live.id + 1


def test_the_newest_settled_dags_are_kept_by_count(home: Any) -> None:
    over = [finish(home, home.create(draft())) for _ in range(5)]
    home.create(draft())
    assert home.forget(0, 3) == [over[0].key, over[1].key]
    assert home.forget(0, 3) == []
    assert home.forget(0, 0, batch=2) == [over[2].key, over[3].key]


def test_the_newest_maintenance_is_never_forgotten(home: Any) -> None:
    over = finish(home, home.create(draft(maintenance=GLOBAL)))
    assert home.forget(now(), 0) == []
    assert home.newest_maintenance() == over


def test_a_result_that_is_nested_too_deeply_to_be_read_sets_aside_its_own_dag_only(sqlite: Any) -> None:
    home = SqliteHome(sqlite)
    bad, good = home.create(draft("bad")), home.create(draft("good"))
    row = (bad.id, "[" * 5000 + "]" * 5000)
    sqlite.write(lambda session: session.run("INSERT INTO sub_task (dag_id, sub_task, body) VALUES (?, 0, ?)", row))
    assert home.unsettled() == [good]
    assert [one.key for one in home.poisoned] == [bad.key]
