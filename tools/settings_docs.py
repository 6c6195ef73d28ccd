"""Writes ``docs/settings.md`` from `oboe.config`; ``--check`` says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from oboe.config import describe

__all__ = ["PATH", "render"]

PATH = Path(__file__).parent.parent / "docs" / "settings.md"

_HEAD = """# Settings

Written by `make docs` from `src/oboe/config.py`; change it there. A value comes from, strongest first: the environment (`OBOE_<NAME>` in
capitals), `oboe.toml` in the agent's home (`name = value`), the default. A wrong name, type or bound is refused by name.

| name | type | default | unit | meaning |
| --- | --- | --- | --- | --- |
"""


def render() -> str:
    """The whole file."""
    rows = [f"| `{each.name}` | {each.type} | {each.default} | {each.unit} | {each.sentence} |\n" for each in describe()]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PATH.write_text(render(), encoding="utf-8")
    elif PATH.read_text(encoding="utf-8") != render():
        sys.exit(f"{PATH.name} is old: run `make docs`")
