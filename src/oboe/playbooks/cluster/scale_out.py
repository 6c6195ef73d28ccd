"""*Cluster scale out*: add a member, with a database cloned from the primary.

Kept by the cluster, carried out on its maintainer. The joining agent's half is *Local scale out*, which this dag creates, tells
``deploy``, ``start`` and ``finish``, and has undone when it is rolled back itself.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from oboe.database.port import Instance
from oboe.domain.errors import StepFailed, Unreachable
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.kit.run import Child
from oboe.membership.enlisting import Enlisting
from oboe.membership.given_up import give_up, take_back
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import member_from_row
from oboe.membership.server_row import ServerRow
from oboe.membership.verbs import Configure, ConfigureAnswer
from oboe.playbooks.agent.local_scale_out import LocalScaleOutParams
from oboe.playbooks.agent.observer import DestroyParams
from oboe.playbooks.agent.remove import ToSingleParams
from oboe.playbooks.agent.sync_from_cluster import SyncParams
from oboe.playbooks.cloning import check_follows, local_secret, wait_until_advances, wait_until_clonable, workdir_for
from oboe.playbooks.leading import child_from, child_id, copy_lines, follow_node, lead_to_end, reach, release_strays, undo_child

__all__ = ["ScaleOutParams", "cluster_scale_out"]


GONE_SECONDS = 30.0
"""How long an undo looks for the joining agent before it takes it for gone."""


class ScaleOutParams(msgspec.Struct):
    agent: str
    """``ip:port`` of the joining agent."""
    zone: str
    new_zone: bool
    settings: dict[str, str]
    agent_password: Secret
    target: dict[str, Any]
    """The joining agent's member row, as it offered itself; empty where it refused the password: the first node says so."""


class _ScaleOutStep(Step):
    """Catalogue flags: continue, retry, rollback; never cancelled, never passed."""

    resumable = True
    cancellable = False
    timeout = 1800


class IntegrateServerConfig(_ScaleOutStep):
    """Give the joining agent its certificate, let it in, and fix the shape of its database."""

    def run(self, run: Run) -> dict[str, Any]:
        params = run.params(ScaleOutParams)
        agent = Address.parse(params.agent)
        row = run.use(Enlisting).accept(agent, params.agent_password)
        taken = [port for row in run.use(ClusterLink).servers() if row.ip == agent.ip for port in (row.sql_port, row.rpc_port)]
        answer = reach(run, agent, "instance.configure", Configure(params.settings, params.zone, taken), ConfigureAnswer)
        for warning in answer.warnings:
            run.warn(warning)
        return {"instance": msgspec.to_builtins(answer.instance), "version": member_from_row(row).version, "target": row}

    def rollback(self, run: Run) -> None:
        """The joining agent forgets the cluster and its certificate."""
        _expect_joiner(run)
        run.use(Enlisting).dismiss(Address.parse(run.params(ScaleOutParams).agent))


class CreateTwin(_ScaleOutStep):
    """Create *Local scale out* on the joining agent."""

    def run(self, run: Run) -> dict[str, Any]:
        params = run.params(ScaleOutParams)
        agent = _joiner(run)
        primary = run.use(ClusterLink).primary()
        twin = LocalScaleOutParams(
            zone=params.zone,
            uuid=str(uuid.UUID(hex=run.dag_key)),
            main_dag_id=run.dag_id,
            workdir=workdir_for(run, _instance(run)),
            source=str(primary.endpoint),
            sync=SyncParams(
                root_password=local_secret(run, "root_password"),
                store_password=local_secret(run, "store_password"),
                authority_key=local_secret(run, "authority_key"),
                start=True,
            ),
        )
        child = run.lead(agent, "Local scale out", twin, name="Local scale out")
        run.log(f"create local scale out dag success, genericID:{child_id(run, child)}")
        return {"agent": str(child.agent), "dag_key": child.dag_key, "dag_id": child.dag_id}

    def rollback(self, run: Run) -> None:
        """The twin is undone: its database ended, its directories removed, its agent SINGLE."""
        _expect_joiner(run)
        agent, kept = _joiner(run), run.own_result
        if kept is None:
            release_strays(run, agent)
            return
        undone = undo_child(run, child_from(kept), timeout=600)
        run.log("try rollback coordinate dag successfully")
        if undone:
            return
        lead_to_end(run, agent, "Destroy observer workdir", DestroyParams(_instance(run)), timeout=300)
        lead_to_end(run, agent, "Agent to single", ToSingleParams(str(run.here)), timeout=60)


class WaitReady(_ScaleOutStep):
    """Until the joining agent took its new identity."""

    def run(self, run: Run) -> None:
        follow_node(run, _twin(run), "Be scaling agent", timeout=120, retry=run.attempt > 1)
        run.log("local scale out dag task Be scaling agent is succeed")

    def rollback(self, run: Run) -> None:
        """The twin is undone as a whole."""


class WaitDeploy(_ScaleOutStep):
    """Until its directories and certificates are there."""

    def run(self, run: Run) -> None:
        twin = _twin(run)
        run.tell(twin, "deploy")
        run.log("retry stage: 2 successfully")
        status = follow_node(run, twin, "Create observer workdir", timeout=600, retry=run.attempt > 1)
        copy_lines(run, "Create observer workdir", status)
        run.log("remote deploy task is succeed")

    def rollback(self, run: Run) -> None:
        """The twin is undone as a whole."""


class WaitStart(_ScaleOutStep):
    """Until its database is a clone that follows the primary. A primary that is too young is waited for, and the log says so."""

    def run(self, run: Run) -> None:
        twin, link = _twin(run), run.use(ClusterLink)
        agents = [member.address.ip for member in link.members()] + [_instance(run).ip]
        link.let_in(sorted(set(agents)))
        wait_until_clonable(run, link)
        run.tell(twin, "start")
        run.log("retry stage: 4 successfully")
        status = follow_node(run, twin, "Start observer", timeout=1200, retry=run.attempt > 1)
        copy_lines(run, "Start observer", status)
        run.log("remote start observer task is succeed")

    def rollback(self, run: Run) -> None:
        """The twin is undone as a whole."""


class PreviousCheck(_ScaleOutStep):
    """The zone and the primary are still what they were; the new database is a standby that follows."""

    def run(self, run: Run) -> None:
        run.log("PrevCheckTask execute")
        params, link = run.params(ScaleOutParams), run.use(ClusterLink)
        if link.has_zone(params.zone) == params.new_zone:
            raise StepFailed("zone.changed", f"zone {params.zone} {'appeared' if params.new_zone else 'vanished'} meanwhile")
        instance = _instance(run)
        check_follows(run, link, instance.ip, instance.mysql_port)

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class AddZone(_ScaleOutStep):
    """A zone row, INACTIVE: a name for a failure domain."""

    def run(self, run: Run) -> None:
        run.log("AddZoneTask execute")
        run.use(ClusterLink).add_zone(run.params(ScaleOutParams).zone)

    def rollback(self, run: Run) -> None:
        """The zone's row is removed."""
        run.log("AddZoneTask rollback")
        run.use(ClusterLink).remove_zone(run.params(ScaleOutParams).zone)


class StartZone(_ScaleOutStep):
    """The zone is ACTIVE."""

    def run(self, run: Run) -> None:
        run.log("StartZoneTask execute")
        run.use(ClusterLink).set_zone(run.params(ScaleOutParams).zone, "ACTIVE")

    def rollback(self, run: Run) -> None:
        """The zone is INACTIVE."""
        run.log("StartZoneTask rollback")
        run.use(ClusterLink).set_zone(run.params(ScaleOutParams).zone, "INACTIVE")


class AddServer(_ScaleOutStep):
    """A server row, ACTIVE once the standby has advanced twice."""

    def run(self, run: Run) -> None:
        run.log("AddServerTask execute")
        params, link, instance = run.params(ScaleOutParams), run.use(ClusterLink), _instance(run)
        agent = Address.parse(params.agent)
        row = ServerRow(
            ip=instance.ip,
            rpc_port=instance.rpc_port,
            sql_port=instance.mysql_port,
            zone=params.zone,
            agent=agent,
            status="INACTIVE",
            build_version=str(_target(run).get("database_version", "")),
        )
        link.put_server(row)
        wait_until_advances(run, link, instance.ip, instance.mysql_port)
        link.set_server(instance.ip, instance.rpc_port, "ACTIVE")

    def rollback(self, run: Run) -> None:
        """The server's row is removed."""
        instance = _instance(run)
        run.use(ClusterLink).remove_server(instance.ip, instance.rpc_port)


class AddAgent(_ScaleOutStep):
    """A member row."""

    def run(self, run: Run) -> None:
        params, instance = run.params(ScaleOutParams), _instance(run)
        row = _target(run) | {"zone": params.zone, "mysql_port": instance.mysql_port, "database_rpc_port": instance.rpc_port}
        run.use(ClusterLink).put_member(member_from_row(row).become(Identity.CLUSTER_AGENT))

    def rollback(self, run: Run) -> None:
        """The member's row is removed."""
        run.use(ClusterLink).remove_member(Address.parse(run.params(ScaleOutParams).agent))


class CheckFinished(_ScaleOutStep):
    """Tell the twin to finish; the new agent is a CLUSTER AGENT when it has."""

    def run(self, run: Run) -> None:
        run.log("FinishTask execute")
        twin = _twin(run)
        run.tell(twin, "finish")
        follow_node(run, twin, "Sync from observer", timeout=300, retry=run.attempt > 1)
        run.use(ClusterLink).announce_members()
        run.use(LocalAgent).took_in(twin.agent)

    def rollback(self, run: Run) -> None:
        """The twin is undone as a whole."""


@playbook(
    "Cluster scale out",
    home=HomeKind.CLUSTER,
    params=ScaleOutParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster scale-out",
)
def cluster_scale_out(params: ScaleOutParams, sketch: Sketch) -> None:
    """Add a member with a database."""
    sketch.stage("Integrate server config", IntegrateServerConfig)
    sketch.stage("Create local scale out dag", CreateTwin)
    sketch.stage("Wait scale out ready", WaitReady)
    sketch.stage("Wait remote deploy finish", WaitDeploy)
    sketch.stage("Wait remote start finish", WaitStart)
    sketch.stage("Prev check for scale_out", PreviousCheck)
    if params.new_zone:
        sketch.stage("Add new zone for scale_out", AddZone)
        sketch.stage("Start new zone for scale_out", StartZone)
    sketch.stage("Add server for scale_out", AddServer)
    sketch.stage("Add agent for scale_out", AddAgent)
    sketch.stage("Check cluster scale_out whether finished", CheckFinished)


def _instance(run: Run) -> Instance:
    kept = run.result("Integrate server config")
    if kept is None:
        raise StepFailed("instance.unknown", "no database was configured for the new agent")
    return Instance(**kept["instance"])


def _target(run: Run) -> dict[str, Any]:
    """As it offered itself; a dag of before has it in its params alone."""
    kept = run.result("Integrate server config") or {}
    row: dict[str, Any] = kept.get("target") or run.params(ScaleOutParams).target
    return row


def _rpc_port(run: Run, agent: Address) -> int:
    return int(_target(run).get("rpc_port") or run.use(LocalAgent).rpc_port_of(agent))


def _joiner(run: Run) -> Address:
    """The joining agent; a maintainer that took this dag over learns where it listens, and that it may call."""
    agent = Address.parse(run.params(ScaleOutParams).agent)
    run.use(LocalAgent).take_in(agent, _rpc_port(run, agent))
    return agent


def _expect_joiner(run: Run) -> None:
    """Before an undo that needs it. One that is gone is remembered, and the undo fails: a person may wait, or skip it."""
    agent, link, why = _joiner(run), run.use(ClusterLink), [""]

    def answers() -> bool:
        try:
            run.use(Enlisting).info(agent)
        except Unreachable as error:
            why[0] = error.message
            return False
        return True

    try:
        run.wait_until(answers, why=lambda: f"word from {agent}: {why[0]}", timeout=GONE_SECONDS)
    except StepFailed:
        give_up(link, agent, rpc_port=_rpc_port(run, agent), dag_key=run.dag_key)
        leftover = f"{agent} keeps what it was led to do; when it is back, it is told to undo it"
        hint = "ROLLBACK when it is back; SKIP when it is gone for good"
        raise StepFailed("agent.gone", f"{agent} does not answer: {why[0]}", hint=hint, leftover=leftover) from None
    take_back(link, agent)


def _twin(run: Run) -> Child:
    _joiner(run)
    kept = run.result("Create local scale out dag")
    if kept is None:
        raise StepFailed("child.unknown", "there is no local scale out dag")
    return child_from(kept)
