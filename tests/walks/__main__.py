"""Walk from the command line: ``python -m tests.walks --events 1000000 --seed 0``, or ``--mutants`` for the table of planted slips."""

from __future__ import annotations

import argparse
import json
import sys
import time

from .mutants import KNOWN, MUTANTS, try_mutant
from .rules import true_rules
from .world import World

_SHARE = 5
"""One event in so many is of a world whose store goes back."""


def walk(events: int, seed: int, length: int, *, regress: bool) -> int:
    """Walk worlds of about ``length`` events each until so many events have passed. 0, or 1 and the seed that failed."""
    rules = true_rules()
    walked = worlds = refusals = regresses = 0
    start = time.perf_counter()
    while walked < events:
        world = World(rules, seed + worlds, regress=regress)
        try:
            walked += world.run(length)
        except AssertionError as violation:
            print(f"seed {seed + worlds}, event {world.events}: {violation}")
            return 1
        refusals += world.refusals
        regresses += world.regresses
        worlds += 1
    seconds = time.perf_counter() - start
    print(f"{walked} events in {worlds} worlds (seeds {seed} to {seed + worlds - 1}), {refusals} requests refused, no violation")
    if regress:
        print(f"{regresses} times the store went back")
    print(f"{walked / seconds:,.0f} events/s")
    return 0


def mutants(events: int, seed: int, pattern: str, *, remember: bool) -> int:
    """Print what noticed each slip. 1 if one survived."""
    survivors = 0
    chosen = [mutant for mutant in MUTANTS if pattern in mutant.title]
    seeds = {}
    for mutant in chosen:
        outcome = try_mutant(mutant, events_max=events, seed=seed)
        survivors += not outcome.noticed
        seeds[mutant.title] = outcome.seed
        said = outcome.noticed or "SURVIVED"
        print(f"{mutant.module:8} {mutant.name:44} {outcome.events:>8} {outcome.seconds:6.2f} s  {said}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} noticed")
    if remember and not survivors and not pattern:
        KNOWN.write_text(json.dumps(seeds, indent=1) + "\n", encoding="utf-8")
    return 1 if survivors else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.walks", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events to walk; with --mutants, at most for each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=400, help="events of one world before it heals")
    parser.add_argument("--regress", action="store_true", help="only worlds whose store may go back a few commits; else one event in five")
    parser.add_argument("--mutants", action="store_true")
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--remember", action="store_true", help="with --mutants: write down the worlds that notice them, for the tests")
    chosen = parser.parse_args()
    if chosen.mutants:
        return mutants(chosen.events, chosen.seed, chosen.only, remember=chosen.remember)
    back = chosen.events if chosen.regress else chosen.events // _SHARE
    failed = 0 if chosen.regress else walk(chosen.events - back, chosen.seed, chosen.length, regress=False)
    return failed or walk(back, chosen.seed, chosen.length, regress=True)


if __name__ == "__main__":
    sys.exit(main())
