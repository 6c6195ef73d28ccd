"""An agent in a process of its own, as `tests.spine.host.Host` runs it. Its steps stop at gates and fail where that was planted."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

from oboe.daemon import process
from oboe.domain.errors import StepFailed
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.playbooks import agent, cluster
from tests.spine.host import HostDriver, Store
from tests.spine.plant import PLANTED


def gated(step: type[Step], where: str, directory: Path) -> None:
    """Have it wait when its work is done, while there is a gate of its name (``at.<name>`` says that it does); so its undo."""
    name = step.__name__ + (".undo" if where == "rollback" else "")
    gate, there, plant, work = directory / f"gate.{name}", directory / f"at.{name}", directory / f"plant.{name}", getattr(step, where)

    def gated_work(self: Step, run: Run) -> Any:
        done = work(self, run)
        if gate.exists():
            there.touch()
            run.wait_until(lambda: not gate.exists(), why=f"the gate of {name}", timeout=120, every=0.05)
        if plant.exists():
            plant.unlink(missing_ok=True)  # its neighbour of the same name may have
            raise StepFailed("test.planted", PLANTED)
        return done

    setattr(step, where, gated_work)


def steps() -> list[type[Step]]:
    """Those of oboe's own playbooks, of hosts excepted."""
    names = [each.name for package in (agent, cluster) for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    modules = [importlib.import_module(name) for name in names]
    found = [each for module in modules for each in vars(module).values() if isinstance(each, type) and each.__module__ == module.__name__]
    return [each for each in found if issubclass(each, Step) and not each.__name__.startswith("_")]


def main() -> int:
    home, port, rpc_port, shared, own, store_port, store = sys.argv[1:]
    driver = HostDriver(Path(shared), Path(own), Store(int(store_port), store))
    for step in steps():
        gated(step, "run", Path(own))
        if step.rollable():
            gated(step, "rollback", Path(own))
    process._driver = lambda name, home: driver  # type: ignore[assignment]
    books = tuple(map(Path, filter(None, [os.environ.get("SPINE_PLAYBOOKS")])))
    return process.run(home=Path(home), ip="127.0.0.1", port=int(port), rpc_port=int(rpc_port), driver="fake", playbooks=books)


if __name__ == "__main__":
    sys.exit(main())
