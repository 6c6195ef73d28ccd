"""Playbooks for the tests of this directory, as a third party writes them: from `oboe.kit` alone."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, StepFailed, playbook


class TrialParams(msgspec.Struct):
    """``gates`` is a directory; a step waits there for a file of its node's name."""

    gates: str
    timeout: float = 3600.0


class Gate(Step):
    """Waits for a file that the test makes."""

    skippable = True
    timeout = 20.0

    def run(self, run: Run) -> None:
        gate = Path(run.params(TrialParams).gates, str(run.args["gate"]))
        run.wait_until(gate.exists, why=f"the file {gate.name}", timeout=run.params(TrialParams).timeout, every=0.02)

    def rollback(self, run: Run) -> None:
        """Nothing is left of it."""


@playbook("Trial", home=HomeKind.AGENT, params=TrialParams)
def trial(params: TrialParams, sketch: Sketch) -> None:
    """Two gates, one after the other."""
    sketch.stage("first", Gate, args={"gate": "first"})
    sketch.stage("second", Gate, args={"gate": "second"})


@playbook("Held trial", home=HomeKind.AGENT, params=TrialParams)
def held(params: TrialParams, sketch: Sketch) -> None:
    """The second gate waits for a person too."""
    sketch.stage("first", Gate, args={"gate": "first"})
    sketch.stage("second", Gate, args={"gate": "second"}, approval=True)


@playbook("Locked trial", home=HomeKind.AGENT, params=TrialParams, maintenance=Maintenance(MaintenanceKind.GLOBAL))
def locked(params: TrialParams, sketch: Sketch) -> None:
    """One gate, behind the lock on everything."""
    sketch.stage("only", Gate, args={"gate": "only"})


class Strict(Step):
    """Neither skipped nor undone."""

    irreversible = "it is a test"

    def run(self, run: Run) -> None:
        """Nothing."""


class AbroadParams(msgspec.Struct):
    """``agent`` takes part in the middle."""

    gates: str
    agent: str


@playbook("Abroad trial", home=HomeKind.AGENT, params=AbroadParams)
def abroad(params: AbroadParams, sketch: Sketch) -> None:
    """A node here, one on another agent, one here."""
    sketch.stage("before", Strict)
    sketch.stage("abroad", Strict, agents=(Address.parse(params.agent),))
    sketch.stage("after", Strict)


class Measured(Gate):
    """Says how far it is before it waits."""

    def run(self, run: Run) -> None:
        run.progress(3, 12, "files")
        super().run(run)


@playbook("Measured trial", home=HomeKind.AGENT, params=TrialParams)
def measured(params: TrialParams, sketch: Sketch) -> None:
    """One gate whose step shows its progress."""
    sketch.stage("only", Measured, args={"gate": "only"})


class Flaky(Step):
    """Fails until a file is there."""

    retries = 2
    backoff = 0.02

    def run(self, run: Run) -> int:
        run.log(f"attempt {run.attempt}")
        if not Path(run.params(TrialParams).gates, "well").exists():
            raise StepFailed("trial.unwell", "not well yet")
        return os.getpid()

    def rollback(self, run: Run) -> None:
        """Nothing is left of it."""


@playbook("Flaky trial", home=HomeKind.AGENT, params=TrialParams)
def flaky(params: TrialParams, sketch: Sketch) -> None:
    """A step that is retried by itself."""
    sketch.stage("flaky", Flaky)


class SecretParams(msgspec.Struct):
    """Of each kind one."""

    token: Secret
    target: str
    count: int = 1
    names: list[str] = []


class Whisper(Step):
    """Keeps a secret."""

    def run(self, run: Run) -> int:
        params = run.params(SecretParams)
        run.log(f"the token is {params.token}")
        return len(params.token.reveal())

    def rollback(self, run: Run) -> None:
        """Forgets it."""


@playbook("Whisper", home=HomeKind.AGENT, params=SecretParams)
def whisper(params: SecretParams, sketch: Sketch) -> None:
    """Tells nobody."""
    for number in range(params.count):
        sketch.stage(f"whisper {number + 1} to {params.target}", Whisper)
