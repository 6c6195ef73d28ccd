"""Operators over OCP's API on dags that run, seen through both dialects."""

from __future__ import annotations

import io
import threading
import time
import zipfile
from collections.abc import Sequence
from typing import Any

import pytest

from oboe.domain.events import Cancel, Pass, Retry, Rollback, Wake
from oboe.domain.messages import Level
from oboe.domain.model import Flags
from oboe.domain.values import SECOND
from tests.domain.dags import node
from tests.ocp.site import Going, Site, eventually
from tests.ocp.steps import Node
from tests.ocp.test_users import audit

PAIR = (Node("a"), Node("b", [0]))
DIAMOND = (Node("top"), Node("left", [0]), Node("right", [0]), Node("bottom", [1, 2]))
RUN_A = ("RUNNING/EXECUTE", "RUNNING/EXECUTE", "PENDING/EXECUTE")


def failed_pair(site: Site, **acts: str) -> Going:
    return site.run(*PAIR, b="fail", **acts).until("FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", "FAILED/EXECUTE")


# The task


def test_a_retry_undoes_and_runs_what_failed(shared_site: Site) -> None:
    going = failed_pair(shared_site).act(b="hold")
    answer = shared_site.manager.post(f"{going.path}/retry")
    assert (answer.data["status"], answer.data["operation"], answer.data["id"]) == ("RUNNING", "RETRY", going.id)
    assert "finishTime" not in answer.data
    going.until("RUNNING/RETRY", "SUCCESSFUL/EXECUTE", "RUNNING/RETRY")
    eventually(lambda: going.obshell_words() == ("RUNNING/RUN", ["SUCCEED/RUN", "RUNNING/RUN"]))
    going.open("b").until("SUCCESSFUL/RETRY", "SUCCESSFUL/EXECUTE", "SUCCESSFUL/RETRY")
    assert going.done == ["a", "b", "undo b", "b"]
    assert [one["runTime"] for one in going.shown()["subtasks"]] == [1, 2]


def test_a_retry_over_obshell_is_seen_over_ocp(shared_site: Site) -> None:
    going = failed_pair(shared_site).act(b="hold")
    shared_site.ask_obshell(f"dag/{going.obshell_id}", "RETRY")
    going.until("RUNNING/RETRY", "SUCCESSFUL/EXECUTE", "RUNNING/RETRY")
    going.open("b").until("SUCCESSFUL/RETRY")


def test_a_rollback_goes_backward_and_can_be_asked_again(shared_site: Site) -> None:
    going = failed_pair(shared_site).act(undo_a="fail")
    assert shared_site.manager.post(f"{going.path}/rollback").data["operation"] == "ROLLBACK"
    going.until("FAILED/ROLLBACK", "FAILED/ROLLBACK", "PENDING/ROLLBACK")
    assert shared_site.manager.post(f"{going.path}/retry").error == (400, 20003), "a failed rollback is not retried"
    assert shared_site.manager.post(f"{going.sub_path(0)}/retry").error == (400, 20003)
    going.act(undo_a="")
    shared_site.manager.post(f"{going.path}/rollback")
    going.until("SUCCESSFUL/ROLLBACK", "PENDING/ROLLBACK", "PENDING/ROLLBACK")
    assert going.obshell_words()[0] == "SUCCEED/ROLLBACK"
    assert going.done == ["a", "b", "undo b", "undo a", "undo a"]


def test_only_a_failed_task_is_retried_or_rolled_back(shared_site: Site) -> None:
    running = shared_site.run(*PAIR, a="hold").until(*RUN_A)
    done = shared_site.run(*PAIR).until("SUCCESSFUL/EXECUTE")
    for going in (running, done):
        for word in ("retry", "rollback"):
            assert shared_site.manager.post(f"{going.path}/{word}").error == (400, 20003)
    running.open("a").until("SUCCESSFUL/EXECUTE")


# One sub-task


def test_a_retry_of_one_keeps_the_task_running_until_it_ends(shared_site: Site) -> None:
    going = shared_site.run(*DIAMOND, left="fail", right="fail")
    going.until("FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", "FAILED/EXECUTE", "FAILED/EXECUTE", "PENDING/EXECUTE").act(left="hold")
    answer = shared_site.manager.post(f"{going.sub_path(1)}/retry")
    assert (answer.data["id"], answer.data["operation"], answer.data["runTime"]) == (going.sub_id(1), "RETRY", 2)
    half = ("SUCCESSFUL/EXECUTE", "RUNNING/RETRY", "FAILED/EXECUTE", "PENDING/EXECUTE")
    going.until("RUNNING/EXECUTE", *half)
    going.open("left").until("FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", "SUCCESSFUL/RETRY", "FAILED/EXECUTE", "PENDING/EXECUTE")
    going.act(right="")
    shared_site.manager.post(f"{going.sub_path(2)}/retry")
    going.until("SUCCESSFUL/EXECUTE")


def test_a_skip_goes_on_and_of_the_last_step_completes_the_task(shared_site: Site) -> None:
    going = shared_site.run(*PAIR, a="fail", b="fail").until("FAILED/EXECUTE")
    answer = shared_site.manager.post(f"{going.sub_path(0)}/skip")
    assert "data" not in answer.envelope
    assert answer.status == 200
    going.until("FAILED/EXECUTE", "SUCCESSFUL/SKIP", "FAILED/EXECUTE")
    shared_site.manager.post(f"{going.sub_path(1)}/skip")
    going.until("SUCCESSFUL/EXECUTE", "SUCCESSFUL/SKIP", "SUCCESSFUL/SKIP")
    assert going.obshell_words()[1] == ["SUCCEED/PASS", "SUCCEED/PASS"]


def test_a_skip_backward_takes_an_undo_as_done(shared_site: Site) -> None:
    going = failed_pair(shared_site).act(undo_b="fail")
    shared_site.manager.post(f"{going.path}/rollback")
    going.until("FAILED/ROLLBACK", "SUCCESSFUL/EXECUTE", "FAILED/ROLLBACK")
    assert shared_site.manager.post(f"{going.sub_path(1)}/skip").status == 200
    going.until("SUCCESSFUL/ROLLBACK", "PENDING/ROLLBACK", "PENDING/ROLLBACK_SKIP")
    assert going.shown()["oboe"] == {"skippedUndo": True}


def test_a_cancel_of_one_lets_its_siblings_go_on(shared_site: Site) -> None:
    going = shared_site.run(*DIAMOND, left="hold", right="hold")
    going.until("RUNNING/EXECUTE", "SUCCESSFUL/EXECUTE", "RUNNING/EXECUTE", "RUNNING/EXECUTE", "PENDING/EXECUTE")
    answer = shared_site.manager.post(f"{going.sub_path(1)}/cancel")
    assert (answer.status, "data" in answer.envelope) == (200, False)
    going.until("RUNNING/EXECUTE", "SUCCESSFUL/EXECUTE", "FAILED/CANCEL", "RUNNING/EXECUTE", "PENDING/EXECUTE")
    going.open("right").until("FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", "FAILED/CANCEL", "SUCCESSFUL/EXECUTE", "PENDING/EXECUTE")
    assert shared_site.manager.post(f"{going.sub_path(1)}/cancel").error == (400, 20003)
    assert going.obshell_words()[0] == "FAILED/RUN"


@pytest.mark.parametrize("during", ["EXECUTE", "RETRY", "ROLLBACK"])
def test_a_cancel_stops_a_run_a_retry_and_an_undo(shared_site: Site, during: str) -> None:
    if during == "EXECUTE":
        going = shared_site.run(*PAIR, b="hold")
    else:
        going = failed_pair(shared_site).act(**({"b": "hold"} if during == "RETRY" else {"undo_b": "hold"}))
        shared_site.manager.post(f"{going.path}/{'retry' if during == 'RETRY' else 'rollback'}")
    going.until(f"RUNNING/{during}", "SUCCESSFUL/EXECUTE", f"RUNNING/{during}")
    assert shared_site.manager.post(f"{going.sub_path(1)}/cancel").status == 200
    going.until(f"FAILED/{during}", "SUCCESSFUL/EXECUTE", "FAILED/CANCEL")


def test_a_second_cancel_changes_nothing_and_success_wins_the_race(shared_site: Site) -> None:
    held = shared_site.put(node(name="a", grace=10 * SECOND, timeout=10 * SECOND)).wake().start(0)(Cancel(0))
    words = held.words()
    assert held(Cancel(0)).words() == words == ("RUNNING/EXECUTE", ["CANCELING/EXECUTE"])
    assert held.finish(0).words() == ("SUCCESSFUL/EXECUTE", ["SUCCESSFUL/EXECUTE"])


@pytest.mark.parametrize("days", [1, 2, 8])
def test_a_step_that_has_run_for_days_is_cancelled_timed_out_and_retried(shared_site: Site, days: int) -> None:
    ago, day = time.time_ns() - days * 86_400 * SECOND, 86_400 * SECOND
    patient = node(name="a", timeout=30 * day, grace=10 * SECOND, patience=60 * SECOND)
    held = shared_site.put(patient, created_at=ago).wake().start(0)
    assert shared_site.manager.post(f"{held.sub_path(0)}/cancel").status == 200
    # Nobody runs it, so the engine may confirm the end at once; what matters is that its age is no reason to refuse.
    assert held.words()[1] in (["CANCELING/EXECUTE"], ["FAILED/CANCEL"])
    hasty = node(name="a", timeout=day // 2, grace=10 * SECOND, patience=60 * SECOND)
    late = shared_site.put(hasty, created_at=ago).wake().start(0)
    late(Wake(), at=ago + day)(Wake(), at=ago + day + 11 * SECOND)
    assert late.words() == ("FAILED/EXECUTE", ["FAILED/EXECUTE"]), "it was stopped, and nobody confirmed it"
    assert shared_site.manager.post(f"{late.path}/retry").data["operation"] == "RETRY"


# What each state refuses


STATES = {
    "queued": lambda dag: dag,
    "ready": lambda dag: dag.wake(),
    "running": lambda dag: dag.wake().start(0),
    "done": lambda dag: dag.wake().finish(0),
    "failed": lambda dag: dag.wake().finish(0, ok=False),
    "retrying": lambda dag: dag.wake().finish(0, ok=False)(Retry()).wake().start(0),
    "cancelled": lambda dag: dag.wake().start(0)(Cancel()).wake().finish(0, ok=False),
    "passed": lambda dag: dag.wake().finish(0, ok=False)(Pass()),
    "undoing": lambda dag: dag.wake().finish(0, ok=False)(Rollback()).wake().start(0),
    "undo failed": lambda dag: dag.wake().finish(0, ok=False)(Rollback()).wake().finish(0, ok=False),
    "rolled back": lambda dag: dag.wake().finish(0, ok=False)(Rollback()).wake().finish(0),
}
ALLOWED = {
    "ready": {"subtask cancel"},
    "running": {"subtask cancel"},
    "failed": {"retry", "rollback", "subtask retry", "subtask skip"},
    "retrying": {"subtask cancel"},
    "cancelled": {"retry", "rollback", "subtask retry", "subtask skip"},
    "undoing": {"subtask cancel"},
    "undo failed": {"rollback", "subtask skip"},
}
ROUTES = ("retry", "rollback", "subtask retry", "subtask skip", "subtask cancel")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("state", STATES)
def test_every_pair_of_state_and_operation_is_granted_or_refused_with_20003(shared_site: Site, state: str, route: str) -> None:
    held = STATES[state](shared_site.put(node(name="a")))
    path = f"{held.sub_path(0)}/{route.split()[1]}" if " " in route else f"{held.path}/{route}"
    answer = shared_site.manager.post(path)
    if route in ALLOWED.get(state, ()):
        assert answer.status == 200, answer.body
    else:
        assert answer.error == (400, 20003)


# Graphs


def chain_of(places: Sequence[int]) -> list[Node]:
    return [Node(f"n{place}", [place - 1] if place else []) for place in places]


GRAPHS: dict[str, list[Node]] = {
    "single": [Node("a")],
    "chain": chain_of(range(5)),
    "several roots and sinks": [Node("a"), Node("b"), Node("c", [0, 1]), Node("d", [2]), Node("e", [2])],
    "diamond": list(DIAMOND),
    "nested fork": [Node("a"), Node("b", [0]), Node("c", [0]), Node("d", [1]), Node("e", [1]), Node("f", [3, 4]), Node("g", [2, 5])],
    "uneven branches": [Node("a"), Node("b", [0]), Node("c", [1]), Node("d", [0]), Node("e", [2, 3])],
    "disconnected": [Node("a"), Node("b", [0]), Node("c"), Node("d", [2])],
    "split beside split": [Node("a", width=20), Node("b", [0], width=20)],
    "barrier between splits": [Node("a", width=50), Node("wait", [0]), Node("b", [1], width=50)],
    "a split of 1000": [Node("a"), Node("b", [0], width=1000), Node("c", [1])],
}


@pytest.mark.parametrize("name", GRAPHS)
def test_general_graphs_run_and_are_shown_whole_by_both(shared_site: Site, name: str) -> None:
    nodes = GRAPHS[name]
    going = shared_site.run(*nodes).until("SUCCESSFUL/EXECUTE")
    shown = going.shown()["subtasks"]
    assert len(shown) == sum(each.width for each in nodes)
    by_id = {one["id"]: one for one in shown}
    assert len(by_id) == len(shown)
    for one in shown:
        assert all(by_id[up]["seriesId"] < one["seriesId"] for up in one["upstreams"]), "in an order in which they may run"
        assert all(one["id"] in by_id[up]["downstreams"] for up in one["upstreams"])
        assert all(one["id"] in by_id[down]["upstreams"] for down in one["downstreams"])
    dag = shared_site.obshell(f"dag/{going.obshell_id}")
    assert [each["name"] for each in dag["nodes"]] == [each.name for each in nodes]
    assert sum(len(each["sub_tasks"]) for each in dag["nodes"]) == len(shown)
    is_chain = all(each.after == ([place - 1] if place else []) for place, each in enumerate(nodes))
    assert ((dag["additional_data"] or {}).get("oboe") == {"layered": False}) is not is_chain, "stages that are no layers are marked"


def test_a_rollback_from_the_middle_of_a_diamond_is_exactly_backward(shared_site: Site) -> None:
    going = shared_site.run(*DIAMOND, right="fail").until("FAILED/EXECUTE")
    shared_site.manager.post(f"{going.path}/rollback")
    going.until("SUCCESSFUL/ROLLBACK", *["PENDING/ROLLBACK"] * 3, "PENDING/EXECUTE")
    assert set(going.done[-3:-1]) == {"undo left", "undo right"}
    assert going.done[-1] == "undo top"
    assert "undo bottom" not in going.done


# Logs


def test_a_log_has_a_separator_for_each_attempt_and_can_be_read_in_parts(shared_site: Site) -> None:
    going = failed_pair(shared_site).act(b="")
    shared_site.manager.post(f"{going.path}/retry")
    going.until("SUCCESSFUL/RETRY")
    path = f"{going.sub_path(1)}/log"
    whole = eventually(lambda: (found := shared_site.viewer.get(path).data)["log"].count("####") == 6 * 3 and found)
    heads = [line.split()[1] for line in whole["log"].splitlines() if line.startswith("############ ")]
    assert heads == ["EXECUTE", "ROLLBACK", "RETRY"]
    assert (whole["eof"], whole["nextOffset"]) == (True, len(whole["log"]))
    parts, offset = [], 0
    while not (part := shared_site.viewer.get(path, offset=offset, limit=37).data)["eof"]:
        parts.append(part["log"])
        offset = part["nextOffset"]
    assert "".join(parts) + part["log"] == whole["log"]
    only = shared_site.viewer.get(path, runTime=1).data["log"]
    assert only == shared_site.viewer.get(path, operation="execute").data["log"]
    assert "trial.broken" in only
    assert shared_site.viewer.get(path, offset=10**9).data["log"] == ""


def test_no_part_of_a_log_cuts_a_character(shared_site: Site) -> None:
    text = "日本語 🎼 " * 5
    held = shared_site.put().wake().start(0).write(0, 1, text, text).write(0, 1, "broken", level=Level.ERROR, first=2).finish(0, ok=False)
    whole = shared_site.viewer.get(f"{held.sub_path(0)}/log").data["log"]
    assert whole.count(text) == 2
    pieces = [shared_site.viewer.get(f"{held.sub_path(0)}/log", offset=at, limit=1).data["log"] for at in range(60, 120)]
    assert "".join(pieces) == whole[60:120]


def test_a_log_is_followed_to_its_end(shared_site: Site) -> None:
    going = shared_site.run(Node("a"), a="hold").until("RUNNING/EXECUTE", "RUNNING/EXECUTE")
    path = f"{going.sub_path(0)}/log"
    first = eventually(lambda: (found := shared_site.viewer.get(path).data)["log"] and found)
    assert first["eof"] is False
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(shared_site.viewer.get(path, offset=first["nextOffset"], follow="true").data))
    waiting.start()
    going.open("a")
    waiting.join(20)
    (last,) = answers
    assert (last["eof"], last["nextOffset"]) == (True, first["nextOffset"])


def test_a_diagnosis_holds_the_graph_and_every_execution(shared_site: Site) -> None:
    going = failed_pair(shared_site)
    answer = eventually(lambda: (got := shared_site.viewer.post(f"{going.path}/downloadDiagnosis")).status == 200 and got)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert f'filename="log_task_{going.id}.zip"' in answer.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.namelist() == ["task_info.txt", f"subtask_{going.sub_id(0)}_1.log", f"subtask_{going.sub_id(1)}_1.log"]
    info = archive.read("task_info.txt").decode()
    assert f"id={going.sub_id(1)} name='b' status=FAILED operation=EXECUTE upstreams=[{going.sub_id(0)}]" in info
    assert "b broke" in archive.read(f"subtask_{going.sub_id(1)}_1.log").decode()


# Once, and written down


def test_a_change_with_a_key_is_carried_out_once(shared_site: Site) -> None:
    going = failed_pair(shared_site)
    key = {"Idempotency-Key": "one and only"}
    first = shared_site.manager.post(f"{going.path}/retry", headers=key)
    going.until("FAILED/RETRY")
    again = shared_site.manager.post(f"{going.path}/retry", headers=key)
    assert (first.status, again.body) == (200, first.body)
    assert going.done == ["a", "b", "undo b", "b"]
    assert shared_site.manager.post(f"{going.path}/rollback", headers=key).error == (422, 10001)
    other = shared_site.manager.post(f"{going.path}/rollback", headers={"Idempotency-Key": "another"})
    assert other.status == 200


def test_a_change_of_the_version_that_was_seen_is_carried_out(shared_site: Site) -> None:
    going = failed_pair(shared_site)
    seen = shared_site.viewer.get(going.path).headers["etag"]
    assert shared_site.manager.post(f"{going.path}/rollback", headers={"If-Match": seen}).status == 200
    going.until("SUCCESSFUL/ROLLBACK")


def test_every_operator_is_written_down_with_before_and_after(shared_site: Site) -> None:
    going = failed_pair(shared_site)
    shared_site.manager.post(f"{going.sub_path(1)}/skip")
    going.until("SUCCESSFUL/EXECUTE")
    (line,) = audit(shared_site, 1)
    assert (line.who, line.what) == ("manager", "PASS sub_task")
    assert (line.before["name"], line.before["id"], line.before["state"]) == ("Trial graph", going.dag.id, "FAILED")
    assert (line.before["sub_task_state"], line.after["sub_task_state"], line.after["state"]) == ("FAILED", "SUCCEEDED", "SUCCEEDED")


def test_a_step_that_cannot_be_undone_forbids_the_rollback(shared_site: Site) -> None:
    going = shared_site.run(Node("a", for_good=True), Node("b", [0]), b="fail").until("FAILED/EXECUTE")
    shown = going.shown()
    assert (shown["prohibitRollback"], shown["allowedOperations"]) == (True, ["RETRY"])
    assert shared_site.manager.post(f"{going.path}/rollback").error == (400, 20004)


def test_what_may_not_be_skipped_is_not(shared_site: Site) -> None:
    held = shared_site.put(node(name="a", flags=Flags(rollable=True))).wake().finish(0, ok=False)
    assert shared_site.manager.post(f"{held.sub_path(0)}/skip").error == (400, 20003)
