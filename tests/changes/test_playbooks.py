"""Playbooks of third parties: loaded from a directory, listed, checked, started; what does not load stops nobody."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oboe.api.obshell.ids import encode
from oboe.api.own.playbooks import StartBody
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import State
from oboe.kit.registry import Registry
from tests.api.living import Living, stored

from .conftest import Place, born

HERE = Path(__file__).parent
TOKEN = "hush-4711"
BACK = "bring it back and start the agent again, or cancel the dag"
UNTYPED = """
from oboe.domain.values import HomeKind
from oboe.kit import playbook

@playbook("Untyped", home=HomeKind.AGENT, params=dict)
def untyped(params, sketch):
    pass
"""


KEPT = """
import msgspec
from oboe.kit import HomeKind, Step, playbook

class Params(msgspec.Struct):
    pass

class Nothing(Step):
    def run(self, run): ...
    def rollback(self, run): ...

@playbook("Of {name}", home=HomeKind.AGENT, params=Params)
def book(params, sketch):
    sketch.stage("Nothing", Nothing)
"""


def _dag(place: Place, made: Mapping[str, Any]) -> Dag:
    (found,) = place.agent.control._own.many([int(made["dag_id"])])
    return place.until(found, lambda now: fold.dag_state(now) in (State.SUCCEEDED, State.FAILED))


def test_playbooks_are_listed_with_their_params_and_their_plan(place: Place) -> None:
    books = {book["name"]: book for book in place.json("playbook", "list")["playbooks"]}
    whisper = books["Whisper"]
    assert (whisper["doc"], whisper["home"], whisper["plan"], Path(whisper["source"]).name) == ("Tells nobody.", "AGENT", None, "trials.py")
    assert whisper["params"]["required"] == ["token", "target"]
    assert whisper["params"]["properties"]["token"] == {"type": "string", "format": "password", "writeOnly": True}
    assert whisper["params"]["properties"]["count"] == {"type": "integer", "default": 1}
    assert books["Join self"]["source"] == "oboe"
    assert "\n  token   secret          needed\n" in place.cli("playbook", "show", "Whisper").stdout


def test_a_playbook_is_run_with_typed_params_and_a_secret_that_nobody_sees(place: Place, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    secret = ("--secret-file", f"token={tmp_path / 'token'}")
    dry = place.cli("playbook", "run", "Whisper", "-p", "target=ann", "-p", "count=2", *secret, "--dry-run", "--json")
    assert [effect["node"] for effect in json.loads(dry.stdout)["effects"]] == ["whisper 1 to ann", "whisper 2 to ann"]

    made = place.cli("playbook", "run", "Whisper", "-p", "target=ann", "-p", "count=2", *secret, "--no-wait", "--json")
    dag = _dag(place, json.loads(made.stdout))
    assert [(each.state.name, each.result) for each in dag.sub_tasks] == [("SUCCEEDED", len(TOKEN))] * 2
    assert [record.line.text for record in place.agent.control._own.logs(dag)] == ["the token is ***"] * 2
    logs = [path.read_text() for path in (place.agent.home / "log").glob("*")]
    everything = [dry.stdout, made.stdout, *stored(place.agent.home), *logs]
    assert not any(TOKEN in text for text in everything)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-p", "target=ann", "-p", f"token={TOKEN}"), "token is a secret: others on this host can read arguments"),
        (("-p", "target=ann"), "token must be given"),
        (("--params-file", "{params}"), "target must be given"),
        (
            ("--params-file", "{params}", "-p", "target=a", "-p", "count=many"),
            "the params do not fit: Expected `int`, got `str` - at `$.count`",
        ),
        (("--params-file", "{params}", "-p", "target=a", "-p", "size=3"), "there is no param 'size'"),
        (("--params-file", "{params}", "-p", "target=a", "-p", 'names={"a": 1}'), "Expected `array`, got `object` - at `$.names`"),
        (("--params-file", "{params}", "-p", "target=a", "-p", "count=0"), "the plan has no nodes"),
    ],
)
def test_params_that_do_not_fit_are_refused_by_name(place: Place, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    params = tmp_path / "params.json"
    params.write_text(json.dumps({"token": TOKEN}))
    result = place.cli(
        "playbook", "run", "Whisper", *(word.format(params=params) if "{params}" in word else word for word in words), code=1
    )
    assert message in result.stderr
    assert TOKEN not in result.stderr
    assert place.agent.control._own.unsettled() == []


def test_a_name_may_hold_what_means_something_in_a_url_but_no_slash(place: Place, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(KEPT.format(name="what? 100% #1 & ünïcode"))
    (tmp_path / "path.py").write_text(KEPT.format(name="a/b"))
    place.agent.registry.add_directory(tmp_path)
    assert place.cli("playbook", "show", "Of what? 100% #1 & ünïcode").stdout.startswith("Of what? 100% #1 & ünïcode  (")
    assert [one.reason for one in place.agent.registry.unloaded] == [
        "'Of a/b' is no name (1 to 100 printable characters, no slash, no space at the ends)"
    ]


def test_a_playbook_of_the_cluster_is_refused_where_there_is_none(place: Place, tmp_path: Path) -> None:
    (tmp_path / "clustered.py").write_text(KEPT.replace("AGENT", "CLUSTER").format(name="clustered"))
    place.agent.registry.add_directory(tmp_path)
    assert "belongs to no running cluster" in place.cli("playbook", "run", "Of clustered", code=1).stderr


def test_a_playbook_that_nobody_knows_is_not_found(place: Place) -> None:
    assert "no playbook is named 'Nothing'" in place.cli("playbook", "run", "Nothing", code=1).stderr


def test_a_playbook_with_an_operation_of_its_own_is_previewed_here_and_started_there(place: Place) -> None:
    result = place.cli("playbook", "run", "Join self", "-p", "zone=zone1", code=1)
    assert "Join self is not started by its name: what starts it looks at the cluster first" in result.stderr
    assert "oboe cluster join" in result.stderr
    assert json.loads(place.cli("playbook", "run", "Join self", "-p", "zone=zone1", "--dry-run", "--json").stdout)["effects"]


def test_a_start_not_before_a_time_is_asked_on_the_command_line(place: Place) -> None:
    place.open("only")
    made = place.cli("playbook", "run", "Locked trial", "-p", f"gates={place.gates}", "--not-before", "2100-01-01", "--no-wait", "--json")
    (dag,) = place.agent.control._own.many([int(json.loads(made.stdout)["dag_id"])])
    assert dag.not_before > time.time_ns()
    shown = place.json("task", "show", json.loads(made.stdout)["id"])
    assert shown["oboe"]["not_before"].startswith("2100-01-01T00:00:00")
    assert "its start, not before 2100-01-01" in place.cli("task", "show", json.loads(made.stdout)["id"]).stdout


def test_a_file_that_does_not_load_stops_neither_the_agent_nor_its_neighbours(tmp_path: Path) -> None:
    books = tmp_path / "books"
    books.mkdir()
    shutil.copy(HERE / "playbooks.py", books / "trials.py")
    shutil.copy(HERE / "playbooks.py", books / "twins.py")
    (books / "broken.py").write_text("this is no Python\n")
    (books / "leaves.py").write_text("raise SystemExit(3)\n")
    (books / "late.py").write_text("import json\n\njson.loads('{')\n")
    (books / "untyped.py").write_text(UNTYPED)
    agent = born(tmp_path, playbooks=(books, tmp_path / "nowhere"))
    agent.start()
    try:
        ready = Living(agent).send("GET", "/oboe/v1/ready").data
        assert agent.registry.playbook("Trial").name == "Trial"
    finally:
        agent.stop(2.0)
    assert ready["ready"]
    told = {Path(text.split(": ", 1)[0]).name: text.split(": ", 1)[1] for text in ready["playbooks"]}
    assert sorted(told) == ["broken.py", "late.py", "leaves.py", "nowhere", "twins.py", "untyped.py"]
    assert told["broken.py"] == "line 1: SyntaxError: invalid syntax"
    assert told["late.py"].startswith("line 3: JSONDecodeError: Expecting property name")
    assert (told["leaves.py"], told["nowhere"]) == ("line 1: SystemExit: 3", "it is no directory")
    assert told["untyped.py"].startswith("the params of 'Untyped' are no msgspec.Struct")
    assert told["twins.py"].startswith("two playbooks are named ")


def test_a_secret_may_have_several_lines(place: Place, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("-----BEGIN KEY-----\nabc\n-----END KEY-----\n")
    made = place.cli(
        "playbook", "run", "Whisper", "-p", "target=ann", "--secret-file", f"token={tmp_path / 'token'}", "--no-wait", "--json"
    )
    assert [each.result for each in _dag(place, json.loads(made.stdout)).sub_tasks] == [41]


def test_no_body_shows_what_came_in_it() -> None:
    body = StartBody(params={"token": TOKEN})
    assert TOKEN not in f"{body} {body.params!r}"
    assert msgspec.to_builtins(body)["params"] == {"token": TOKEN}


def test_a_dag_whose_playbook_is_gone_is_set_aside_until_it_is_back(tmp_path: Path) -> None:
    books, gates = tmp_path / "books", tmp_path / "gates"
    books.mkdir()
    gates.mkdir()
    shutil.copy(HERE / "playbooks.py", books / "trials.py")
    agent = born(tmp_path, playbooks=(books,))
    agent.start()
    place = Place(agent, gates)
    dag = place.start("Held trial")
    place.open("first")
    place.open("second")
    place.until(dag, lambda now: now.sub_tasks[0].state is State.SUCCEEDED)
    agent.stop(2.0)

    agent = born(tmp_path, playbooks=())
    agent.start()
    try:
        deadline = time.monotonic() + 20
        while not (set_aside := agent.engine.status().set_aside):
            assert time.monotonic() < deadline
        reason = f"step oboe_playbook_trials:Gate of playbook '{dag.playbook}' is not loaded: {BACK}"
        assert dict(set_aside) == {dag.key: reason}
        ready = Living(agent).send("GET", "/oboe/v1/ready").data
        assert (ready["ready"], ready["waits_for"]) == (False, [f"dag {encode(dag.home, dag.id)} {dag.name}: {reason}"])
        shown = Place(agent, gates).cli("task", "show", encode(dag.home, dag.id)).stdout
        assert f"  … waits: set aside: {reason} ({agent.address})" in shown.replace("\n", "")
    finally:
        agent.stop(2.0)

    agent = born(tmp_path, playbooks=(books,))
    agent.start()
    try:
        place = Place(agent, gates)
        place.cli("task", "approve", encode(dag.home, dag.id), "second", "--why", "it is back")
        assert fold.settled(place.until(dag, lambda now: now.ended_at))
    finally:
        agent.stop(2.0)


def test_directories_of_the_settings_are_loaded_too_and_each_once(tmp_path: Path) -> None:
    named, kept = tmp_path / "named", tmp_path / "home" / "kept"
    for place, file in ((named, "trials.py"), (kept, "kept.py")):
        place.mkdir(parents=True)
        (place / file).write_text(KEPT.format(name=file))
    agent = born(tmp_path, playbooks=(named,), playbooks_setting=f"kept:{named}")
    try:
        assert agent.registry.unloaded == ()
        assert {agent.registry.playbook(name).name for name in ("Of trials.py", "Of kept.py")} == {"Of trials.py", "Of kept.py"}
    finally:
        agent.stop(2.0)


def test_entry_points_that_do_not_load_are_noted() -> None:
    class Broken:
        name, value = "theirs", "their.module"

        def load(self) -> Any:
            raise ImportError("No module named 'their'")

    class Wrong:
        name, value = "wrong", "json:loads"

        def load(self) -> Any:
            return json.loads

    registry = Registry()
    registry.add_entry_points([Broken(), Wrong()])  # type: ignore[list-item]
    assert [one.source for one in registry.unloaded] == ["entry point theirs (their.module)", "entry point wrong (json:loads)"]
    assert registry.unloaded[0].reason.endswith("ImportError: No module named 'their'")
    assert registry.unloaded[1].reason.startswith("it names a function, not a module")
