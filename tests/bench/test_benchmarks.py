"""The benchmarks run to their end, have every figure, and leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks import cluster
from benchmarks.parts import ENGINE, KEYS
from benchmarks.report import missed, table, value_of

_SECONDS = 290
_OF_A_CLUSTER = {
    *("first_answer_ms", "idle_mb", "idle_cpu_percent", "idle_statements_per_s", "seekdb"),
    *("maintain_ob_rps", "maintain_ob_wide_ratio", "maintain_ob_history_ratio", "rsa_only_rps"),
}


def test_a_quick_run_measures_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    output, stores = tmp_path / "found.json", tmp_path / "stores"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--directory", str(stores), "--output", str(output)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert output.exists(), ran.stderr
    found = json.loads(output.read_text())
    expected = set(KEYS) - (_OF_A_CLUSTER if cluster.missing() else set())
    assert {key for key in KEYS if found[key] is None} == set(KEYS) - expected, ran.stderr
    if not cluster.missing():
        assert found["without"] == {}
        assert set(ENGINE) <= found["seekdb"].keys()
        assert list(found["maintain_ob_rps"]) == ["1", "8", "32"]
    assert "one SQLite commit: the floor" in ran.stdout
    assert list(stores.iterdir()) == []
    assert [words for process in psutil.process_iter() if (words := _words(process)) and str(stores) in " ".join(words)] == []


def test_a_part_that_cannot_be_measured_says_why_and_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import parts
    from benchmarks.sizes import QUICK, Unmeasured

    def fail(directory: Path, sizes: object) -> dict[str, Any]:
        (directory / "left").touch()
        raise Unmeasured("there is no such thing here")

    monkeypatch.setitem(parts._PARTS, "engine", fail)
    monkeypatch.setitem(parts._PARTS, "history", lambda directory, sizes: {"history_ratio": 1.5})
    found = parts.measure(tmp_path, QUICK, ["engine", "history"])
    assert found["without"] == {"engine": "there is no such thing here"}
    assert (found["history_ratio"], found["floor_ms"]) == (1.5, None)
    assert list(tmp_path.iterdir()) == []
    assert "without engine: there is no such thing here" in list(table(found))


def test_a_target_is_missed_beside_the_figures_of_its_own_run() -> None:
    found: dict[str, Any] = {
        "floor_ms": 0.05,
        "gap_p50_ms": 0.3,
        "process_start_s": 0.3,
        "kill_resume_s": 0.69,
        "chains_steps_per_second": 9999.0,
    }
    assert set(missed(found)) == {"gap_p50_ms", "chains_steps_per_second"}
    found |= {"floor_ms": 0.1, "kill_resume_s": 0.71, "chains_steps_per_second": 10_000.0}
    assert set(missed(found)) == {"kill_resume_s"}
    assert value_of(found, "seekdb.gap_p50_ms") is None


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
