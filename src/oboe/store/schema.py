"""Versions of a store's tables: numbered files of statements, each applied once, in order, when a store is opened."""

from __future__ import annotations

from pathlib import Path

from oboe.domain.errors import Bug, Refused

__all__ = ["check_known", "migrations"]


def migrations(directory: Path) -> list[tuple[int, list[str]]]:
    """Number and statements of each file ``NNNN_what.sql``, in order. A statement ends at the end of a line."""
    found = []
    for path in sorted(directory.glob("[0-9]*.sql")):
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("--")]
        texts = "\n".join(lines).split(";\n")
        found.append((int(path.name.partition("_")[0]), [text.strip().rstrip(";") for text in texts if text.strip()]))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise Bug("store.migrations", f"the files of {directory} are not numbered 1, 2, 3 …")
    return found


def check_known(found: int, known: int, what: str) -> None:
    """`Refused` ``store.newer`` for a store that a later release has written."""
    if found > known:
        raise Refused(
            "store.newer",
            f"{what} has tables of version {found}, and this release knows them up to {known}",
            hint="a later release of oboe has written it: use that release, or a backup made before the upgrade",
        )
