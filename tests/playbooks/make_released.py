"""Writes what dags of this release name: ``python -m tests.playbooks.make_released``. Earlier releases' stay as they are."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from oboe import __version__, playbooks
from oboe.kit.registry import Registry
from oboe.kit.secret import Secret
from tools.playbooks_docs import example_params, example_sketch

RELEASED = Path(__file__).parent / "released"


def named() -> dict[str, dict[str, object]]:
    """Playbook → the steps of its plan, and params as a dag keeps them, secrets unsealed."""
    registry = Registry()
    registry.add_package(playbooks)
    found: dict[str, dict[str, object]] = {}
    for book in sorted(registry.playbooks, key=lambda book: book.name):
        params = msgspec.to_builtins(example_params(book), enc_hook=Secret.reveal)
        found[book.name] = {"steps": sorted(example_sketch(book).steps), "params": params}
    return found


if __name__ == "__main__":
    RELEASED.mkdir(exist_ok=True)
    path = RELEASED / f"{__version__.partition('.dev')[0]}.json"
    path.write_text(json.dumps(named(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
