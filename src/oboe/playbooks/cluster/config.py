"""*Update observer config* and *Update cluster config*: what the cluster to be will look like, kept by its MASTER."""

from __future__ import annotations

import msgspec

from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.membership.local import LocalAgent

__all__ = ["ClusterConfigParams", "ObserverConfigParams", "update_cluster_config", "update_observer_config"]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


class ObserverConfigParams(msgspec.Struct):
    scope: str
    targets: list[str]
    settings: dict[str, str]
    warnings: list[str] = []
    """One for each name that is kept but not used, found when the request was checked."""


class ClusterConfigParams(msgspec.Struct):
    cluster_id: int
    cluster_name: str
    root_password: Secret
    rs_list: str = ""


class KeepObserverConfig(Step):
    """Write the settings down; what was there before comes back on rollback."""

    resumable = True
    timeout = 60

    def run(self, run: Run) -> object:
        params = run.params(ObserverConfigParams)
        local = run.use(LocalAgent)
        for warning in params.warnings:
            run.warn(warning)
        before = run.first("config", lambda: local.value("observer_config", {}))
        local.keep_settings(params.scope, params.targets or [""], params.settings)
        return before

    def rollback(self, run: Run) -> None:
        local = run.use(LocalAgent)
        local.remember(observer_config=run.first("config", lambda: run.own_result or local.value("observer_config", {})))


@playbook(
    "Update observer config",
    home=HomeKind.AGENT,
    params=ObserverConfigParams,
    maintenance=_GLOBAL,
    started_by="oboe cluster config observer",
)
def update_observer_config(params: ObserverConfigParams, sketch: Sketch) -> None:
    """Keep observer configuration for the whole cluster, a zone or a server."""
    sketch.stage("Update observer config", KeepObserverConfig)


class KeepClusterConfig(Step):
    """Write id, name and root password down."""

    resumable = True
    timeout = 60

    def run(self, run: Run) -> None:
        params = run.params(ClusterConfigParams)
        run.use(LocalAgent).remember(
            cluster_id=params.cluster_id, cluster_name=params.cluster_name, root_password=params.root_password, rs_list=params.rs_list
        )

    def rollback(self, run: Run) -> None:
        run.use(LocalAgent).forget("cluster_id", "cluster_name", "root_password", "rs_list")


@playbook(
    "Update cluster config", home=HomeKind.AGENT, params=ClusterConfigParams, maintenance=_GLOBAL, started_by="oboe cluster config cluster"
)
def update_cluster_config(params: ClusterConfigParams, sketch: Sketch) -> None:
    """Keep id, name and root password of the cluster to be."""
    sketch.stage("Update cluster config", KeepClusterConfig)
