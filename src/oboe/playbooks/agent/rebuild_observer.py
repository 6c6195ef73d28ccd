"""What *Rebuild standby* has done on the standby's agent: *Rebuild observer*. It is the one place where a database that served is wiped.

Invariant: nothing is ended or wiped unless another database was seen to be the primary, and to answer, just before.
"""

from __future__ import annotations

import msgspec

from oboe.database.port import Driver, Instance
from oboe.domain.errors import StepFailed
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.link import ClusterLink
from oboe.membership.primary import Primary
from oboe.playbooks.agent.kill_observer import end_process
from oboe.playbooks.agent.observer import deploy_instance
from oboe.playbooks.agent.together import own_instance
from oboe.playbooks.cloning import clone_whole, local_secret, wait_until_clonable, workdir_for

__all__ = ["REBUILD", "RebuildObserverParams", "rebuild_observer", "refuse_only_copy"]

REBUILD = "Rebuild observer"


class RebuildObserverParams(msgspec.Struct):
    main_dag_id: str
    """The leader, as clients name it."""


def refuse_only_copy(link: ClusterLink, instance: Instance) -> Primary:
    """The primary, asked anew: there is one, it answers, and it is another database. `StepFailed`, or `Unreachable` where there is none.

    This host's own is asked first: an ex-primary that came back as one counts as the primary here, and is not wiped while it runs."""
    link.lost()
    primary = link.primary()
    if primary.endpoint == instance.endpoint:
        hint = "switch over to a standby first; when another one says so too, find out which is right, and stop the other by force"
        raise StepFailed("server.is_primary", f"{instance.endpoint} is a primary: it is never wiped", hint=hint)
    seen = link.replication_of(primary.ip, primary.mysql_port)
    if seen.role != "PRIMARY":
        raise StepFailed("cluster.no_primary", f"{primary.ip}:{primary.mysql_port} is {seen.role or 'silent'}: there is nothing to clone")
    return primary


class _RebuildStep(Step):
    resumable = True
    release_on_failure = True
    timeout = 300
    irreversible = "what was wiped is cloned anew"


class StopOld(_RebuildStep):
    """End the old database. One that says that it is a primary is left alone."""

    def run(self, run: Run) -> None:
        run.note(main_dag_id=run.params(RebuildObserverParams).main_dag_id)
        instance = own_instance(run)
        primary = refuse_only_copy(run.use(ClusterLink), instance)
        run.log(f"the primary is {primary.endpoint}, it answers")
        end_process(run, instance)


class Wipe(_RebuildStep):
    """Remove what it had."""

    def run(self, run: Run) -> None:
        instance = own_instance(run)
        refuse_only_copy(run.use(ClusterLink), instance)
        run.use(Driver).destroy(instance, run)


class Deploy(_RebuildStep):
    """The same directories again, with a new certificate."""

    def run(self, run: Run) -> None:
        instance = own_instance(run)
        run.use(Driver).check_host(instance, run)
        deploy_instance(run, workdir_for(run, instance))


class Clone(_RebuildStep):
    """Clone the primary."""

    timeout = 1800
    grace = 30

    def run(self, run: Run) -> None:
        instance, link = own_instance(run), run.use(ClusterLink)
        wait_until_clonable(run, link)
        primary = refuse_only_copy(link, instance)
        clone_whole(run, workdir_for(run, instance), str(primary.endpoint), local_secret(run, "root_password"))


@playbook(
    REBUILD,
    home=HomeKind.AGENT,
    params=RebuildObserverParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="Rebuild standby",
)
def rebuild_observer(params: RebuildObserverParams, sketch: Sketch) -> None:
    """Wipe this host's standby and clone it anew."""
    sketch.stage("Stop observer", StopOld)
    sketch.stage("Destroy observer workdir", Wipe)
    sketch.stage("Create observer workdir", Deploy)
    sketch.stage("Start observer", Clone)
