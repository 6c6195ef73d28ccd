"""``docs/differences.md`` as the tests read it: whatever they exempt, they exempt by a row of that page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["PAGE", "ROWS", "Row", "row"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "differences.md"


class Row(NamedTuple):
    where: str
    original: str
    oboe: str
    why: str


def _rows() -> Mapping[str, Row]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {each[0]: Row(*each) for each in cells if len(each) == 4 and each[0] not in ("where", "---")}


ROWS = _rows()


def row(where: str) -> str:
    """That row's name, which must be on the page."""
    assert where in ROWS, f"{PAGE.name} has no row {where!r}"
    return where
