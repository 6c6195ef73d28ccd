"""How this process looks after its memory: what is there for good is left alone, and garbage is looked for less often.

Most of what an agent makes is freed when it is last used; only cycles wait for Python's collector. Left as it is, the collector looks at
everything that lives after every few hundred new objects: an eighth of what a step costs.
"""

from __future__ import annotations

import gc

__all__ = ["settle_memory"]

_YOUNG_MAX = 10_000
"""New objects, less those freed, before the collector looks at the youngest: two megabytes at most wait for it."""
_LOOKS = 20
"""So many looks at one generation go before a look at the next older."""


def settle_memory() -> None:
    """Once all is built that stays: the collector does not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _LOOKS, _LOOKS)
