"""``python -m tests.crash``: kills agents at every point, and prints what was killed and whether everything was true afterwards."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from tests.crash.agent import World
from tests.crash.campaign import Result, carry_out, cases
from tests.crash.cluster import Server, missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at each so-many-th point only")
    parser.add_argument("--seed", type=int, default=0, help="of the second kill's place")
    parser.add_argument("--store", choices=["sqlite", "seekdb"], action="append", help="only there")
    parser.add_argument("--once", action="store_true", help="no second kills")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    given = parser.parse_args()
    rows: dict[str, Result] = {}
    for store in given.store or ["sqlite", "seekdb"]:
        if store == "seekdb" and missing():
            print(f"seekdb is left out: {missing()}")
            continue
        rows |= _carry_out_all(store, given)
    if given.json:
        table = {name: {"runs": row.runs, "kills": row.kills, "faults": row.faults} for name, row in rows.items()}
        given.json.write_text(json.dumps(table))
    print(f"{sum(row.runs for row in rows.values())} runs, {sum(row.kills for row in rows.values())} kills")
    return 1 if any(row.faults for row in rows.values()) else 0


def _carry_out_all(store: str, given: argparse.Namespace) -> dict[str, Result]:
    rows: dict[str, Result] = {}
    server = Server() if store == "seekdb" else None
    print(f"{'case':32} {'points':>6} {'runs':>6} {'kills':>6} {'unmet':>6} {'seconds':>8}  verdict", flush=True)
    try:
        for case in cases(store):
            if given.only not in str(case) or (given.once and case.twice):
                continue
            began = time.monotonic()
            row = carry_out(case, World if server is None else server.world, every=given.every, seed=given.seed)
            rows[str(case)] = row
            seconds = time.monotonic() - began
            print(*row.faults, sep="\n", end="\n" if row.faults else "")
            print(f"{case!s:32} {row.points:6} {row.runs:6} {row.kills:6} {len(row.unmet):6} {seconds:8.1f}  {row.verdict}", flush=True)
    finally:
        if server is not None:
            server.stop()
    return rows


if __name__ == "__main__":
    sys.exit(main())
