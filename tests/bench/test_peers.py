"""The benchmark of peers measures oboe like any of them, and says why a peer has no figures."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.runs import RUNS, Sizes, measure
from benchmarks.peers.table import table


def test_a_peer_that_is_not_there_is_left_out_with_the_reason(tmp_path: Path) -> None:
    runs = [run for run in RUNS if run.name in ("oboe", "huey")]
    found = measure(tmp_path, tmp_path / "no environment", runs, Sizes(chains=2, crowd=4))
    assert found["oboe"].keys() >= {
        "gap_p50_ms",
        "chain9_ms",
        "chains_steps_per_second",
        "chains_alone",
        "first_step_s",
        "memory_mb",
        "floor_ms",
        "guarantee",
    }
    assert found["oboe"]["chains"] == 4
    assert "huey is not installed" in found["without"]["huey"]
    lines = list(table(found))
    assert any(line.startswith("oboe ") for line in lines)
    assert any(line.startswith("without huey: huey is not installed") for line in lines)
