"""In an emergency: *Start local observer* and *Stop local observer*, of this host's database alone, without any other agent."""

from __future__ import annotations

import msgspec

from oboe.database.port import DatabaseState, Driver
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.local import LocalAgent
from oboe.membership.owed import Owed
from oboe.membership.own_database import own_database
from oboe.playbooks.agent.together import CheckProcess, start_again, stop_again, stop_here

__all__ = ["LocalObserverParams", "start_local_observer", "stop_local_observer"]

_ANSWER_SECONDS = 120.0


class LocalObserverParams(msgspec.Struct):
    """Nothing to choose."""


class _LocalStep(Step):
    resumable = True
    skippable = True
    timeout = 900


class StartLocal(_LocalStep):
    """Start the database and wait until it serves; the cluster's tables hear that it is ACTIVE once they can."""

    grace = 30

    def run(self, run: Run) -> dict[str, bool]:
        ran_before = start_again(run)
        run.use(Owed).server("ACTIVE")
        return {"ran_before": ran_before}

    def rollback(self, run: Run) -> None:
        stop_again(run)


class GetConnection(_LocalStep):
    """It lets oboe in."""

    cancellable = False
    irreversible = "nothing is touched"

    def run(self, run: Run) -> None:
        local, driver = run.use(LocalAgent), run.use(Driver)
        run.wait_until(
            lambda: own_database(local, driver).state is DatabaseState.AVAILABLE,
            why=lambda: own_database(local, driver).reason,
            timeout=_ANSWER_SECONDS,
        )


class StopLocal(_LocalStep):
    """End the database."""

    irreversible = "start it again with Start local observer, or Start OB"

    def run(self, run: Run) -> None:
        stop_here(run, graceful=False)


@playbook(
    "Start local observer", home=HomeKind.AGENT, params=LocalObserverParams, maintenance=Maintenance(), started_by="oboe cluster start"
)
def start_local_observer(params: LocalObserverParams, sketch: Sketch) -> None:
    """Start this host's database, whatever the cluster is like."""
    sketch.stage("Check ob process and config", CheckProcess)
    sketch.stage("Start observer", StartLocal)
    sketch.stage("Get connection of observer", GetConnection)


@playbook("Stop local observer", home=HomeKind.AGENT, params=LocalObserverParams, maintenance=Maintenance(), started_by="oboe cluster stop")
def stop_local_observer(params: LocalObserverParams, sketch: Sketch) -> None:
    """End this host's database, whatever the cluster is like."""
    sketch.stage("Stop observer", StopLocal)
