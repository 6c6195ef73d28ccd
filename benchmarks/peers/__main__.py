"""``python -m benchmarks.peers``: the same chains on oboe and on its peers, in one run; prints a table, writes ``.bench/peers.json``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.peers.runs import RUNS, Sizes, measure
from benchmarks.peers.table import table
from benchmarks.surroundings import end_processes, limited

_LATEST = Path(".bench/peers.json")
_ENVIRONMENT = Path(".venv-peers")
_FULL = Sizes(chains=100, crowd=1000)
_QUICK = Sizes(chains=5, crowd=20)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--directory", type=Path, default=_LATEST.parent, help="where stores are put: on the disk that counts")
    parser.add_argument("--environment", type=Path, default=_ENVIRONMENT, help="a virtual environment with requirements/peers.txt")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it works, its figures say nothing")
    parser.add_argument("--only", choices=[run.name for run in RUNS], action="append", help="that peer alone; nothing is written")
    parser.add_argument("--output", type=Path, help=f"the JSON, instead of {_LATEST}")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="peers-", dir=given.directory)).resolve()
    runs = [run for run in RUNS if not given.only or run.name in given.only]
    try:
        with limited(1200):
            found = measure(directory, given.environment, runs, _QUICK if given.quick else _FULL)
    finally:
        end_processes(directory)
        shutil.rmtree(directory, ignore_errors=True)
    output = given.output or (None if given.only or given.quick else _LATEST)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print("\n".join(table(found)))
    sys.exit(0 if found["oboe"] else 1)


if __name__ == "__main__":
    main()
