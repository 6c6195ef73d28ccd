"""What a playbook may draw, and how its params are read, described and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from oboe.domain.errors import Refused
from oboe.kit import Secret
from oboe.kit.params import copy_params, read_params, schema_of, unit_of
from oboe.kit.registry import Registry
from oboe.kit.testing import Rehearsal, State, plan_of

from .copying import A, B, CopyParams, World, copy_in_turn


def test_a_serial_split_is_a_chain_of_one_name() -> None:
    plan = plan_of(copy_in_turn, {"target": "/t"}, members=(A, B))
    assert [(node.name, node.agents, node.upstream, node.split, node.approval) for node in plan.nodes] == [
        ("Make", (None,), (), -1, False),
        ("Copy", (A,), (0,), 0, True),
        ("Copy", (B,), (1,), 1, False),
        ("Announce", (None,), (2,), -1, False),
    ]


def test_one_of_a_serial_split_begins_when_the_one_before_it_is_done_and_a_failure_halts_the_rest() -> None:
    dag = Rehearsal(copy_in_turn, {"target": "/t"}, members=(A, B), services={World: World()}, signals={"go": 1})
    dag.answer("cp")
    dag.answer("rm")
    dag.fail("Copy", agent=A)
    dag.run()
    assert dag.approve("Copy") is State.FAILED
    assert dag.story == ["Make", "Copy on 10.0.0.1:2886 (failed)"]
    assert dag.retry() is State.SUCCEEDED
    assert dag.story[2:] == ["undo Copy on 10.0.0.1:2886", "Copy on 10.0.0.1:2886", "Copy on 10.0.0.2:2886", "Announce"]


def test_an_empty_serial_split_is_refused() -> None:
    with pytest.raises(Refused, match="the serial split 'Copy' has no sub-tasks"):
        plan_of(copy_in_turn, {"target": "/t"}, members=())


def test_params_are_described_with_the_docstrings_of_their_members() -> None:
    schema = schema_of(CopyParams)
    assert schema["properties"] == {
        "target": {"type": "string", "description": "Where it is copied to."},
        "token": {"type": "string", "format": "password", "writeOnly": True, "default": None},
        "wait_seconds": {"type": "number", "default": 10.0},
    }
    assert schema["required"] == ["target"]


def test_a_default_that_is_a_secret_is_not_described() -> None:
    class Hidden(msgspec.Struct):
        token: Secret = Secret("hush-4711")

    assert "hush" not in str(schema_of(Hidden))


@pytest.mark.parametrize(("name", "unit"), [("wait_seconds", "s"), ("size_bytes_max", "bytes"), ("bytes_seen_by_all", ""), ("target", "")])
def test_the_unit_is_at_the_end_of_the_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


class Odd(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    both: object = None


def test_bounds_are_the_types() -> None:
    assert read_params(Odd, {"count": "2"}).count == 2
    with pytest.raises(Refused, match=r"the params do not fit: Expected `int` >= 1 - at `\$.count`"):
        read_params(Odd, {"count": "0"})


def test_what_a_dag_cannot_keep_is_refused_at_once() -> None:
    with pytest.raises(Refused, match="Odd cannot be kept: object is not JSON-able"):
        copy_params(Odd(both=object()))


def test_secrets_are_kept() -> None:
    assert copy_params(CopyParams("/t", Secret("hush"))).token.reveal() == "hush"


def test_a_file_is_named_before_it_is_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "stuck.py").write_text("raise KeyError('as if it did not come back')\n")
    with caplog.at_level("INFO", "oboe.kit.registry"):
        Registry().add_directory(tmp_path)
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [
        f"loads {tmp_path / 'stuck.py'}",
        "not loaded",
    ]
