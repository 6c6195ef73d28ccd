"""The short form of ``python -m tests.walks``: a few thousand events without a violation, and every planted slip noticed."""

from __future__ import annotations

import pytest

from .mutants import MUTANTS, Mutant, known_seeds, try_mutant
from .rules import true_rules
from .world import World

EVENTS = 20_000
EVENTS_FOR_A_MUTANT = 400_000
KNOWN = known_seeds()


def test_no_invariant_is_violated_in_random_worlds() -> None:
    rules = true_rules()
    walked = seed = 0
    while walked < EVENTS:
        walked += World(rules, seed).run(400)
        seed += 1
    assert seed > 20


def test_no_invariant_is_violated_when_the_store_goes_back() -> None:
    rules = true_rules()
    walked = seed = regresses = 0
    while walked < EVENTS:
        world = World(rules, seed, regress=True)
        walked += world.run(400)
        seed += 1
        regresses += world.regresses
    assert regresses > 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title)
def test_the_walks_notice_the_slip(mutant: Mutant) -> None:
    outcome = try_mutant(mutant, events_max=EVENTS_FOR_A_MUTANT, first=KNOWN.get(mutant.title))
    assert outcome.noticed, f"survived {outcome.events} events"


def test_a_seed_is_a_world() -> None:
    rules = true_rules()
    first, again = World(rules, 7), World(rules, 7)
    assert (first.run(300), first.dag) == (again.run(300), again.dag)
