"""Writes ``docs/security-tests.md`` from `tests.security.requirements`; ``--check`` says whether it is current.

Either way, a requirement without a test, and a test that is not there, is refused.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tests.security.requirements import REQUIREMENTS

__all__ = ["PATH", "gone", "render"]

ROOT = Path(__file__).parent.parent
PATH = ROOT / "docs" / "security-tests.md"

_HEAD = """# Security, test by test

Written by `make docs` from `tests/security/requirements.py`; change it there. What is asked for, by OBShell's interface (§) or by oboe
itself, and the tests below `tests` that hold it.

| | what | tests |
| --- | --- | --- |
"""


def render() -> str:
    """The whole page."""
    return _HEAD + "".join(
        f"| {each.source} | {each.what} | {'<br>'.join(f'`{name}`' for name in each.tests)} |\n" for each in REQUIREMENTS
    )


def gone() -> Iterator[str]:
    """What is wrong with the list itself."""
    for each in REQUIREMENTS:
        if not each.tests:
            yield f"{each.what}: no test"
        yield from (f"{each.what}: {name} is no test" for name in each.tests if not _is_test(name))


def _is_test(name: str) -> bool:
    path, _, function = name.partition("::")
    found = _tests(path)
    return function in found if function else bool(found)


@lru_cache(maxsize=64)
def _tests(path: str) -> frozenset[str]:
    file = ROOT / "tests" / path
    tree = ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])
    return frozenset(each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"))


if __name__ == "__main__":
    if wrong := list(gone()):
        sys.exit("\n".join(wrong))
    if "--check" not in sys.argv:
        PATH.write_text(render(), encoding="utf-8")
    elif PATH.read_text(encoding="utf-8") != render():
        sys.exit(f"{PATH.name} is old: run `make docs`")
