"""Directories that oboe makes on a host: only ever where nothing was, and removed only when a marker says that they are ours.

The marker, ``.oboe-made``, names the owner and the parents that had to be made. It is written before anything else goes in, and goes last.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from oboe.domain.errors import StepFailed

__all__ = ["MARKER", "claim", "empty", "free_bytes", "is_claimed", "remove"]

MARKER = ".oboe-made"


def claim(directory: Path, owner: str) -> None:
    """Make it ours: absent or empty before, or claimed by the same ``owner`` already. `StepFailed` ``directory.not_empty`` otherwise."""
    marker = directory / MARKER
    if (holder := _read(marker)) is not None:
        if holder["owner"] != owner:
            raise StepFailed("directory.claimed", f"{directory} belongs to {holder['owner']}")
        return
    if directory.exists() and not directory.is_dir():
        raise StepFailed("directory.not_a_directory", f"{directory} is a file", hint="name another directory")
    if directory.exists() and any(one.name != MARKER + ".new" for one in directory.iterdir()):
        raise StepFailed("directory.not_empty", f"{directory} is not empty", hint="empty it, or name another directory")
    made = [str(one) for one in (directory, *directory.parents) if not one.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = directory / (MARKER + ".new")
        beside.write_text(json.dumps({"owner": owner, "made": made}))
        beside.replace(marker)
    except OSError as error:
        raise StepFailed("directory.not_made", f"{directory} cannot be made: {error.strerror}") from error


def is_claimed(directory: Path, owner: str) -> bool:
    holder = _read(directory / MARKER)
    return holder is not None and holder["owner"] == owner


def empty(directory: Path, owner: str, *, keep: tuple[str, ...] = ()) -> None:
    """Remove what is in a directory that is ours, but the marker and ``keep``. Links are removed, never followed."""
    if not is_claimed(directory, owner):
        return
    for entry in list(directory.iterdir()):
        if entry.name not in (MARKER, *keep):
            _remove_entry(entry)


def remove(directory: Path, owner: str) -> None:
    """Remove a directory that is ours, and the parents made for it that are empty; one that was there before stays, empty.
    What is not ours is left alone; again is harmless."""
    holder = _read(directory / MARKER)
    if holder is None or holder["owner"] != owner:
        return
    empty(directory, owner)
    (directory / MARKER).unlink()
    for made in sorted(holder["made"], key=len, reverse=True):
        try:
            os.rmdir(made)  # noqa: PTH106 - the text as it was noted
        except OSError:
            return


def free_bytes(path: Path) -> int:
    """What may still be written below ``path``, which need not exist yet."""
    there = next(one for one in (path, *path.absolute().parents) if one.is_dir())
    return shutil.disk_usage(there).free


def _remove_entry(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _read(marker: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(marker.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found if isinstance(found, dict) else None
