"""Writes ``docs/conformance.md`` from the recordings and the tests; ``--check`` says whether it is current."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tests.api.exchanges import FILES, Exchange, Verdict, exchanges, verdict
from tests.api.methods import METHODS, WITHOUT

__all__ = ["PATH", "render"]

PATH = Path(__file__).parent.parent / "docs" / "conformance.md"

_HEAD = """# Conformance

Written by `make docs` from the recordings in `tests/data/recordings/obshell` and from the tests; change it there.

## Exchanges

What OBShell 4.5.0.0 answered, and how oboe compares. Repeats of one poll count once. *Same* is the same after the normalisation of the
recordings: status, members and their order, omitted and null members, codes, names, states, operators, counts and log lines. What is exempt
is so by the row of [the wanted differences](differences.md) that is named. Tests are those of `tests/api`.

| recording | request | answer | exchanges | test | verdict |
| --- | --- | --- | --- | --- | --- |
"""
_METHODS = """
## Methods of the SDK

Every method of `obshell` 0.0.9, unmodified from PyPI, whose route oboe has. (wait): so is its `_sync` twin, in
`test_its_twin_waits_for_the_dag`. Tests are those of `tests/api`; `test_sdk.py` has passwords, failures and resending.

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
    methods = [f"| `{each.name}`{' (wait)' if each.waits else ''} | `{each.route}` | `{each.test}` |\n" for each in METHODS]
    return _HEAD + "".join(rows) + summary + _METHODS + "".join(methods) + _WITHOUT.format(names=", ".join(f"`{each}`" for each in WITHOUT))


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
