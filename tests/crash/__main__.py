"""``python -m tests.crash``: kills agents at every point, and prints what was killed and whether everything was true afterwards.

A line for each case as it ends, and all of them once more at the end. With ``--record`` what has ended is kept in a file, so that
``--resume`` goes on where an earlier call of the same code, with the same options, stopped. Status 1: there are faults.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import msgspec

from oboe.kit.typed import decoder
from tests.crash.agent import PATIENCE_SECONDS
from tests.crash.campaign import Case, Result, carry_out, cases
from tests.crash.cluster import Server, missing
from tests.crash.plants import PLANTS
from tests.crash.workers import Workers, scratch

_ROOT = Path(__file__).parents[2]
_HEAD = f"{'case':32} {'points':>6} {'runs':>6} {'kills':>6} {'unmet':>6} {'seconds':>8}  verdict"


def main() -> int:
    given = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that the server is stopped
    record = _Record(given.record, f"{_edition()} every {given.every} seed {given.seed}", resume=given.resume)
    chosen: list[Case] = []
    for store in given.store or ["sqlite", "seekdb"]:
        if store == "seekdb" and missing():
            print(f"seekdb is left out: {missing()}")
            continue
        chosen += [case for case in cases(store) if given.only in str(case) and not (given.once and case.twice)]
    print(_HEAD, flush=True)
    for store in dict.fromkeys(case.store for case in chosen):
        _carry_out_all([case for case in chosen if case.store == store], given, record)
    rows = {str(case): record.rows[str(case)] for case in chosen}
    if given.table:
        given.table.write_bytes(msgspec.json.encode(rows))
    print("", _HEAD, *(_line(name, row) for name, row in rows.items()), sep="\n")
    total = [sum(getattr(row, what) for row in rows.values()) for what in ("points", "runs", "kills")]
    found = [fault for row in rows.values() for fault in row.faults]
    unmet = sum(len(row.unmet) for row in rows.values())
    print(f"{total[0]} points, {total[1]} runs, {total[2]} kills, {unmet} unmet, {len(found)} faults")
    return 1 if found or not rows else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill at each so-many-th point only")
    parser.add_argument("--seed", type=int, default=0, help="of the second kill's place")
    parser.add_argument("--store", choices=["sqlite", "seekdb"], action="append", help="only there")
    parser.add_argument("--once", action="store_true", help="no second kills")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--at", default="", help="only points whose label contains this")
    parser.add_argument("--plant", default="", choices=["", *PLANTS], help="plant this fault into the agents")
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, help="seconds after which a dag that stands still is stuck")
    parser.add_argument("--jobs", type=int, default=4, help="runs at once; most of a run is waiting")
    parser.add_argument("--table", type=Path, help="write the table there, as JSON")
    parser.add_argument("--record", type=Path, help="keep there what has ended")
    parser.add_argument("--resume", action="store_true", help="leave out what is in the record already")
    return parser.parse_args()


def _carry_out_all(chosen: list[Case], given: argparse.Namespace, record: _Record) -> None:
    """Cases of one store."""
    left = [case for case in chosen if str(case) not in record.rows]
    for name in (str(case) for case in chosen if case not in left):
        print(_line(name, record.rows[name]), " (from the record)", sep="", flush=True)
    if not left:
        return
    place = Path(tempfile.mkdtemp(prefix="oboe-crash-", dir=scratch()))
    server = Server(place) if left[0].store == "seekdb" else None
    port = 0 if server is None else server.port
    workers = Workers(given.jobs, place, port, plant=given.plant, patience_seconds=given.patience)
    try:
        for case in left:
            began = time.monotonic()
            row = carry_out(case, workers, every=given.every, seed=given.seed, at=given.at)
            row.seconds = round(time.monotonic() - began, 1)
            record.add(str(case), row)
            print(*row.faults, sep="\n", end="\n" if row.faults else "")
            print(_line(str(case), row), flush=True)
    finally:
        workers.stop()
        if server is not None:
            server.stop()
        if given.plant or not any(row.faults for row in record.rows.values()):
            shutil.rmtree(place, ignore_errors=True)


def _line(name: str, row: Result) -> str:
    return f"{name:32} {row.points:6} {row.runs:6} {row.kills:6} {len(row.unmet):6} {row.seconds:8.1f}  {row.verdict}"


class _Record:
    """Cases that have ended, by name; only those of the same ``edition`` of code and options are taken up."""

    def __init__(self, path: Path | None, edition: str, *, resume: bool) -> None:
        self.rows: dict[str, Result] = {}
        self._path = path
        self._edition = edition
        if resume and path is not None and path.exists():
            known, rows = decoder(tuple[str, dict[str, Result]]).decode(path.read_bytes())
            if known == edition:
                self.rows = rows
            else:
                print(f"{path} is of other code or other options: beginning anew", flush=True)

    def add(self, name: str, row: Result) -> None:
        """Cases with faults are tried again by the next call, so they are not kept."""
        self.rows[name] = row
        if self._path is not None:
            good = {name: asdict(row) for name, row in self.rows.items() if not row.faults}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(msgspec.json.encode((self._edition, good)))


def _edition() -> str:
    """Of the code that is tried, and that tries it."""
    digest = hashlib.sha256()
    for root in ("src/oboe", "tests/crash"):
        for path in sorted((_ROOT / root).rglob("*")):
            if path.suffix in {".py", ".sql"}:
                digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
