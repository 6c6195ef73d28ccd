"""Writes ``docs/conformance.md`` from the recordings and the tests; ``--check`` says whether it is current."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.api.exchanges import FILES, Exchange, Verdict, exchanges, verdict
from tests.api.methods import METHODS, WITHOUT
from tests.lifecycle.lived import LIVED

__all__ = ["PATH", "render"]

PATH = Path(__file__).parent.parent / "docs" / "conformance.md"

_HEAD = """# Conformance

Written by `make docs` from the recordings in `tests/data/recordings/obshell` and from the tests; change it there.

## Exchanges

What OBShell 4.5.0.0 answered, and how oboe compares. Repeats of one poll count once. A recorded dag, node, sub-task or log is put into
oboe's model and rendered again, and must come out the same after the normalisation of the recordings: members and their order, omitted and
null members, names, states, operators, counts and log lines. A wrong request and an operator are asked of a server that holds the recorded
dag; a refusal in the middle of an operation must be one that oboe has, with its status and number. What is exempt is so by the row of
[the wanted differences](differences.md) that is named. Tests are those of `tests/api`. [Below](#living-agents) is what was lived again.

| recording | request | answer | exchanges | test | verdict |
| --- | --- | --- | --- | --- | --- |
"""
_LIVED = """
## Living agents

What was recorded is done again by living agents over a database that is a stand-in, and every answer and every dag, with its log lines, is
the same, less the lines that a row of the wanted differences names (`tests/lifecycle/recorded.py`). The test is
`tests/lifecycle/test_recorded.py`; `test_recorded_differs.py` plants differences, which it must see. The public pages are compared with
living agents in `tests/lifecycle/test_pages.py`.

| recording | compared |
| --- | --- |
"""
_METHODS = """
## Methods of the SDK

Every method of `obshell` 0.0.9, unmodified from PyPI, whose route oboe has. (wait): so is its `_sync` twin, in
`test_its_twin_waits_for_the_dag`. Tests are those of `tests/api`; `test_sdk.py` has passwords, failures and resending. In
`tests/lifecycle/test_sdk.py` the library makes, grows, stops, starts, mends and shrinks a cluster of living agents. The vendor's Go
client is not run; `test_go_dialect.py` sends what it is known to send, and checks what it is known to need.

| method | route | test |
| --- | --- | --- |
"""
_WITHOUT = """
Methods whose routes oboe does not have: {names}.
"""


def render() -> str:
    """The whole file."""
    counts = Counter(_row(exchange) for name in FILES for exchange in exchanges(name))
    rows = [
        f"| {name} | `{request}` | {answer} | {count} | `{test}` | {said} |\n"
        for (name, request, answer, test, said), count in counts.items()
    ]
    totals: Counter[str] = Counter()
    for (_, _, _, _, said), count in counts.items():
        totals[said.partition(":")[0]] += count
    summary = f"\n{sum(totals.values())} exchanges: " + ", ".join(f"{count} {word}" for word, count in sorted(totals.items())) + ".\n"
    lived = [f"| {name.removesuffix('.jsonl')} | {' · '.join(each)} |\n" for name, each in sorted(LIVED.items())]
    methods = [f"| `{each.name}`{' (wait)' if each.waits else ''} | `{each.route}` | `{each.test}` |\n" for each in METHODS]
    without = _WITHOUT.format(names=", ".join(f"`{each}`" for each in WITHOUT))
    return "".join([_HEAD, *rows, summary, _LIVED, *lived, _METHODS, *methods, without])


def _row(exchange: Exchange) -> tuple[str, str, str, str, str]:
    found = verdict(exchange)
    name = exchange.file.removesuffix(".jsonl")
    return name, f"{exchange.method} {exchange.route}", _answer(exchange), found.test, _verdict(found)


def _answer(exchange: Exchange) -> str:
    return f"{exchange.status} `{exchange.code}`" if exchange.code else str(exchange.status)


def _verdict(found: Verdict) -> str:
    return f"exempt: {found.difference}" if found.difference else "same"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PATH.write_text(render(), encoding="utf-8")
    elif PATH.read_text(encoding="utf-8") != render():
        sys.exit(f"{PATH.name} is old: run `make docs`")
