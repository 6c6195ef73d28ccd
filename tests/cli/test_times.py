"""Times and durations as people type them, and as they are shown to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from oboe.cli.changing import moment, seconds

NOW = datetime(2030, 1, 31, 14, 30, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(("text", "wanted"), [("90s", 90), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("2d", 172_800), ("1.5", 1.5)])
def test_a_duration_is_read(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "-5s", "nan", "inf", "1e9", "5 m", "m5", "soon"])
def test_what_is_no_duration_or_none_at_all_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no duration: 90s, 10m, 1h30m, 2d"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("15:00", "2030-01-31T15:00:00+08:00"),
        ("2:00", "2030-02-01T02:00:00+08:00"),
        ("14:30", "2030-02-01T14:30:00+08:00"),
        ("2030-02-01T00:00:00Z", "2030-02-01T00:00:00+00:00"),
        ("+2h", "2030-01-31T16:30:00+08:00"),
    ],
)
def test_a_time_is_the_next_one_of_here(text: str, wanted: str) -> None:
    assert moment(text, now=NOW) == wanted


def test_a_time_without_a_zone_is_of_here() -> None:
    assert datetime.fromisoformat(moment("2030-01-31 14:30")).astimezone(UTC) == datetime(2030, 1, 31, 14, 30).astimezone(UTC)


@pytest.mark.parametrize("text", ["", "25:00", "14:61", "yesterday", "+", "+soon", "+0s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moment(text, now=NOW)
