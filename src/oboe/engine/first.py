"""What a step found when it first looked, kept in a file of its dag's work directory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from oboe.domain.errors import Bug
from oboe.kit.plain import plain
from oboe.kit.typed import decoder

__all__ = ["first_found"]

T = TypeVar("T")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")


def first_found(directory: Path, sub_task: int, name: str, find: Callable[[], T]) -> T:
    """The value of the file; without one, what ``find`` says now, which is on disk before anybody acts on it.

    `Bug` ``run.first_name``; `StepFailed` ``result.not_plain`` for what is not JSON-able."""
    if not _NAME.fullmatch(name):
        raise Bug("run.first_name", f"{name!r} is no name: small letters, digits, underscores")
    path = directory / f"first.{sub_task}.{name}.json"
    try:
        return cast(T, decoder(object).decode(path.read_bytes()))
    except FileNotFoundError:
        pass
    text = msgspec.json.encode(plain(find()))
    _write(path, text)
    return cast(T, decoder(object).decode(text))


def _write(path: Path, text: bytes) -> None:
    """Whole, and through to the disk."""
    draft = path.with_suffix(".new")
    with draft.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
