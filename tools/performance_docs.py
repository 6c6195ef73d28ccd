"""Writes ``docs/performance.md`` from ``docs/performance.json``; given the files that benchmarks wrote, keeps them there first.

``python -m tools.performance_docs .bench/latest.json .bench/peers.json`` takes new figures, ``--check`` says whether the page is current.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.table import COLUMNS, conditions
from benchmarks.report import ROWS, Row, missed, ratio_of, target_of, value_of

__all__ = ["PAGE", "SOURCE", "render"]

_DOCS = Path(__file__).parent.parent / "docs"
SOURCE = _DOCS / "performance.json"
PAGE = _DOCS / "performance.md"

_HEAD = """# Performance

Written by `python -m tools.performance_docs` from `docs/performance.json`, which holds what one run of `make bench` and one of
`make bench-peers` printed: no figure was written by hand. `make bench` takes some minutes and measures your machine.
"""

_HOW = """
## How it is measured

- **The floor** is one SQLite commit with `synchronous=FULL` of one row of 100 bytes, alone, on the disk and in the run of the figure beside
  it; the median of some hundred, half of them before and half after. Figures in the table are ratios to it where a disk has a say.
- **Steps do nothing.** What is measured is the engine and its store: every start and every end of a step is durable before anything
  follows from it.
- **Clocks are read where things happen**: in the steps themselves, and by a listener that the engine calls once a change is durable. Nobody
  polls. *Step to step* is from one step's body to the next one's. *Request to RUNNING* is from the call of `submit` until the first step is
  RUNNING, durably; *over HTTP*, from a client's call, header and body encrypted, to the start that the sub-task's record gives.
- **1 000 chains of 9 at once**: created first, with one time to start; from that moment to the last end. *With their creation*: sixteen
  callers submit them; from the first call to the last end.
- **1 000 parallel sub-tasks**: one dag, one node, on one agent; every step is counted.
- **Kill to step runs again**: a real agent is killed with SIGKILL while a resumable step runs, and started at once; until the step's body
  begins again. The target is beside what Python and oboe's imports take alone.
- **Start to first answer**: from `exec` to the answer of `GET status`, on the home of an agent with a running cluster.
- **Idle**: an agent that maintains a cluster of one real seekdb, left alone; resident memory, CPU of one processor, statements sent.
- **History**: the dearest of a chain of 9, a page, the unsettled dags and the newest maintenance, in a home with so many finished dags,
  against an empty one (SQLite).
- **GET maintain/ob**: a header of its own for every request, RSA-2048, cut before as the SDK cuts it (three blocks); the generator is a
  process of its own on the same processors, and its part of them is in the table. *RSA alone* opens such headers in processes that do
  nothing else: for 1 connection one of them, which opens one header after another on one thread, for more connections one for every
  processor. The dag is a finished chain of 9 with its logs; then one of 1 000 sub-tasks; then the chain again after 1 M finished dags
  in the same tables, the last two at 8 connections, as ratios of the first.
"""

_PEERS = """
## Beside its peers

A chain of 9 durable steps that do nothing, alone and many at once with their creation, in one run. Each peer is as durable as it can be
configured to be; what that comes to differs, so it is said below. All run the same chains; a slow one runs fewer of them (chains alone for
15 s, nine at least, and a smaller crowd), and how many is said below, too. *First step* is from the start of the process; *floor* is
measured right before each. Versions are locked in `requirements/peers.txt`.
"""


def render(found: Mapping[str, Any]) -> str:
    """The whole page."""
    return (
        "\n".join([_HEAD, *_benchmarks(found["benchmarks"]), _HOW, *_peers(found.get("peers"))]).replace("\n\n\n", "\n\n").rstrip() + "\n"
    )


def _benchmarks(found: Mapping[str, Any]) -> Iterator[str]:
    yield _where(found["surroundings"])
    yield ""
    yield "| what | figure | to the floor | target | |"
    yield "| --- | ---: | ---: | ---: | --- |"
    not_met = list(missed(found))
    for row in ROWS:
        value, target = value_of(found, row.key), target_of(row, found)
        if value is None:
            continue
        aim = "" if target is None else f"{'≥' if row.at_least else '≤'} {_figure(target)}"
        verdict = "" if target is None else "missed" if row.key in not_met else "met"
        yield f"| {row.title.strip()} | {_figure(value)} {row.unit} | {ratio_of(row, found)} | {aim} | {verdict} |"
    for part, reason in found["without"].items():
        yield f"\nNot measured: {part}: {reason}"
    if not_met:
        yield "\n## Where the time goes where a target is missed\n"
        yield from _explanations(found, not_met)


def _where(where: Mapping[str, Any]) -> str:
    busy = where["load_before"] > 1
    priority = f", measured at {where['priority']}" if where["priority"] else ""
    return (
        f"{where['processors']} processors ({where['processor']}), {where['memory_mb'] / 1024:.0f} GB, {where['system']}, "
        f"{where['file_system']}, Python {where['python']}, SQLite {where['sqlite']}; commit {where['commit']}, {where['date']}. "
        f"Load average {where['load_before']} before and {where['load_after']} after{priority}: "
        f"{'the machine had other work, so trust ratios, not times' if busy else 'the machine was quiet before'}."
    )


def _explanations(found: Mapping[str, Any], not_met: Sequence[str]) -> Iterator[str]:
    rows: dict[str, Row] = {row.key: row for row in ROWS}
    told = set()
    for key in not_met:
        story = _story(found, key)
        if story and story not in told:
            told.add(story)
            yield f"- **{rows[key].title.strip()}.** {story}"


def _story(found: Mapping[str, Any], key: str) -> str:
    if key.startswith("maintain_ob"):
        return _story_of_requests(found)
    if key in ("first_answer_ms", "kill_resume_s"):
        imports = found["process_start_s"]
        return "" if imports is None else f"Python and oboe's imports alone take {imports * 1000:.0f} ms of it."
    if key.startswith("idle"):
        return "The lease of the cluster's home is renewed, and read, every few seconds; nothing else is asked."
    part = found["seekdb"] if key.startswith("seekdb.") else found
    profile = part.get("profile")
    if not profile:
        return ""
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in profile.items())
    where = "seekdb" if key.startswith("seekdb.") else "SQLite"
    return f"Of the thread that takes the turns, while many chains run on {where} (cProfile): {shares}."


def _story_of_requests(found: Mapping[str, Any]) -> str:
    one, cpu = found["rsa_only_one_rps"], found["maintain_ob_cpu_percent"]["8"]
    per_request = {
        who: share / 100 * found["surroundings"]["processors"] / found["maintain_ob_rps"]["8"] * 1000 for who, share in cpu.items()
    }
    spent = ", ".join(f"{who} {milliseconds:.2f}" for who, milliseconds in per_request.items())
    return (
        f"Of every request at 8 connections, milliseconds of CPU: {spent}; of the agent's, opening the header takes {1000 / one:.2f}. "
        "Headers are opened on worker threads, outside the interpreter lock; the dag is answered from memory after one statement, which "
        "all share who asked before it began. "
        "What is left is the HTTP server, the hop to a thread, and the client on the same processors."
    )


def _peers(found: Mapping[str, Any] | None) -> Iterator[str]:
    if found is None:
        return
    yield _PEERS
    yield _where(found["surroundings"])
    yield ""
    yield "| | " + " | ".join(heading for _, heading in COLUMNS) + " |"
    yield "| --- |" + " ---: |" * len(COLUMNS)
    rows = {name: value for name, value in found.items() if isinstance(value, Mapping) and "chain9_ms" in value}
    for name, row in rows.items():
        figures = " | ".join(_figure(row[key]) if key in row else "" for key, _ in COLUMNS)
        yield f"| {name} {row['version']} | {figures} |"
    yield "\nWhat a kill costs while a step runs:\n"
    for name, row in rows.items():
        yield f"- **{name}** ({conditions(row)}): {row['guarantee']}."
    for name, reason in found["without"].items():
        yield f"- **{name}** was not measured: {reason}."


def _figure(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.3g}"


def main(given: Sequence[str]) -> None:
    check = "--check" in given
    files = [Path(each) for each in given if each != "--check"]
    if files:
        kept = json.loads(SOURCE.read_text(encoding="utf-8")) if SOURCE.exists() else {}
        for file in files:
            found = json.loads(file.read_text(encoding="utf-8"))
            kept["peers" if "oboe" in found else "benchmarks"] = found
        SOURCE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    page = render(json.loads(SOURCE.read_text(encoding="utf-8")))
    if not check:
        PAGE.write_text(page, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page:
        sys.exit(f"{PAGE.name} is old: run `make docs`")


if __name__ == "__main__":
    main(sys.argv[1:])
