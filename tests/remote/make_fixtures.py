"""Writes a fixture of every message of this release: ``python -m tests.remote.make_fixtures``. Earlier releases' stay as they are."""

from __future__ import annotations

from pathlib import Path

import msgspec

from oboe import __version__
from oboe.remote.messages import encode
from tests.remote.samples import MESSAGES, sample

FIXTURES = Path(__file__).parent / "fixtures"
RELEASE = __version__.partition(".dev")[0]
"""The one that this one becomes."""


def fixtures() -> dict[str, str]:
    """File name → text, for this release."""
    return {f"{name}.json": msgspec.json.format(encode(sample(kind))).decode() + "\n" for name, kind in MESSAGES.items()}


def main() -> None:
    directory = FIXTURES / RELEASE
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.json"):
        old.unlink()
    for name, text in fixtures().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
