"""The short form of ``make crash``, and that its verdict can be a bad one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.crash.agent import World
from tests.crash.cluster import missing
from tests.crash.plants import PLANTS
from tests.crash.steps import Effect, read_effects, told_of
from tests.crash.verdict import faults

_SECONDS = 300.0


def _crash(directory: Path, *options: str) -> None:
    """In a process of its own: agents are forked from it, so it must have no threads."""
    command = [sys.executable, "-m", "tests.crash", "--jobs", "3", "--table", str(directory / "table.json"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads((directory / "table.json").read_text())
    assert table
    assert all(row["kills"] for row in table.values())


def test_nothing_is_lost_or_doubled_however_agents_are_killed(tmp_path: Path) -> None:
    _crash(tmp_path, "--store", "sqlite", "--every", "10", "--once")


@pytest.mark.seekdb
def test_nor_when_the_home_is_kept_on_seekdb(tmp_path: Path) -> None:
    if missing():
        pytest.skip(missing())
    _crash(tmp_path, "--store", "seekdb", "--every", "30", "--once", "--only", "rollback")


_NOTICED: dict[str, tuple[str, str, str]] = {
    "orders are acknowledged before they are written down": ("forwards, agent", "order: answer sent", "stuck"),
    "reports are acknowledged before they are saved": ("cancel, home", "report shown: answer sent", "stuck"),
    "ends count as acknowledged before they are": ("forwards, agent", "report ended: not sent", "stuck"),
    "orders whose answer was lost count as acknowledged": ("forwards, agent", "order: arrived", "stuck"),
}
"""Planted fault: case, points, what is said of it."""


def test_planted_faults_of_acknowledgement_are_noticed() -> None:
    """All at once: most of it is waiting for what never comes."""
    assert set(_NOTICED) == set(PLANTS)
    running = {
        plant: subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.crash", "--store", "sqlite", "--once", "--jobs", "3", "--patience", "15"),
                *("--only", case, "--at", at, "--plant", plant),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for plant, (case, at, _) in _NOTICED.items()
    }
    try:
        told = {plant: process.communicate(timeout=_SECONDS)[0] for plant, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    for plant, (_, at, said) in _NOTICED.items():
        found = [fault for fault in told[plant].split("sqlite, ") if f"killed at {at}" in fault]
        assert any(said in fault for fault in found), (plant, told[plant])


_SLIPS: dict[str, tuple[Callable[[list[Effect]], list[Effect]], str]] = {
    "a step that never ran": (lambda effects: [each for each in effects if each.sub_task != "last@2887"], "never did"),
    "a step that ran twice": (lambda effects: [*effects[:-4], *effects[-4:-2], *effects[-4:]], "was begun 2 times"),
    "a step before its time": (lambda effects: [*effects[-2:], *effects[:-2]], "began while"),
    "a step after the end": (lambda effects: [*effects, effects[-2]], "is doing in truth"),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> World:
    """What a run without a kill leaves."""
    directory = tmp_path_factory.mktemp("told")
    script = (
        "import sys; from pathlib import Path; from tests.crash.agent import World; from tests.crash.lives import Nursery; "
        "Nursery(World(Path(sys.argv[1]), 'forwards'), {}).run()"
    )
    subprocess.run([sys.executable, "-c", script, str(directory)], timeout=_SECONDS, check=True)
    return World(directory, "forwards")


@pytest.mark.parametrize("slip", _SLIPS)
def test_the_verdict_sees(slip: str, told: World) -> None:
    assert faults(told) == []
    change, fault = _SLIPS[slip]
    truth = told.effects.read_bytes()
    try:
        told.effects.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in change(read_effects(told.effects))))
        assert any(fault in found for found in faults(told)), faults(told)
    finally:
        told.effects.write_bytes(truth)


def test_the_verdict_sees_a_line_that_was_lost(told: World) -> None:
    lines = told_of(told.effects)
    truth = lines.read_text()
    try:
        lines.write_text(truth + "a line that nobody has\n")
        assert [found for found in faults(told) if "a line that nobody has" in found]
        assert "did first@2886 in attempt 1" in truth
    finally:
        lines.write_text(truth)
