"""What a step did, as a test reads it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from oboe.domain.values import Address
from oboe.kit.run import Completed

__all__ = ["Call", "Led", "Progress", "Wait"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A command that was run. ``adopted``: an earlier life of the attempt began it, and it was not run again."""

    command: tuple[str, ...]
    timeout: float
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stdin: bytes = b""
    completed: Completed
    adopted: bool = False

    def __str__(self) -> str:
        return " ".join(self.command)


class Progress(NamedTuple):
    """Of ``run.progress``."""

    done: float
    total: float
    unit: str


class Wait(NamedTuple):
    """A wait that is over. ``seconds`` is how long it took; ``ok``: what was waited for came."""

    why: str
    timeout: float
    seconds: float
    tries: int
    ok: bool


@dataclass(slots=True, kw_only=True)
class Led:
    """A dag on another agent that the step led, what it was told, and what was asked of it."""

    agent: Address
    playbook: str
    params: Any
    name: str
    told: list[tuple[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
