"""Plans for tests, and for whoever wants to see one without an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oboe.domain import plan as plans
from oboe.domain.model import Plan
from oboe.domain.values import Address
from oboe.kit.params import copy_params, read_params
from oboe.kit.playbook import Playbook, Sketch

__all__ = ["DAG_KEY", "HERE", "filled", "plan_of", "sketch_of"]

HERE = Address("10.0.0.1", 2886)
"""The agent that keeps the dags of tests."""
DAG_KEY = "0" * 31 + "1"
"""Of the one dag of a test."""


def plan_of(book: Playbook, params: Any = None, *, members: Sequence[Address] = (HERE,)) -> Plan:
    """The plan for these params: a value of the playbook's params type, or a mapping as it comes from JSON or a command line.

    `Refused` ``playbook.params``, or ``plan.*`` as `oboe.domain.plan.check` says: exactly as an agent refuses it."""
    return sketch_of(book, filled(book, params), members=members).plan()


def filled(book: Playbook, params: Any) -> Any:
    """Params of the playbook's type, as they are after a dag has kept them."""
    if params is None or isinstance(params, Mapping):
        params = read_params(book.params, params or {})
    return copy_params(params)


def sketch_of(book: Playbook, params: Any, *, members: Sequence[Address]) -> Sketch:
    """Drawn and checked."""
    sketch = book.sketch(params, members=members)
    plans.check(sketch.plan())
    return sketch
