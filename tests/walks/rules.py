"""The rules under test: the domain's modules as they are, or a fresh copy of them with one planted slip."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

MODULES = ("tally", "state", "guards", "fold", "work", "gone", "regress", "asks", "machine")
"""In order of their imports."""


@dataclass(frozen=True)
class Rules:
    """What a world asks of the domain."""

    advance: Callable[..., Any]
    dag_state: Callable[..., Any]
    settled: Callable[..., bool]
    holds_lock: Callable[..., bool]
    stage: Callable[..., int]
    next_timer: Callable[..., int]
    open_dispatches: Callable[..., Any]
    executor: Callable[..., Any]
    allowed_operators: Callable[..., Any]
    guard: Callable[..., Any]
    tally: Callable[..., Any]
    tally_of: Callable[..., Any]


def _rules(modules: dict[str, ModuleType]) -> Rules:
    fold = modules["fold"]
    return Rules(
        advance=modules["machine"].advance,
        dag_state=fold.dag_state,
        settled=fold.settled,
        holds_lock=fold.holds_lock,
        stage=fold.stage,
        next_timer=fold.next_timer,
        open_dispatches=fold.open_dispatches,
        executor=fold.executor,
        allowed_operators=fold.allowed_operators,
        guard=modules["guards"].guard,
        tally=modules["tally"].Tally,
        tally_of=modules["tally"].tally_of,
    )


def true_rules() -> Rules:
    return _rules({name: importlib.import_module(f"oboe.domain.{name}") for name in MODULES})


def slipped_rules(module: str, right: str, wrong: str) -> Rules:
    """The domain with ``right`` replaced by ``wrong`` in that module's source; ``right`` must occur exactly once."""
    full = {name: f"oboe.domain.{name}" for name in MODULES}
    originals = {name: importlib.import_module(path) for name, path in full.items()}
    fresh: dict[str, ModuleType] = {}
    try:
        for name, path in full.items():
            source = inspect.getsource(originals[name])
            if name == module:
                if source.count(right) != 1:
                    raise ValueError(f"{right!r} occurs {source.count(right)} times in {path}")
                source = source.replace(right, wrong)
            fresh[name] = sys.modules[path] = ModuleType(path)
            exec(compile(source, f"<{path} with a slip>", "exec"), fresh[name].__dict__)
    finally:
        for name, path in full.items():
            sys.modules[path] = originals[name]
    return _rules(fresh)
