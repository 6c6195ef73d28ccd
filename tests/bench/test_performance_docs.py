"""The page about performance says what its JSON says, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.report import missed
from tools import performance_docs
from tools.performance_docs import PAGE, SOURCE, render


def test_the_page_is_written_from_the_figures_that_are_kept() -> None:
    found = json.loads(SOURCE.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == render(found)
    assert {"date", "commit", "processor", "load_before", "load_after"} <= found["benchmarks"]["surroundings"].keys()


def test_every_target_that_is_missed_is_named_with_where_the_time_goes() -> None:
    found = json.loads(SOURCE.read_text(encoding="utf-8"))
    found["benchmarks"] |= {"floor_ms": 0.1, "gap_p50_ms": 7.0, "profile": {"oboe.engine": 0.61}}
    lines = render(found).splitlines()
    assert "gap_p50_ms" in list(missed(found["benchmarks"]))
    (row,) = [line for line in lines if line.startswith("| step to step, p50 ")]
    assert row == "| step to step, p50 | 7 ms | 70.00 x | ≤ 0.5 | missed |"
    assert any("oboe.engine 61%" in line for line in lines)


def test_new_figures_are_kept_beside_those_of_the_other_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = json.loads(SOURCE.read_text(encoding="utf-8"))
    monkeypatch.setattr(performance_docs, "SOURCE", tmp_path / "kept.json")
    monkeypatch.setattr(performance_docs, "PAGE", tmp_path / "page.md")
    for name, figures in kept.items():
        (tmp_path / name).write_text(json.dumps(figures))
        performance_docs.main([str(tmp_path / name)] if name != "peers" else [str(tmp_path / "benchmarks"), str(tmp_path / "peers")])
    assert json.loads((tmp_path / "kept.json").read_text()) == kept
    (tmp_path / "page.md").write_text("")
    with pytest.raises(SystemExit, match="is old"):
        performance_docs.main(["--check"])
