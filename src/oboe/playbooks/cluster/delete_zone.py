"""*Delete zone*: take a zone with all its servers and their agents out of the cluster. The primary's zone is refused."""

from __future__ import annotations

import msgspec

from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Sketch, playbook
from oboe.membership.link import ClusterLink
from oboe.playbooks import departing
from oboe.playbooks.departing import Departing, DepartingStep, RowDeleting, RowGone

__all__ = ["DeleteZoneParams", "delete_zone"]


class DeleteZoneParams(msgspec.Struct):
    zone: str
    servers: list[Departing]


class _DeleteZoneStep(DepartingStep):
    timeout = 900

    def servers(self, run: Run) -> list[Departing]:
        return run.params(DeleteZoneParams).servers

    def server(self, run: Run) -> Departing:
        return self.servers(run)[int(run.args["server"])]


class SetScalingIn(_DeleteZoneStep):
    """The zone's agents are SCALING IN."""

    def run(self, run: Run) -> list[bool]:
        return [departing.tell_identity(run, each, Identity.SCALING_IN, must_hear=False) for each in self.servers(run)]

    def rollback(self, run: Run) -> None:
        heard = run.own_result or [True] * len(self.servers(run))
        for each, told in zip(self.servers(run), heard, strict=True):
            departing.tell_identity(run, each, Identity.CLUSTER_AGENT, must_hear=told)


class StopZone(_DeleteZoneStep):
    """The zone is INACTIVE."""

    def run(self, run: Run) -> None:
        zone = run.params(DeleteZoneParams).zone
        run.log(f"stop zone {zone}")
        run.use(ClusterLink).set_zone(zone, "INACTIVE")
        run.log(f"wait for {zone} to be inactive")

    def rollback(self, run: Run) -> None:
        run.use(ClusterLink).set_zone(run.params(DeleteZoneParams).zone, "ACTIVE")


class DeleteObserver(_DeleteZoneStep, RowDeleting):
    """A server's row is DELETING."""


class WaitDeleted(_DeleteZoneStep, RowGone):
    """A server's row is gone."""


class DeleteZone(_DeleteZoneStep):
    """The zone's row is gone."""

    irreversible = "a zone is made anew by Cluster scale out"

    def run(self, run: Run) -> None:
        run.use(ClusterLink).remove_zone(run.params(DeleteZoneParams).zone)


class DeleteAgents(_DeleteZoneStep):
    """The members' rows are gone; every other member hears of it."""

    irreversible = "agents that were let go join again with Cluster scale out"

    def run(self, run: Run) -> None:
        departing.forget_members(run, self.servers(run))


class InformKill(_DeleteZoneStep):
    """The agents end their databases, clean their homes and are SINGLE."""

    irreversible = "a database that was removed is gone"

    def run(self, run: Run) -> None:
        for each in self.servers(run):
            departing.kill(run, each, leave=True)


@playbook(
    "Delete zone",
    home=HomeKind.CLUSTER,
    params=DeleteZoneParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster delete-zone",
)
def delete_zone(params: DeleteZoneParams, sketch: Sketch) -> None:
    """Remove a zone with its servers."""
    agents = any(each.member for each in params.servers)
    if agents:
        sketch.stage("Set agent to 'SCALING IN'", SetScalingIn)
    sketch.stage(f"Stop zone {params.zone}", StopZone)
    for index in range(len(params.servers)):
        sketch.stage("Delete observer", DeleteObserver, args={"server": index})
        sketch.stage("Wait delete observer success", WaitDeleted, args={"server": index})
    sketch.stage(f"Delete zone {params.zone}", DeleteZone)
    if agents:
        sketch.stage("Delete agent", DeleteAgents)
        sketch.stage("Try to inform to kill observers", InformKill)
