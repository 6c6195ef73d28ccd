"""*Cluster scale in*: take a member and its database out of the cluster.

Kept by the cluster, carried out on its maintainer. On seekdb a server that goes is a standby, which holds nothing that others need: its
row is DELETING, then gone. The primary is refused. With ``force_kill`` the database is ended before its row goes.
"""

from __future__ import annotations

import msgspec

from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Sketch, playbook
from oboe.membership.link import ClusterLink
from oboe.playbooks import departing
from oboe.playbooks.departing import Departing, DepartingStep, RowDeleting, RowGone

__all__ = ["ScaleInParams", "cluster_scale_in"]


class ScaleInParams(msgspec.Struct):
    agent: str
    server: Departing
    force_kill: bool


class _ScaleInStep(DepartingStep):
    timeout = 600

    def server(self, run: Run) -> Departing:
        return run.params(ScaleInParams).server


class DeleteObserver(_ScaleInStep, RowDeleting):
    """The server's row is DELETING."""

    release_on_failure = True


class SetScalingIn(_ScaleInStep):
    """The agent is SCALING IN: it maintains nothing, and takes no other operation."""

    def run(self, run: Run) -> bool:
        return departing.tell_identity(run, self.server(run), Identity.SCALING_IN, must_hear=False)

    def rollback(self, run: Run) -> None:
        departing.tell_identity(run, self.server(run), Identity.CLUSTER_AGENT, must_hear=run.own_result is not False)


class CheckAlive(_ScaleInStep):
    """The primary answers, so the cluster lives without this server."""

    def run(self, run: Run) -> None:
        link = run.use(ClusterLink)
        primary = link.primary()
        link.replication_of(primary.ip, primary.mysql_port)

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class WaitDeleted(_ScaleInStep, RowGone):
    """The server's row is gone."""


class DeleteAgent(_ScaleInStep):
    """The member's row is gone; every other member hears of it."""

    irreversible = "an agent that was let go joins again with Cluster scale out"

    def run(self, run: Run) -> None:
        server = self.server(run)
        departing.forget_members(run, [server])
        if run.params(ScaleInParams).force_kill:
            departing.kill(run, server, leave=True)


class InformKill(_ScaleInStep):
    """The agent ends its database, cleans its home and is SINGLE; with ``force_kill`` it only ends the database for now."""

    def run(self, run: Run) -> None:
        departing.kill(run, self.server(run), leave=not run.params(ScaleInParams).force_kill)

    def rollback(self, run: Run) -> None:
        """What is removed for good is not made again: nobody can roll back past the deleted agent, so this is the first half of a retry."""
        if run.params(ScaleInParams).force_kill:
            departing.revive(run, self.server(run))


@playbook(
    "Cluster scale in",
    home=HomeKind.CLUSTER,
    params=ScaleInParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster scale-in",
)
def cluster_scale_in(params: ScaleInParams, sketch: Sketch) -> None:
    """Remove a member with its database."""
    sketch.stage("Delete observer", DeleteObserver)
    sketch.stage("Set agent to 'SCALING IN'", SetScalingIn)
    if params.force_kill:
        sketch.stage("Check multi paxos member alive", CheckAlive)
        sketch.stage("Try to inform to kill observer", InformKill)
        sketch.stage("Wait delete observer success", WaitDeleted)
        sketch.stage("Delete agent", DeleteAgent)
    else:
        sketch.stage("Wait delete observer success", WaitDeleted)
        sketch.stage("Delete agent", DeleteAgent)
        sketch.stage("Try to inform to kill observer", InformKill)
