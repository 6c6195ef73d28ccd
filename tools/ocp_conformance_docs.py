"""Writes ``docs/ocp-conformance.md`` from `tests.ocp.checklist`; ``--check`` says whether it is current.

Either way, a clause without a test or a reason, and a test that is not there, is refused.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from tests.ocp.checklist import LINES, Line

__all__ = ["PATH", "gone", "render"]

ROOT = Path(__file__).parent.parent
PATH = ROOT / "docs" / "ocp-conformance.md"
NUMBERS = tuple(range(1, 24))

_HEAD = """# Conformance to OCP's task API

Written by `make docs` from `tests/ocp/checklist.py`; change it there. What is asked for, and the tests below `tests` that hold
it. *Not there* says what is missing, or what oboe has instead.

| | what | tests |
| --- | --- | --- |
"""


def render(lines: Sequence[Line] = LINES) -> str:
    """The whole page."""
    rows = []
    for line in lines:
        rows.append(f"| **{line.number}** | **{line.title}** | |\n")
        for clause in line.clauses:
            said = [f"*not there:* {clause.missing}"] if clause.missing else []
            rows.append(f"| | {clause.text} | {'<br>'.join([*said, *(f'`{name}`' for name in clause.tests)])} |\n")
    return _HEAD + "".join(rows)


def gone(lines: Sequence[Line] = LINES) -> Iterator[str]:
    """What is wrong with the list itself."""
    if tuple(line.number for line in lines) != NUMBERS:
        yield "the lines are not 1 to 23"
    for line in lines:
        for clause in line.clauses:
            if not clause.tests and not clause.missing:
                yield f"{line.number} {clause.text}: neither test nor reason"
            yield from (f"{line.number} {clause.text}: {name} is no test" for name in clause.tests if not _is_test(name))


def _is_test(name: str) -> bool:
    path, _, function = name.partition("::")
    found = _tests(path)
    return function in found if function else bool(found)


@lru_cache(maxsize=64)
def _tests(path: str) -> frozenset[str]:
    file = ROOT / "tests" / path
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"))


if __name__ == "__main__":
    if wrong := list(gone()):
        sys.exit("\n".join(wrong))
    if "--check" not in sys.argv:
        PATH.write_text(render(), encoding="utf-8")
    elif not PATH.exists() or PATH.read_text(encoding="utf-8") != render():
        sys.exit(f"{PATH.name} is old: run `make docs`")
