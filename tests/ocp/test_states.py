"""One dag, both dialects: every state of the mapping (`ocp-task.md` §5.4), read over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oboe.domain.events import Cancel, Pass, Retry, Rollback, Skip
from tests.domain.dags import node
from tests.ocp.site import Held, Site

PAIR = (node(name="a"), node(0, name="b"))


def failed(held: Held) -> Held:
    return held.wake().start(0).finish(0).start(1).finish(1, ok=False)


STATES: dict[str, tuple[Callable[[Held], Held], str, list[str], str, list[str]]] = {
    "queued": (
        lambda dag: dag,
        "RUNNING/EXECUTE",
        ["PENDING/EXECUTE", "PENDING/EXECUTE"],
        "READY/RUN",
        ["PENDING/RUN", "PENDING/RUN"],
    ),
    "ready": (
        lambda dag: dag.wake(),
        "RUNNING/EXECUTE",
        ["READY/EXECUTE", "PENDING/EXECUTE"],
        "RUNNING/RUN",
        ["READY/RUN", "PENDING/RUN"],
    ),
    "running": (
        lambda dag: dag.wake().start(0),
        "RUNNING/EXECUTE",
        ["RUNNING/EXECUTE", "PENDING/EXECUTE"],
        "RUNNING/RUN",
        ["RUNNING/RUN", "PENDING/RUN"],
    ),
    "done": (
        lambda dag: dag.wake().finish_all(),
        "SUCCESSFUL/EXECUTE",
        ["SUCCESSFUL/EXECUTE"] * 2,
        "SUCCEED/RUN",
        ["SUCCEED/RUN"] * 2,
    ),
    "failed": (
        failed,
        "FAILED/EXECUTE",
        ["SUCCESSFUL/EXECUTE", "FAILED/EXECUTE"],
        "FAILED/RUN",
        ["SUCCEED/RUN", "FAILED/RUN"],
    ),
    "retry asked": (
        lambda dag: failed(dag)(Retry()),
        "RUNNING/RETRY",
        ["SUCCESSFUL/EXECUTE", "READY/RETRY"],
        "READY/RUN",
        ["SUCCEED/RUN", "FAILED/RUN"],
    ),
    "retry: undoing": (
        lambda dag: failed(dag)(Retry()).wake().start(1),
        "RUNNING/RETRY",
        ["SUCCESSFUL/EXECUTE", "RUNNING/RETRY"],
        "RUNNING/RUN",
        ["SUCCEED/RUN", "RUNNING/ROLLBACK"],
    ),
    "retry: running": (
        lambda dag: failed(dag)(Retry()).wake().start(1).finish(1).start(1),
        "RUNNING/RETRY",
        ["SUCCESSFUL/EXECUTE", "RUNNING/RETRY"],
        "RUNNING/RUN",
        ["SUCCEED/RUN", "RUNNING/RUN"],
    ),
    "retry: done": (
        lambda dag: failed(dag)(Retry()).wake().finish_all(),
        "SUCCESSFUL/RETRY",
        ["SUCCESSFUL/EXECUTE", "SUCCESSFUL/RETRY"],
        "SUCCEED/RUN",
        ["SUCCEED/RUN"] * 2,
    ),
    "retry: failed again": (
        lambda dag: failed(dag)(Retry()).wake().finish(1).finish(1, ok=False),
        "FAILED/RETRY",
        ["SUCCESSFUL/EXECUTE", "FAILED/RETRY"],
        "FAILED/RUN",
        ["SUCCEED/RUN", "FAILED/RUN"],
    ),
    "cancel of one asked": (
        lambda dag: dag.wake().start(0)(Cancel(0)),
        "RUNNING/EXECUTE",
        ["CANCELING/EXECUTE", "PENDING/EXECUTE"],
        "RUNNING/RUN",
        ["RUNNING/RUN", "PENDING/RUN"],
    ),
    "one cancelled": (
        lambda dag: dag.wake().start(0)(Cancel(0)).finish(0, ok=False),
        "FAILED/EXECUTE",
        ["FAILED/CANCEL", "PENDING/EXECUTE"],
        "FAILED/RUN",
        ["FAILED/RUN", "PENDING/RUN"],
    ),
    "cancelling": (
        lambda dag: dag.wake().start(0)(Cancel()),
        "RUNNING/CANCEL",
        ["CANCELING/EXECUTE", "PENDING/EXECUTE"],
        "READY/CANCEL",
        ["RUNNING/RUN", "PENDING/RUN"],
    ),
    "cancelled": (
        lambda dag: dag.wake().start(0)(Cancel()).wake().finish(0, ok=False),
        "FAILED/CANCEL",
        ["FAILED/CANCEL", "PENDING/EXECUTE"],
        "FAILED/CANCEL",
        ["FAILED/RUN", "PENDING/RUN"],
    ),
    "one passed": (
        lambda dag: dag.wake().finish(0, ok=False)(Pass(sub_task=0)),
        "RUNNING/EXECUTE",
        ["SUCCESSFUL/SKIP", "READY/EXECUTE"],
        "RUNNING/RUN",
        ["SUCCEED/PASS", "READY/RUN"],
    ),
    "passed": (
        lambda dag: dag.wake().finish(0, ok=False)(Pass()),
        "SUCCESSFUL/SKIP",
        ["SUCCESSFUL/SKIP"] * 2,
        "SUCCEED/PASS",
        ["SUCCEED/PASS"] * 2,
    ),
    "rollback asked": (
        lambda dag: failed(dag)(Rollback()),
        "RUNNING/ROLLBACK",
        ["SUCCESSFUL/EXECUTE", "READY/ROLLBACK"],
        "READY/ROLLBACK",
        ["SUCCEED/RUN", "FAILED/RUN"],
    ),
    "undoing": (
        lambda dag: failed(dag)(Rollback()).wake().start(1),
        "RUNNING/ROLLBACK",
        ["SUCCESSFUL/EXECUTE", "RUNNING/ROLLBACK"],
        "RUNNING/ROLLBACK",
        ["SUCCEED/RUN", "RUNNING/ROLLBACK"],
    ),
    "one undone": (
        lambda dag: failed(dag)(Rollback()).wake().finish(1),
        "RUNNING/ROLLBACK",
        ["READY/ROLLBACK", "PENDING/ROLLBACK"],
        "RUNNING/ROLLBACK",
        ["READY/ROLLBACK", "SUCCEED/ROLLBACK"],
    ),
    "cancel of an undo asked": (
        lambda dag: failed(dag)(Rollback()).wake().start(1)(Cancel(1)),
        "RUNNING/ROLLBACK",
        ["SUCCESSFUL/EXECUTE", "CANCELING/ROLLBACK"],
        "RUNNING/ROLLBACK",
        ["SUCCEED/RUN", "RUNNING/ROLLBACK"],
    ),
    "rolled back": (
        lambda dag: failed(dag)(Rollback()).wake().finish_all(),
        "SUCCESSFUL/ROLLBACK",
        ["PENDING/ROLLBACK"] * 2,
        "SUCCEED/ROLLBACK",
        ["SUCCEED/ROLLBACK"] * 2,
    ),
    "rollback failed": (
        lambda dag: failed(dag)(Rollback()).wake().finish(1).finish(0, ok=False),
        "FAILED/ROLLBACK",
        ["FAILED/ROLLBACK", "PENDING/ROLLBACK"],
        "FAILED/ROLLBACK",
        ["FAILED/ROLLBACK", "SUCCEED/ROLLBACK"],
    ),
    "undo skipped": (
        lambda dag: failed(dag)(Rollback()).wake().finish(1, ok=False)(Skip(1)),
        "RUNNING/ROLLBACK",
        ["READY/ROLLBACK", "PENDING/ROLLBACK_SKIP"],
        "RUNNING/ROLLBACK",
        ["READY/ROLLBACK", "SUCCEED/PASS"],
    ),
    "rolled back with a skip": (
        lambda dag: failed(dag)(Rollback()).wake().finish(1, ok=False)(Skip(1)).finish(0),
        "SUCCESSFUL/ROLLBACK",
        ["PENDING/ROLLBACK", "PENDING/ROLLBACK_SKIP"],
        "SUCCEED/ROLLBACK",
        ["SUCCEED/ROLLBACK", "SUCCEED/PASS"],
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_both_dialects_show_one_dag_in_their_own_words(shared_site: Site, state: str) -> None:
    bring, task, subtasks, dag, sub_tasks = STATES[state]
    held = bring(shared_site.put(*PAIR))
    assert held.words() == (task, subtasks)
    assert held.obshell_words() == (dag, sub_tasks)


def test_a_list_and_the_detail_use_the_same_words(shared_site: Site) -> None:
    held = failed(shared_site.put(*PAIR, name="In the list"))
    (basic,) = shared_site.viewer.get("/instances", name="in the LIST").data["contents"]
    detail = held.shown()
    assert {key: detail[key] for key in basic if key != "subtasks"} == {key: basic[key] for key in basic if key != "subtasks"}
    assert basic["subtasks"] == [{key: one[key] for key in basic["subtasks"][0]} for one in detail["subtasks"]]


def test_run_time_counts_what_a_person_asked_and_execute_times_every_attempt(shared_site: Site) -> None:
    held = failed(shared_site.put(*PAIR))(Retry()).wake().finish_all()
    assert [one["runTime"] for one in held.shown()["subtasks"]] == [1, 2]
    dag = shared_site.obshell(f"dag/{held.obshell_id}")
    assert [each["sub_tasks"][0]["execute_times"] for each in dag["nodes"]] == [1, 3]


def test_times_are_there_only_when_they_have_come(shared_site: Site) -> None:
    held = shared_site.put(*PAIR).wake().start(0)
    task = held.shown()
    assert "finishTime" not in task
    first, second = task["subtasks"]
    assert ("startTime" in first, "finishTime" in first, "executor" in first) == (True, False, True)
    assert ("startTime" in second, "finishTime" in second, "executor" in second) == (False, False, False)
    held.finish_all()
    task = held.shown()
    assert all("finishTime" in one for one in (task, *task["subtasks"]))


def test_rollback_is_prohibited_once_a_step_that_cannot_be_undone_has_begun(shared_site: Site) -> None:
    from oboe.domain.model import Flags

    held = shared_site.put(node(name="fixed", flags=Flags(skippable=True)), node(0, name="other"))
    seen = [held.shown()["prohibitRollback"]]
    seen.append(held.wake().shown()["prohibitRollback"])
    seen.append(held.start(0).shown()["prohibitRollback"])
    assert seen == [False, False, True]
    assert [one["prohibitRollback"] for one in held.shown()["subtasks"]] == [True, False]
    held.finish(0, ok=False)
    assert shared_site.manager.post(f"{held.path}/rollback").error == (400, 20004)
