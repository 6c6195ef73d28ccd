"""A playbook for the tests of this directory, and the small world that it changes."""

from __future__ import annotations

import msgspec

from oboe.domain.values import Address, HomeKind
from oboe.kit import Run, Secret, Sketch, Step, StepFailed, playbook

A, B = Address("10.0.0.1", 2886), Address("10.0.0.2", 2886)


class CopyParams(msgspec.Struct):
    target: str
    """Where it is copied to."""
    token: Secret = Secret("")
    wait_seconds: float = 10.0


class World:
    """What exists."""

    def __init__(self) -> None:
        self.made: list[str] = []


class Make(Step):
    """Makes the target."""

    resumable = True
    timeout = 60

    def run(self, run: Run) -> str:
        target = run.params(CopyParams).target
        if target not in run.use(World).made:
            run.use(World).made.append(target)
        run.log(f"made {target}")
        return target

    def rollback(self, run: Run) -> None:
        made = run.use(World).made
        made[:] = [one for one in made if one != run.params(CopyParams).target]


class Copy(Step):
    """Copies, on each agent."""

    resumable = True
    timeout = 60

    def run(self, run: Run) -> int:
        params = run.params(CopyParams)
        run.wait_until(lambda: params.target in run.use(World).made, why="the target", timeout=params.wait_seconds)
        run.progress(0, 1, "tables")
        done = run.call(["cp", "-a", f"/{run.agent.ip}", run.result("Make")], timeout=30, env={"TOKEN": params.token.reveal()})
        if done.status:
            raise StepFailed("copy.failed", done.stderr)
        run.progress(1, 1, "tables")
        return len(done.stdout)

    def rollback(self, run: Run) -> None:
        run.call(["rm", run.params(CopyParams).target], timeout=30)


class Announce(Step):
    """Says so, once, when somebody said go."""

    timeout = 60

    def run(self, run: Run) -> list[int]:
        run.wait_for("go", timeout=30)
        return list(run.result("Copy"))

    def rollback(self, run: Run) -> None:
        """Nobody unsays it."""

    def cancelled(self, run: Run) -> None:
        run.log("not announced")


@playbook("Copy", home=HomeKind.AGENT, params=CopyParams)
def copy(params: CopyParams, sketch: Sketch) -> None:
    """Copies a thing to every member, and says so."""
    sketch.stage("Make", Make)
    sketch.stage("Copy", Copy, agents=sketch.members, parallel=True)
    sketch.stage("Announce", Announce)


@playbook("Copy in turn", home=HomeKind.AGENT, params=CopyParams)
def copy_in_turn(params: CopyParams, sketch: Sketch) -> None:
    """The same, one after another."""
    first = sketch.stage("Make", Make)
    last = sketch.serial("Copy", Copy, agents=sketch.members, after=[first], approval=True)
    sketch.stage("Announce", Announce, after=[last])
