"""The database of one host: *Create* and *Destroy observer workdir*, *Start* and *Stop observer*, each led by a greater dag."""

from __future__ import annotations

import msgspec

from oboe.database.port import Certificates, DatabaseState, Driver, Endpoint, Instance
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.membership.local import LocalAgent

__all__ = [
    "DestroyParams",
    "StartParams",
    "StopParams",
    "WorkdirParams",
    "create_workdir",
    "deploy_instance",
    "destroy_workdir",
    "have_running",
    "remove_instance",
    "start_instance",
    "start_observer",
    "stop_observer",
]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


class WorkdirParams(msgspec.Struct):
    instance: Instance
    authority_certificate: str
    certificate: str
    certificate_key: Secret


class DestroyParams(msgspec.Struct):
    instance: Instance


class StartParams(msgspec.Struct):
    instance: Instance
    mode: str
    """``check`` this host, be the ``primary``, or ``clone`` from ``source``."""
    source: str = ""
    invited: list[str] = []


class StopParams(msgspec.Struct):
    instance: Instance
    graceful: bool = False


def deploy_instance(run: Run, params: WorkdirParams) -> None:
    """Directories and certificates of an instance, and note it as this agent's."""
    certificates = Certificates(params.authority_certificate, params.certificate, params.certificate_key.reveal())
    run.use(Driver).deploy(params.instance, certificates, run)
    run.use(LocalAgent).set_instance(params.instance)


def remove_instance(run: Run, instance: Instance) -> None:
    """End its process, remove its directories, forget it."""
    run.use(Driver).destroy(instance, run)
    run.use(LocalAgent).set_instance(None)


def start_instance(run: Run, params: StartParams) -> None:
    """Start it as ``params.mode`` says; a first start lets the members in and nobody else."""
    driver = run.use(Driver)
    run.log("start observer")
    run.log("check if first start")
    if params.mode == "check":
        driver.check_host(params.instance, run)
        return
    source = None
    if params.mode == "clone":
        ip, _, port = params.source.rpartition(":")
        source = Endpoint(ip, int(port))
    driver.start(params.instance, source=source, run=run)
    if params.mode == "primary":
        driver.secure(params.instance, params.invited)
    run.log("observer health check, retry [1/300]")
    run.log("update self OB port")
    run.log("update OB port in all_agent")


def have_running(run: Run, instance: Instance) -> Instance:
    """The same. An instance that served is started again where its host restarted meanwhile: nothing else would."""
    driver = run.use(Driver)
    if driver.observe(instance).state is DatabaseState.ABSENT:
        run.warn(f"the database in {instance.base_dir} is not running, though it was started: it is started again")
        driver.start(instance, source=None, run=run)
    return instance


class CreateWorkdir(Step):
    """Directories and certificates."""

    resumable = True
    timeout = 300

    def run(self, run: Run) -> None:
        deploy_instance(run, run.params(WorkdirParams))

    def rollback(self, run: Run) -> None:
        remove_instance(run, run.params(WorkdirParams).instance)


@playbook("Create observer workdir", home=HomeKind.AGENT, params=WorkdirParams, maintenance=_GLOBAL, started_by="Initialize cluster")
def create_workdir(params: WorkdirParams, sketch: Sketch) -> None:
    """Make the directories of this host's database."""
    sketch.stage("Create observer workdir", CreateWorkdir)


class DestroyWorkdir(Step):
    """End the process, remove the directories."""

    resumable = True
    skippable = True
    irreversible = "what was removed is gone"
    timeout = 300

    def run(self, run: Run) -> None:
        remove_instance(run, run.params(DestroyParams).instance)


@playbook("Destroy observer workdir", home=HomeKind.AGENT, params=DestroyParams, maintenance=_GLOBAL, started_by="Initialize cluster")
def destroy_workdir(params: DestroyParams, sketch: Sketch) -> None:
    """Remove this host's database."""
    sketch.stage("Destroy observer workdir", DestroyWorkdir)


class StartObserver(Step):
    """Check the host, start as primary, or clone."""

    resumable = True
    skippable = True
    timeout = 900
    grace = 30

    def run(self, run: Run) -> None:
        start_instance(run, run.params(StartParams))

    def rollback(self, run: Run) -> None:
        params = run.params(StartParams)
        if params.mode != "check":
            run.use(Driver).stop(params.instance, graceful=False, run=run)


@playbook("Start observer", home=HomeKind.AGENT, params=StartParams, maintenance=_GLOBAL, started_by="Initialize cluster")
def start_observer(params: StartParams, sketch: Sketch) -> None:
    """Start this host's database."""
    sketch.stage("Start observer", StartObserver)


class StopObserver(Step):
    """End the database's process."""

    resumable = True
    skippable = True
    irreversible = "start it again with the dag that stopped it"
    timeout = 120

    def run(self, run: Run) -> None:
        params = run.params(StopParams)
        run.use(Driver).stop(params.instance, graceful=params.graceful, run=run)


@playbook("Stop observer", home=HomeKind.AGENT, params=StopParams, maintenance=_GLOBAL, started_by="Initialize cluster")
def stop_observer(params: StopParams, sketch: Sketch) -> None:
    """Stop this host's database."""
    sketch.stage("Stop observer", StopObserver)
