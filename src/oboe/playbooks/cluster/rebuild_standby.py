"""*Rebuild standby*: wipe a standby that cannot go on, because its redo was recycled or is not its primary's, and clone it anew.

Asked for by a person, never begun by itself. Kept by the cluster: without a primary there is nothing to clone, and what is left may be the
only copy. A FAILED one holds nothing, so that the server can be scaled in instead.
"""

from __future__ import annotations

import msgspec

from oboe.domain.errors import StepFailed
from oboe.domain.model import Home, Maintenance
from oboe.domain.values import Address, HomeKind, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.kit.naming import Naming
from oboe.membership.link import ClusterLink
from oboe.membership.server_row import ServerRow
from oboe.playbooks.agent.rebuild_observer import REBUILD, RebuildObserverParams
from oboe.playbooks.cloning import check_follows, wait_until_advances
from oboe.playbooks.leading import child_id, copy_lines, end_of, lead

__all__ = ["RebuildStandbyParams", "rebuild_standby"]

_REBUILD_SECONDS = 2400


class RebuildStandbyParams(msgspec.Struct):
    agent: str
    """``ip:port`` of the standby's agent."""


class _RebuildStandbyStep(Step):
    resumable = True
    skippable = True
    release_on_failure = True
    timeout = 300

    def server(self, run: Run) -> ServerRow:
        agent = Address.parse(run.params(RebuildStandbyParams).agent)
        found = next((row for row in run.use(ClusterLink).servers() if row.agent == agent), None)
        if found is None:
            raise StepFailed("server.unknown", f"the cluster has no server of {agent} any more", hint="scale it out")
        return found


class CheckStandby(_RebuildStandbyStep):
    """There is a primary that answers, and it is another server."""

    def run(self, run: Run) -> None:
        link, server = run.use(ClusterLink), self.server(run)
        link.lost()
        primary = link.primary()
        if primary.endpoint == server.endpoint:
            raise StepFailed("server.is_primary", f"{server.endpoint} is the primary", hint="switch over to a standby first")
        run.log(f"{server.endpoint} is wiped and cloned anew from {primary.endpoint}")

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class Rebuild(_RebuildStandbyStep):
    """Its agent ends the database, wipes it and clones the primary; its row is INACTIVE meanwhile."""

    timeout = _REBUILD_SECONDS + 60
    irreversible = "what was wiped is cloned anew"

    def run(self, run: Run) -> None:
        server = self.server(run)
        run.use(ClusterLink).set_server(server.ip, server.rpc_port, "INACTIVE")
        main = run.use(Naming).dag(Home(HomeKind.CLUSTER), run.dag_id)
        child = lead(run, server.agent, REBUILD, RebuildObserverParams(main), name=REBUILD)
        run.log(f"create rebuild observer dag success, genericID:{child_id(run, child)}")
        hint = f"RETRY; or scale in {server.agent}, then scale it out again"
        status = end_of(run, child, REBUILD, timeout=_REBUILD_SECONDS, hint=hint)
        for node in status.done:
            copy_lines(run, node, status)


class Follows(_RebuildStandbyStep):
    """It is a standby that follows and shows everything; its row is ACTIVE."""

    irreversible = "a status is only what is so"

    def run(self, run: Run) -> None:
        link, server = run.use(ClusterLink), self.server(run)
        check_follows(run, link, server.ip, server.sql_port)
        wait_until_advances(run, link, server.ip, server.sql_port)
        link.set_server(server.ip, server.rpc_port, "ACTIVE")
        run.log(f"{server.endpoint} follows the primary")


@playbook(
    "Rebuild standby",
    home=HomeKind.CLUSTER,
    params=RebuildStandbyParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster rebuild",
    example=RebuildStandbyParams("10.0.0.2:2886"),
)
def rebuild_standby(params: RebuildStandbyParams, sketch: Sketch) -> None:
    """Wipe a standby and clone it anew from the primary."""
    sketch.stage("Check standby", CheckStandby)
    sketch.stage("Rebuild observer", Rebuild)
    sketch.stage("Wait until it follows", Follows)
