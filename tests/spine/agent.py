"""An agent in a process of its own, as `tests.spine.host.Host` runs it. Its steps stop at gates: `Host.gate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from oboe.daemon import process
from oboe.kit.run import Run
from oboe.kit.step import Step
from oboe.playbooks.agent import local_scale_out
from oboe.playbooks.cluster import init, scale_out
from tests.spine.host import HostDriver, Store


def gated(step: type[Step], directory: Path) -> None:
    """Have it wait when its work is done, while there is a gate of its name; ``at.<name>`` says that it does."""
    gate, there, work = directory / f"gate.{step.__name__}", directory / f"at.{step.__name__}", step.run

    def run(self: Step, run: Run) -> Any:
        done = work(self, run)
        if gate.exists():
            there.touch()
            run.wait_until(lambda: not gate.exists(), why=f"the gate of {step.__name__}", timeout=120, every=0.05)
        return done

    step.run = run  # type: ignore[method-assign]


def steps() -> list[type[Step]]:
    """Those of *Initialize cluster*, *Cluster scale out* and *Local scale out*."""
    found = [each for module in (init, scale_out, local_scale_out) for each in vars(module).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, Step) and hasattr(each, "run")]


def main() -> int:
    home, port, rpc_port, shared, own, store_port, store = sys.argv[1:]
    driver = HostDriver(Path(shared), Path(own), Store(int(store_port), store))
    for step in steps():
        gated(step, Path(own))
    process._driver = lambda name, home: driver  # type: ignore[assignment]
    books = tuple(map(Path, filter(None, [os.environ.get("SPINE_PLAYBOOKS")])))
    return process.run(home=Path(home), ip="127.0.0.1", port=int(port), rpc_port=int(rpc_port), driver="fake", playbooks=books)


if __name__ == "__main__":
    sys.exit(main())
