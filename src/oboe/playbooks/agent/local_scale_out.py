"""*Local scale out*: the joining half of *Cluster scale out*, led by the signals ``deploy``, ``start`` and ``finish``."""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.database.port import Driver, Instance
from oboe.domain.model import Home, Maintenance
from oboe.domain.values import HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.kit.naming import Naming
from oboe.membership.local import LocalAgent
from oboe.playbooks.agent.observer import WorkdirParams, deploy_instance, remove_instance
from oboe.playbooks.agent.sync_from_cluster import SyncParams, synchronize
from oboe.playbooks.cloning import clone_whole

__all__ = ["LocalScaleOutParams", "local_scale_out"]

_LED_SECONDS = 3600.0
"""How long the twin waits for its leader's next word."""


class LocalScaleOutParams(msgspec.Struct):
    zone: str
    uuid: str
    main_dag_id: int
    workdir: WorkdirParams
    source: str
    """``ip:rpc_port`` of the primary."""
    sync: SyncParams


class _LedStep(Step):
    resumable = True
    timeout = _LED_SECONDS


class BeScalingAgent(_LedStep):
    """Take the identity that keeps other operations away."""

    cancellable = False

    def run(self, run: Run) -> None:
        params = run.params(LocalScaleOutParams)
        run.use(LocalAgent).become(Identity.SCALING_OUT, zone=params.zone, root_password=params.sync.root_password)
        run.log("set agent identity to follower")
        run.note(scaleOutUUID=params.uuid)

    def rollback(self, run: Run) -> None:
        """Its certificate stays until the leader, which must still hear of this end, dismisses it."""
        local = run.use(LocalAgent)
        local.become(Identity.SINGLE, zone="")
        local.forget("root_password", "store_password")


class _Preparations(_LedStep):
    skippable = True
    signal = ""

    def run(self, run: Run) -> Any:
        main = run.use(Naming).dag(Home(HomeKind.CLUSTER), run.params(LocalScaleOutParams).main_dag_id)
        run.note(main_dag_id=main)
        run.log("wait for notification to start task")
        run.log("wait operator to advance")
        payload = run.wait_for(self.signal, timeout=_LED_SECONDS)
        run.log("start to execute the task")
        return payload

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class PrepareDeploy(_Preparations):
    """Wait for the word to deploy."""

    signal = "deploy"


class PrepareStart(_Preparations):
    """Wait for the word to start."""

    signal = "start"


class Deploy(_LedStep):
    """Directories and certificates."""

    timeout = 300

    def run(self, run: Run) -> None:
        params = run.params(LocalScaleOutParams)
        run.use(Driver).check_host(params.workdir.instance, run)
        deploy_instance(run, params.workdir)

    def rollback(self, run: Run) -> None:
        remove_instance(run, run.params(LocalScaleOutParams).workdir.instance)


class StartClone(_LedStep):
    """Clone the primary."""

    skippable = True
    timeout = 900
    grace = 30

    def run(self, run: Run) -> None:
        params = run.params(LocalScaleOutParams)
        if run.attempt > 1:  # whatever became of its certificates may be why it failed
            deploy_instance(run, params.workdir)
        clone_whole(run, params.workdir, params.source, params.sync.root_password)

    def rollback(self, run: Run) -> None:
        run.use(Driver).stop(_instance(run), graceful=False, run=run)


class WatchCluster(_LedStep):
    """Wait until the cluster has taken this agent in."""

    cancellable = False

    def run(self, run: Run) -> None:
        run.log("Watch cluster scale out dag")
        run.wait_for("finish", timeout=_LED_SECONDS)

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class SyncFromObserver(_LedStep):
    """Copy what the cluster knows, and become a member."""

    cancellable = False
    timeout = 300

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        run.log("get ocs instance failed: Agent is not holding OceanBase, try to connect")
        synchronize(run, run.params(LocalScaleOutParams).sync, quiet=True)
        run.log("dump password")
        local.become(Identity.CLUSTER_AGENT)

    def rollback(self, run: Run) -> None:
        run.use(LocalAgent).become(Identity.SCALING_OUT)


@playbook(
    "Local scale out",
    home=HomeKind.AGENT,
    params=LocalScaleOutParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="Cluster scale out",
)
def local_scale_out(params: LocalScaleOutParams, sketch: Sketch) -> None:
    """Join a running cluster, led by it."""
    sketch.stage("Be scaling agent", BeScalingAgent)
    sketch.stage("Start preparations", PrepareDeploy)
    sketch.stage("Create observer workdir", Deploy)
    sketch.stage("Start preparations", PrepareStart)
    sketch.stage("Start observer", StartClone)
    sketch.stage("Watch cluster scale_out dag", WatchCluster)
    sketch.stage("Sync from observer", SyncFromObserver)


def _instance(run: Run) -> Instance:
    return run.params(LocalScaleOutParams).workdir.instance
