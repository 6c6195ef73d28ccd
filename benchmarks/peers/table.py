"""What was measured of oboe and its peers, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["COLUMNS", "conditions", "table"]

COLUMNS = (
    ("gap_p50_ms", "gap ms"),
    ("chain9_ms", "chain ms"),
    ("chains_steps_per_second", "steps/s"),
    ("first_step_s", "first step s"),
    ("memory_mb", "memory MB"),
    ("server_start_s", "server s"),
    ("servers_mb", "server MB"),
    ("floor_ms", "floor ms"),
)
"""Key, heading."""


def conditions(row: Mapping[str, Any]) -> str:
    """The store, and how much of the workload a peer was given: a slow one gets less of it."""
    return f"{row['store']}; the median of {row['chains_alone']} chains alone, {row['chains']} at once"


def table(found: Mapping[str, Any]) -> Iterator[str]:
    rows = {name: value for name, value in found.items() if isinstance(value, Mapping) and "chain9_ms" in value}
    yield f"{'':26}" + "".join(f"{heading:>13}" for _, heading in COLUMNS)
    for name, row in rows.items():
        figures = (f"{row[key]:13.2f}" if key in row else f"{'-':>13}" for key, _ in COLUMNS)
        yield f"{name + ' ' + row['version']:26}" + "".join(figures)
    yield "A kill while a step runs:"
    for name, row in rows.items():
        yield f"  {name} ({conditions(row)}): {row['guarantee']}"
    for name, reason in found["without"].items():
        yield f"without {name}: {reason}"
    where = found["surroundings"]
    yield f"load average {where['load_before']} before and {where['load_after']} after {where['seconds']} s, commit {where['commit']}"
