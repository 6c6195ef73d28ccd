"""Takes down a demo that was kept, or one that was killed so hard that it could not do so itself."""

from __future__ import annotations

import sys

from demo.run import ROOT
from demo.world import DemoError, World

__all__ = ["main"]


def main() -> int:
    world = World(ROOT)
    if not world.root.exists() and not world.processes():
        print("there is no demo")
        return 0
    try:
        world.end()
        world.remove()
    except DemoError as error:
        print(f"demo-stop: {error}", file=sys.stderr)
        return 1
    print("the demo is down")
    return 0


if __name__ == "__main__":
    sys.exit(main())
