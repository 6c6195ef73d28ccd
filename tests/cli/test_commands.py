"""The commands a person types, against recordings of a vendor's agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oboe.cli.failure import Exit
from oboe.cli.main import oboe

from .replay import Replay, replaying

QUICK = {"OBOE_WATCH_POLL_SECONDS_MIN": "0.01", "OBOE_WATCH_POLL_SECONDS_MAX": "0.1"}
READY = (200, json.dumps({"data": {"ready": True, "waits_for": []}}))
PREVIEW: dict[str, Any] = {
    "name": "ROLLBACK Cluster scale out",
    "effects": [{"node": "Add server for scale_out", "agents": ["127.0.0.1:3886"], "action": "undo", "detail": "DELETE SERVER"}],
    "notes": ["the agent will be SINGLE again"],
}


def call(replay: Replay, *args: str, password: str | None = "pw1") -> Result:
    env = QUICK | {"OBOE_AGENT": str(replay.address), "COLUMNS": "160", "OBOE_PASSWORD": password}
    return CliRunner().invoke(oboe, args, env=env)


def test_list_shows_what_is_not_finished() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        shown = call(replay, "task", "list")
        as_json = call(replay, "task", "list", "--json")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[1].split()[:6] == ["✘", "15", "Cluster", "scale", "out", "7/9"]
    assert [each["id"] for each in json.loads(as_json.stdout)] == ["15"]


def test_list_all_works_on_an_agent_without_a_cluster() -> None:
    with replaying("join.jsonl", identity="SINGLE") as replay:
        shown = call(replay, "task", "list", "--all", "--json")
    assert (shown.exit_code, json.loads(shown.stdout)) == (0, [])


def test_show_draws_every_node_with_its_agent_and_last_line() -> None:
    with replaying("scale_out.jsonl") as replay:
        shown = call(replay, "task", "show", "11")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0] == "○ Cluster scale out  11  stage 1/9  ready"
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == [str(n) for n in range(1, 10)]


@pytest.mark.parametrize("asked", [("list",), ("show", "11")])
def test_an_answer_that_is_old_says_so(asked: tuple[str, ...]) -> None:
    with replaying("scale_out.jsonl", stale_seconds=42.4) as replay:
        shown = call(replay, "task", *asked)
    assert shown.stderr == f"as it was 42 s ago: the cluster's primary does not answer agent {replay.address}\n"


def test_watch_tells_every_stage_and_ends_well_when_the_dag_does() -> None:
    with replaying("scale_out.jsonl") as replay:
        watched = call(replay, "task", "watch", "11")
    assert watched.exit_code == Exit.OK, watched.output
    told = [line.split("s  ", 1)[1] for line in watched.stdout.splitlines()]
    ended = [line.split("/9  ")[0] for line in told if line.startswith("✔") and "/9" in line]
    assert ended == [f"✔ {n:>2}" for n in range(1, 10)]
    assert told[0] == "Cluster scale out  11  9 stages"
    assert told[-1].startswith("✔ Cluster scale out: succeed in ")
    assert "       │ create local scale out dag success, genericID:22130706433038891" in [line.removeprefix("  ") for line in told]


def test_watch_of_a_dag_that_fails_says_where_and_exits_with_its_own_code() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        watched = call(replay, "task", "watch", "15")
    assert watched.exit_code == Exit.DAG_FAILED
    assert "✘  7/9  Add server for scale_out" in watched.stdout
    assert "`oboe task retry 15`" in watched.stderr


def test_a_watch_that_is_broken_off_says_that_the_dag_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oboe.cli.draw.draw", interrupted)
    with replaying("scale_out.jsonl") as replay:
        watched = call(replay, "task", "watch", "11")
    assert watched.exit_code == Exit.INTERRUPTED
    assert "it goes on - `oboe task watch 11` follows it again, `oboe task cancel 11` stops it" in watched.stderr


def test_watch_in_json_gives_one_object_for_each_change() -> None:
    with replaying("scale_out.jsonl") as replay:
        watched = call(replay, "task", "watch", "11", "--json")
    looks = [json.loads(line) for line in watched.stdout.splitlines()]
    assert [look["dag"]["stage"] for look in looks] == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert looks[-1]["dag"]["state"] == "SUCCEED"


def test_retry_follows_the_dag_to_its_new_end() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        call(replay, "task", "watch", "15")
        retried = call(replay, "task", "retry", "15")
        posts = [each.body for each in replay.seen if each.method == "POST"]
    assert posts == [{"operator": "RETRY"}]
    assert (retried.exit_code, retried.stdout.splitlines()[-1].split("s  ")[1]) == (0, "✔ Cluster scale out: succeed in 8.1 s")


@pytest.mark.parametrize("command", ["show", "logs", "watch", "retry", "pause"])
def test_an_id_that_is_empty_is_refused_here(command: str) -> None:
    with replaying("scale_out.jsonl") as replay:
        told = call(replay, "task", command, "", *(["--why", "x"] if command == "pause" else []))
    assert (told.exit_code, told.stderr) == (1, "oboe: the id is empty [task.no_id] - `oboe task list` shows ids\n")


def test_a_refused_operator_is_one_line_with_code_and_hint() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        refused = call(replay, "task", "cancel", "15")
        in_json = call(replay, "task", "cancel", "15", "--json")
    assert refused.exit_code == Exit.REFUSED
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "[Task.Dag.Operator.CancelFinishedDag]" in refused.stderr
    assert json.loads(in_json.stderr)["error"]["exit"] == Exit.REFUSED


def test_logs_names_node_and_agent_of_each_line() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        followed = call(replay, "task", "logs", "15", "--follow", "--node", "2")
    assert followed.stdout.splitlines() == [
        "Create local scale out dag 127.0.0.1:3886 │ create local scale out dag success, genericID:22130706433038911"
    ]


def test_records_of_a_sub_task_come_with_their_times() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        shown = call(replay, "task", "logs", "134", "--sub-task")
    assert shown.exit_code == 0, shown.output
    assert all(" #" in line and " │ " in line for line in shown.stdout.splitlines())
    assert shown.stdout


def test_scale_out_sends_the_documented_body_and_follows_the_dag() -> None:
    settings = ["mysql_port=4904", "rpc_port=5904", "memory_limit=8G"]
    with replaying("scale_out.jsonl") as replay:
        made = call(replay, "cluster", "scale-out", "127.0.0.1:3889", *settings, "--zone", "zone1")
    assert made.exit_code == 0, made.output
    assert "✔ Cluster scale out: succeed" in made.stdout


def test_no_wait_names_the_dag_only(tmp_path: Path) -> None:
    (tmp_path / "proxyro").write_text("ppp")
    init = ["cluster", "init", "--create-proxyro-user", "--proxyro-password-file", str(tmp_path / "proxyro"), "--no-wait"]
    with replaying("init.jsonl", identity="MASTER") as replay:
        made = call(replay, *init)
    assert (made.exit_code, made.stdout) == (0, "22130706433038866  Initialize cluster\n")


def test_a_dry_run_is_not_sent_to_an_agent_that_would_carry_it_out() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        refused = call(replay, "task", "rollback", "15", "--dry-run")
        assert [each.method for each in replay.seen] == []
    assert refused.exit_code == Exit.REFUSED
    assert "[dry_run.not_oboe]" in refused.stderr


def test_a_dry_run_shows_what_would_happen() -> None:
    answers = {"/oboe/v1/ready": READY, "/api/v1/task/dag/15": (200, json.dumps({"data": PREVIEW}))}
    with replaying(extra=answers) as replay:
        shown = call(replay, "task", "rollback", "15", "--dry-run")
        in_json = call(replay, "task", "rollback", "15", "--dry-run", "--json")
        assert replay.seen[0].target == "/api/v1/task/dag/15?dry_run=true"
    for text in ("a dry run", "undo", "Add server for scale_out", "DELETE SERVER", "the agent will be SINGLE again"):
        assert text in shown.stdout
    assert json.loads(in_json.stdout) == PREVIEW


def test_a_password_in_a_file_is_taken_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pw1\n")
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        shown = call(replay, "task", "list", "--password-file", str(tmp_path / "password"), password=None)
    assert shown.exit_code == 0, shown.stderr


def test_a_wrong_password_has_an_exit_code_of_its_own() -> None:
    with replaying("scale_out_failed_and_retried.jsonl") as replay:
        refused = call(replay, "task", "list", password="wrong")
    assert refused.exit_code == Exit.UNAUTHORIZED
    assert "OBOE_PASSWORD" in refused.stderr


def test_an_agent_that_does_not_answer_has_an_exit_code_of_its_own() -> None:
    refused = CliRunner().invoke(oboe, ["task", "list"], env={"OBOE_AGENT": "127.0.0.1:1"})
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (Exit.UNREACHABLE, 1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    script = CliRunner().invoke(oboe, ["completion", shell])
    assert script.exit_code == 0
    assert "_OBOE_COMPLETE" in script.stdout


@pytest.mark.parametrize("path", [["agent"], ["cluster"], ["task"], ["cluster", "config"]])
def test_every_command_says_what_it_does(path: list[str]) -> None:
    shown = CliRunner().invoke(oboe, [*path, "--help"])
    assert shown.exit_code == 0
    assert "Commands:" in shown.stdout
