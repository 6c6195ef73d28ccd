"""Writes ``docs/playbooks.md`` from the playbooks of oboe; ``--check`` says whether it is current."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from oboe import playbooks
from oboe.domain.model import NodePlan
from oboe.domain.values import SECOND, Address, HomeKind, MaintenanceKind
from oboe.kit.params import example_of, schema_of, unit_of
from oboe.kit.playbook import Playbook, Sketch
from oboe.kit.registry import Registry
from oboe.kit.step import Step

__all__ = ["MEMBERS", "PATH", "example_params", "example_sketch", "render"]

PATH = Path(__file__).parent.parent / "docs" / "playbooks.md"
MEMBERS = tuple(Address(f"10.0.0.{number}", 2886) for number in (1, 2, 3))
"""Of the cluster that the plans are drawn for."""

_HEAD = """# Playbooks

Written by `make docs` from `src/oboe/playbooks`; change it there. What an agent can do beyond that, because you wrote it,
`oboe playbook list` shows; [tutorial.md](tutorial.md) says how to write one.

Plans are drawn for three members and plain params; others may give other nodes. *If its agent dies* in the middle, a sub-task **runs
again** by itself, or is **FAILED** until a person retries it. *Undone*: what a rollback does, and a retry first. A node whose name ends
with ∥ has one sub-task for each agent, all at the same time; one with ⋮ has them one after another.

"""


def render() -> str:
    """The whole file: those that are started by their name or by a command first, then those that others lead."""
    registry = Registry()
    registry.add_package(playbooks)
    known = {book.name for book in registry.playbooks}
    books = sorted(registry.playbooks, key=lambda book: (book.started_by in known, book.name))
    parts = [_HEAD]
    for led, group in groupby(books, key=lambda book: book.started_by in known):
        parts.append("# Led by other playbooks\n\n" if led else "")
        parts += [_page(book) for book in group]
    return "".join(parts).rstrip() + "\n"


def example_sketch(book: Playbook) -> Sketch:
    """Drawn for the playbook's example params."""
    return book.sketch(example_params(book), members=MEMBERS)


def example_params(book: Playbook) -> Any:
    """The author's, else the plainest."""
    return book.example if book.example is not None else example_of(book.params)


def _page(book: Playbook) -> str:
    sketch = example_sketch(book)
    kept = "the cluster" if book.home is HomeKind.CLUSTER else "the agent"
    locks = "" if book.maintenance.kind is MaintenanceKind.NONE else f"; locks {book.maintenance.kind.name.lower()}"
    starts = f"`{book.started_by}`" if book.started_by.startswith("oboe ") else f"*{book.started_by}*" if book.started_by else "its name"
    facts = f"Kept by {kept}{locks}. Started by {starts}."
    return f"## {book.name}\n\n{_prose(book.doc)}\n\n{facts}\n\n{_params(book)}{_nodes(sketch)}\n"


def _params(book: Playbook) -> str:
    schema = schema_of(book.params)
    rows = [_param(name, each, name in schema["required"]) for name, each in schema.get("properties", {}).items()]
    head = "| param | type | unit | default | |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(rows) + "\n" if rows else ""


def _param(name: str, schema: dict[str, Any], needed: bool) -> str:
    default = "needed" if needed else "" if schema.get("default") is None else f"`{json.dumps(schema['default'])}`"
    return f"| `{name}` | {_type(schema)} | {unit_of(name)} | {default} | {_prose(schema.get('description', ''))} |\n"


def _type(schema: dict[str, Any]) -> str:
    if schema.get("format") == "password":
        return "secret"
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or {})}"
    return str(schema.get("type") or schema.get("$ref", "any").rsplit("/", 1)[-1])


def _nodes(sketch: Sketch) -> str:
    head = "| | node | what it does | timeout | if its agent dies | undone |\n| --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(_node(number, node, sketch.steps[node.step]) for number, node in _shown(sketch.plan().nodes))


def _shown(nodes: tuple[NodePlan, ...]) -> Iterator[tuple[int, NodePlan]]:
    """Of a serial split, the first place alone."""
    return ((number, node) for number, node in enumerate(nodes, 1) if node.split <= 0)


def _node(number: int, node: NodePlan, step: type[Step]) -> str:
    sign = " ⋮" if node.split == 0 else " ∥" if node.parallel else ""
    held = " Waits for a person's approval first." if node.approval else ""
    dies = "runs again" if node.flags.resumable else "FAILED"
    undone = "yes" if node.flags.rollable else f"no: {step.irreversible}"
    passed = "; can be passed" if node.flags.skippable else ""
    does = _prose((step.__doc__ or "").strip().split("\n\n")[0])
    return f"| {number} | {node.name}{sign} | {does}{held} | {node.timeout // SECOND} s | {dies}{passed} | {undone} |\n"


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PATH.write_text(render(), encoding="utf-8")
    elif not PATH.exists() or PATH.read_text(encoding="utf-8") != render():
        sys.exit(f"{PATH.name} is old: run `make docs`")
