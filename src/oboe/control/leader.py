"""Who leads a dag now: found through the agents that may know, because the lease may have moved since the dag was made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from oboe.domain.errors import Refused, TryAgain, Unreachable
from oboe.domain.values import Address

__all__ = ["ask_maintainer", "not_maintainer"]

T = TypeVar("T")

_CODE = "agent.not_maintainer"


def not_maintainer(here: Address, known: Address | None) -> Refused | Unreachable:
    """What an agent answers that does not serve the cluster's home: who does; that nobody does, if that is so."""
    if known is None:
        return Unreachable("cluster.no_maintainer", "no agent holds the cluster's lease", hint="try again in some seconds")
    refusal = Refused(_CODE, f"{here} is not the maintainer now, {known} is")
    refusal.maintainer = str(known)  # type: ignore[attr-defined]
    return refusal


def ask_maintainer(ask: Callable[[Address], T], candidates: Iterable[Address]) -> T:
    """Ask each of them until one serves the cluster's home, and whomever they name.

    `TryAgain` ``leader.moving`` when somebody answered, and the lease is on its way; `Unreachable` when nobody knows of a maintainer."""
    waiting, asked = list(dict.fromkeys(candidates)), set()
    moving, trouble = False, Unreachable("leader.unreachable", "no agent of the cluster is known")
    while waiting:
        agent = waiting.pop(0)
        if agent in asked:
            continue
        asked.add(agent)
        try:
            return ask(agent)
        except Refused as refusal:
            if refusal.code != _CODE:
                raise
            moving = True
            named = getattr(refusal, "maintainer", "")
            if named:
                waiting.insert(0, Address.parse(named))
        except (Unreachable, TryAgain) as error:
            trouble = Unreachable("leader.unreachable", f"{agent}: {error.message}", hint=error.hint)
    if moving:
        raise TryAgain("leader.moving", "the cluster's lease is on its way to another agent", hint="try again in some seconds")
    raise trouble
