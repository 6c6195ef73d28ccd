"""Every bound of the engine and of the public port is a setting."""

from __future__ import annotations

from dataclasses import fields

import pytest

from oboe.api.shared.bounds import Bounds
from oboe.config import Settings
from oboe.daemon.parts import limits_of
from oboe.daemon.public import bounds_of
from oboe.domain.errors import Refused
from oboe.engine.limits import Limits


def test_every_bound_is_a_setting_of_the_same_default() -> None:
    settings = Settings.of({}, source="test")
    assert (limits_of(settings), bounds_of(settings)) == (Limits(), Bounds())


def test_no_setting_of_theirs_bounds_nothing() -> None:
    named = {f"engine_{each.name}" for each in fields(Limits)} | {f"http_{each.name}" for each in fields(Bounds)}
    assert named == {each.name for each in fields(Settings) if each.name.startswith(("engine_", "http_"))}


def test_a_bound_that_is_set_reaches_the_engine() -> None:
    assert limits_of(Settings.from_env({"OBOE_ENGINE_WORKERS_MAX": "7"})).workers_max == 7


@pytest.mark.parametrize(
    "given",
    [
        {"engine_lease_seconds": 4, "engine_lease_renew_seconds": 3},
        {"engine_backoff_seconds_min": 9, "engine_backoff_seconds_max": 1},
    ],
)
def test_bounds_that_contradict_each_other_are_refused_by_name(given: dict[str, float]) -> None:
    with pytest.raises(Refused, match=r"engine_(lease_renew|backoff)_seconds") as refused:
        limits_of(Settings.of(given, source="test"))
    assert refused.value.code == "config.out_of_bounds"


def test_a_word_that_is_no_choice_is_refused_with_those_that_are() -> None:
    with pytest.raises(Refused) as refused:
        Settings.of({"tls": "maybe"}, source="test")
    assert refused.value.hint == "it must be one of off, allowed, required"
