"""How much of everything one run measures: enough for figures, or just enough to see that every measurement works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FULL", "QUICK", "Sizes", "Unmeasured"]


class Unmeasured(Exception):
    """Why a part has no figures, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Counts, and times in seconds."""

    budget_seconds: int
    """After which a run gives up and takes everything down."""
    floor_commits: int = 400
    warm_chains: int = 20
    chains: int = 100
    """Each alone."""
    crowd: int = 1000
    """Chains at once."""
    crowd_rounds: int = 3
    wide: int = 1000
    """Sub-tasks of one dag, beside each other."""
    wide_rounds: int = 5
    requests: int = 100
    starts: int = 7
    settle_seconds: float = 10.0
    idle_seconds: float = 30.0
    load_requests: Mapping[int, int]
    """By number of connections."""
    load_rounds: int = 3
    history: int = 1_000_000
    """Finished dags, the most."""
    history_middle: int = 10_000


FULL = Sizes(budget_seconds=1200, load_requests={1: 600, 8: 1600, 32: 1600})
QUICK = Sizes(
    budget_seconds=300,
    floor_commits=50,
    warm_chains=5,
    chains=10,
    crowd=40,
    crowd_rounds=1,
    wide=200,
    wide_rounds=1,
    requests=10,
    starts=1,
    settle_seconds=1.0,
    idle_seconds=2.0,
    load_requests={1: 30, 8: 60, 32: 96},
    load_rounds=1,
    history=4000,
    history_middle=400,
)
