"""Print ``docs/machine.md`` from the machine's own table and invariants: ``python tools/machine_docs.py > docs/machine.md``."""

from __future__ import annotations

import inspect
import sys

from oboe.domain import machine
from oboe.domain.transitions import TABLE, Row
from oboe.domain.values import State


def text() -> str:
    """The whole page."""
    head, _, rest = inspect.cleandoc(machine.__doc__ or "").partition("\n\n")
    parts = [
        "# The sub-task machine",
        "<!-- Printed by tools/machine_docs.py from src/oboe/domain/machine.py and transitions.py; do not edit. -->",
        head,
        _plain(rest),
        "## Transitions of a sub-task",
        _table(),
        "## States of a sub-task",
        _diagram(),
    ]
    return "\n\n".join(parts) + "\n"


def _plain(prose: str) -> str:
    return prose.replace("``", "`")


def _table() -> str:
    lines = ["| event | from | to | note |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.event} | {_from(row)} | {_to(row)} | {row.note} |" for row in TABLE]
    return "\n".join(lines)


def _from(row: Row) -> str:
    states = "any" if row.before == tuple(State) else ", ".join(state.name for state in row.before)
    return states + (f" ({', '.join(operator.name for operator in row.operators)})" if row.operators else "")


def _to(row: Row) -> str:
    if row.after is None:
        return "same"
    return row.after.name + (f", {row.operator.name}" if row.operator else "")


def _diagram() -> str:
    """One arrow for each pair of states, with what may cause it."""
    causes: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        for state in row.before:
            if row.after is not None and (state is not row.after or row.operator is not None):
                cause = row.event.split(",")[0].split(" (")[0]
                seen = causes.setdefault((state.name, row.after.name), [])
                if cause not in seen:
                    seen.append(cause)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> PENDING"]
    lines += [f"    {before} --> {after}: {', '.join(events)}" for (before, after), events in causes.items()]
    return "\n".join([*lines, "```"])


if __name__ == "__main__":
    sys.stdout.write(text())
