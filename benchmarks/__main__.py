"""``python -m benchmarks``: measures everything of one run, prints it beside the floor and the targets, writes ``.bench/latest.json``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.parts import PARTS, measure
from benchmarks.report import table
from benchmarks.sizes import FULL, QUICK
from benchmarks.surroundings import end_processes, limited

_LATEST = Path(".bench/latest.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--directory", type=Path, default=_LATEST.parent, help="where stores are put: on the disk that counts")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it works, its figures say nothing")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part alone; nothing is written")
    parser.add_argument("--output", type=Path, help=f"the JSON, instead of {_LATEST}")
    given = parser.parse_args()
    sizes = QUICK if given.quick else FULL
    given.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=given.directory)).resolve()
    try:
        with limited(sizes.budget_seconds):
            found = measure(directory, sizes, given.only or PARTS)
    finally:
        end_processes(directory)
        shutil.rmtree(directory, ignore_errors=True)
    output = given.output or (None if given.only or given.quick else _LATEST)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(found)))
    sys.exit(1 if found["without"] else 0)


if __name__ == "__main__":
    main()
