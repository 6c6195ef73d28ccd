"""What holds for messages: nothing is lost under way, and neighbouring releases understand each other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.messages import Report
from oboe.domain.model import Dag
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote.messages import ErrorMessage, decode, decode_error, encode, encode_error
from tests.remote.make_fixtures import FIXTURES, RELEASE, fixtures
from tests.remote.samples import MESSAGES, sample

STORED = sorted(FIXTURES.glob("*/*.json"))


def _kept(before: Any, after: Any) -> bool:
    """Whether every member and item of ``before`` is in ``after``, which may have more members."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(name in after and _kept(value, after[name]) for name, value in before.items())
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(_kept, before, after))
    return type(before) is type(after) and before == after


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES)
def test_a_message_comes_out_as_it_went_in(kind: type[Any]) -> None:
    value = sample(kind)
    assert decode(encode(value), kind) == value


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_message_of_every_release_is_understood(path: Path) -> None:
    text = path.read_bytes()
    value = decode(text, MESSAGES[path.stem])
    assert _kept(json.loads(text), json.loads(encode(value)))


def test_the_fixtures_are_those_of_this_release() -> None:
    stored = {path.name: path.read_text(encoding="utf-8") for path in (FIXTURES / RELEASE).glob("*.json")}
    assert stored == fixtures(), "run: python -m tests.remote.make_fixtures"


def _with_more(value: Any) -> Any:
    """The same with a member that nobody knows in every typed mapping that is no free one."""
    if isinstance(value, list):
        return [_with_more(item) for item in value]
    if isinstance(value, dict) and not {"text", "numbers"} <= set(value):
        return {name: _with_more(member) for name, member in value.items()} | {"of a later release": {"x": [1]}}
    return value


@pytest.mark.parametrize("kind", [Report, ErrorMessage, Dag], ids=lambda kind: kind.__name__)
def test_members_of_a_later_release_are_ignored(kind: type[Any]) -> None:
    if kind is Dag:
        plain = json.loads(encode(sample(Dag)))
        plain["sub_tasks"] = _with_more(plain["sub_tasks"])
        plain["plan"]["nodes"] = [node | {"later": 1} for node in plain["plan"]["nodes"]]
        more = plain | {"later": 1}
    else:
        more = json.loads(encode(sample(kind))) | {"later": {"x": [1]}}
    assert decode(json.dumps(more).encode(), kind) == sample(kind)


def test_an_error_of_a_class_that_is_not_known_is_the_nearest_that_is() -> None:
    class MaintenanceHeld(Refused):
        """As a store raises it."""

    error = MaintenanceHeld("maintenance.held", "another dag", hint="wait")
    error.holder_id, error.holder_key, error.lock = 17, "ab", object()  # type: ignore[attr-defined]
    arrived = decode_error(encode_error(error))
    assert type(arrived) is Refused
    assert vars(arrived) == {"code": "maintenance.held", "message": "another dag", "hint": "wait", "holder_id": 17, "holder_key": "ab"}


def test_an_error_cannot_overwrite_what_makes_it_one() -> None:
    said = ErrorMessage(["Later", "TryAgain", "OboeError"], "c", "m", "h", {"args": "x", "__class__": "x", "after_seconds": 9.0, "a-b": 1})
    arrived = decode_error(encode(said))
    assert (type(arrived), arrived.args) == (TryAgain, ("m",))
    assert vars(arrived) == {"code": "c", "message": "m", "hint": "h", "after_seconds": 9.0}
    assert type(decode_error(encode(ErrorMessage(["Nothing"], "c", "m")))) is OboeError


def test_what_is_not_the_message_is_refused_by_name() -> None:
    for text in (b"", b"{", b"[]", b'{"ip":"::1"}', b'{"ip":"::1","port":"x"}', b"[" * 100_000, b'\xff"'):
        with pytest.raises(Refused, match="this is no Address") as caught:
            decode(text, Address)
        assert caught.value.code == "rpc.unreadable"


def test_secrets_travel_and_stay_masked() -> None:
    @dataclass
    class Holds:
        password: Secret

    arrived = decode(encode(Holds(Secret("abc"))), Holds)
    assert (arrived.password.reveal(), repr(arrived.password)) == ("abc", "Secret('***')")


def test_an_unreachable_third_is_told_apart_by_its_message() -> None:
    arrived = decode_error(encode_error(Unreachable("agent.unreachable", "10.0.0.3:2886 cannot be reached")))
    assert (type(arrived), "10.0.0.3:2886" in str(arrived)) == (Unreachable, True)
