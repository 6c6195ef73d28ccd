"""What *Cluster scale in* and *Delete zone* have done on the agent that goes: *Kill observer*, and its undo."""

from __future__ import annotations

import msgspec

from oboe.database.port import Driver, Instance
from oboe.domain.errors import StepFailed
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.local import LocalAgent

__all__ = ["KillObserverParams", "RestartParams", "end_process", "kill_observer", "start_for_rollback"]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


class KillObserverParams(msgspec.Struct):
    leader: str = ""
    """``ip:port`` of the agent that has it done, and must hear how it ended; empty: nobody, the agent goes by itself."""
    leave: bool = True
    """Also remove the database's directories and become SINGLE."""


class RestartParams(msgspec.Struct):
    leader: str


def end_process(run: Run, instance: Instance, *, graceful: bool = False) -> None:
    """End the database's process, in OBShell's words."""
    driver = run.use(Driver)
    run.log("Get observer Pid")
    pid = driver.observe(instance, timeout=1.0).pid
    if pid:
        run.log(f"Kill observer process {pid}")
    driver.stop(instance, graceful=graceful, run=run)
    run.log("Check observer process")
    run.log("Successfully killed the observer process")


class KillObserver(Step):
    """End the database; one that goes for good leaves a clean home and a SINGLE agent."""

    resumable = True
    skippable = True
    release_on_failure = True
    irreversible = "a database that was removed is gone; what was only ended is started by its leader's undo"
    timeout = 300

    def run(self, run: Run) -> None:
        params, local = run.params(KillObserverParams), run.use(LocalAgent)
        instance = local.instance()
        if instance is not None:
            end_process(run, instance)
        if not params.leave:
            return
        if instance is not None:
            run.use(Driver).destroy(instance, run)
        local.leave(answer_to=Address.parse(params.leader) if params.leader else None)
        run.log("set agent to single agent success")


@playbook("Kill observer", home=HomeKind.AGENT, params=KillObserverParams, maintenance=_GLOBAL, started_by="Cluster scale in")
def kill_observer(params: KillObserverParams, sketch: Sketch) -> None:
    """End this host's database because its server leaves the cluster."""
    sketch.stage("Kill observer", KillObserver)


class StartForRollback(Step):
    """Start the database again."""

    resumable = True
    skippable = True
    release_on_failure = True
    irreversible = "it is itself an undo"
    timeout = 900

    def run(self, run: Run) -> None:
        instance = run.use(LocalAgent).instance()
        if instance is None:
            raise StepFailed("database.none", "this agent has no database any more", hint="scale it out again")
        run.use(Driver).start(instance, source=None, run=run)


@playbook(
    "Start observer for scale in rollback", home=HomeKind.AGENT, params=RestartParams, maintenance=_GLOBAL, started_by="Cluster scale in"
)
def start_for_rollback(params: RestartParams, sketch: Sketch) -> None:
    """Start this host's database again because its server stays after all."""
    sketch.stage("Start observer for scale in rollback", StartForRollback)
