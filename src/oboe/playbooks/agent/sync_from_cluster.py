"""*Synchronize agent from cluster*: a member reads in its own database that the tables have reached it, and who the members are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from oboe.domain.errors import OboeError
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import Member
from oboe.playbooks.agent.observer import have_running

__all__ = ["SyncParams", "sync_from_cluster", "synchronize"]


class SyncParams(msgspec.Struct):
    root_password: Secret
    store_password: Secret
    authority_key: Secret
    start: bool = False
    """Have this host's database running first: it was started for the cluster that this agent has just come to."""


def synchronize(run: Run, params: SyncParams, *, quiet: bool = False) -> None:
    """Keep the passwords, wait until this host's database shows the cluster's tables, copy the members.

    ``quiet``: without the lines of *Synchronize agent from cluster*, for a step that has its own words for it."""
    say = (lambda _: None) if quiet else run.log
    local, link = run.use(LocalAgent), run.use(ClusterLink)
    instance = local.instance()
    if params.start and instance is not None:
        have_running(run, instance)
    say("try to connect")
    local.remember(store_password=params.store_password)
    why = ["nothing yet"]

    def seen() -> tuple[list[Member], Mapping[str, Any]] | None:
        """Members and facts; a replica shows one table before the other."""
        try:
            members, facts = link.members_here(), link.facts_here()
        except OboeError as error:
            why[0] = error.message
            return None
        return (members, facts) if members and "cluster_id" in facts else None

    members, facts = run.wait_until(seen, why=lambda: f"this host's database to show the members: {why[0]}", timeout=120, every=0.05)
    local.remember(root_password=params.root_password, authority_key=params.authority_key)
    say("connect succeed, dump password")
    say("synchronize agent from oceanbase")
    local.replace_members(members)
    local.remember(cluster_id=int(facts["cluster_id"]), cluster_name=str(facts.get("cluster_name", "")))
    say("sync agent data")


class Synchronize(Step):
    """Copy what the cluster knows."""

    resumable = True
    timeout = 300

    def run(self, run: Run) -> None:
        synchronize(run, run.params(SyncParams))

    def rollback(self, run: Run) -> None:
        """Nothing: what was copied is forgotten when the agent leaves, and copied again when it stays."""


@playbook(
    "Synchronize agent from cluster",
    home=HomeKind.AGENT,
    params=SyncParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="Initialize cluster",
)
def sync_from_cluster(params: SyncParams, sketch: Sketch) -> None:
    """Bring this agent up to what its cluster knows."""
    sketch.stage("Synchronize agent from cluster", Synchronize)
