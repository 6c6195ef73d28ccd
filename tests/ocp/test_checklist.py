"""The checklist refuses what does not hold it."""

from __future__ import annotations

from tests.ocp.checklist import LINES, Clause, Line
from tools.ocp_conformance_docs import gone


def test_every_line_is_held_by_tests_that_exist_or_says_why_not() -> None:
    assert list(gone()) == []


def test_a_test_that_is_gone_is_noticed() -> None:
    lines = [*LINES[:-1], Line(23, "x", (Clause("a", ("ocp/test_wire.py::test_gone",)), Clause("b"), Clause("c", ("ocp/gone.py",))))]
    assert list(gone(lines)) == [
        "23 a: ocp/test_wire.py::test_gone is no test",
        "23 b: neither test nor reason",
        "23 c: ocp/gone.py is no test",
    ]
    assert list(gone(LINES[1:])) == ["the lines are not 1 to 23"]
