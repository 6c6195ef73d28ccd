"""The page about the machine is printed from the machine."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_about_the_machine_is_not_old() -> None:
    spec = importlib.util.spec_from_file_location("machine_docs", ROOT / "tools" / "machine_docs.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / "docs" / "machine.md").read_text(encoding="utf-8")
    assert page == tool.text(), "run: python tools/machine_docs.py > docs/machine.md"
