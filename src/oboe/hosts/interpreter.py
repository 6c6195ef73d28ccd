"""How this process has Python look after its memory and its threads.

Most of what an agent makes is freed when it is last used; only cycles wait for Python's collector. Left as it is, the collector looks at
everything that lives after every few hundred new objects: an eighth of what a step costs.

A thread that comes back from the disk or from a database waits until the one that computes lets it go on, and a turn comes back half a
dozen times.
"""

from __future__ import annotations

import gc
import sys

__all__ = ["settle_interpreter"]

_YOUNG_MAX = 10_000
"""New objects, less those freed, before the collector looks at the youngest: two megabytes at most wait for it."""
_LOOKS = 20
"""So many looks at one generation go before a look at the next older."""
_SWITCH_SECONDS = 0.0005
"""So long one thread computes while others want to; Python's own choice is ten times that."""


def settle_interpreter() -> None:
    """Once all is built that stays: the collector does not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _LOOKS, _LOOKS)
    sys.setswitchinterval(_SWITCH_SECONDS)
