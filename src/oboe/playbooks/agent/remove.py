"""Leaving before there is a cluster: *Remove follower agent*, *Remove all agents*, *Agent to single*, *Follower remove self*."""

from __future__ import annotations

import msgspec

from oboe.domain.errors import Interrupted, StepFailed, TryAgain, Unreachable
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.local import LocalAgent
from oboe.playbooks.leading import child_id, ended, lead, let_go
from oboe.remote.handshake import Joiner

__all__ = [
    "RemoveAllParams",
    "RemoveFollowerParams",
    "RemoveSelfParams",
    "ToSingleParams",
    "agent_to_single",
    "follower_remove_self",
    "remove_all_agents",
    "remove_follower_agent",
]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)
_TELL_SECONDS = 30.0


class ToSingleParams(msgspec.Struct):
    leader: str
    """``ip:port`` of the agent that has it done, and must hear how it ended."""


class RemoveFollowerParams(msgspec.Struct):
    agent: str


class RemoveAllParams(msgspec.Struct):
    followers: list[str]


class _RemoveStep(Step):
    resumable = True
    cancellable = False
    skippable = True
    timeout = 300
    irreversible = "who was removed joins again"


class ToSingle(_RemoveStep):
    """Forget the cluster to be."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        run.log("clearing ob config")
        run.log("change agent to single agent")
        local.leave(answer_to=Address.parse(run.params(ToSingleParams).leader))
        run.log("set agent to single agent success")


@playbook("Agent to single", home=HomeKind.AGENT, params=ToSingleParams, maintenance=_GLOBAL, started_by="Remove follower agent")
def agent_to_single(params: ToSingleParams, sketch: Sketch) -> None:
    """Become SINGLE, told by the MASTER."""
    sketch.stage("Agent to single", ToSingle)


class RemoveSelfParams(msgspec.Struct):
    master: str


class RemoveSelf(_RemoveStep):
    """Have the MASTER let go. First SINGLE: a FOLLOWER that is none any more would pass requests on to it in vain."""

    def run(self, run: Run) -> None:
        local, master, why = run.use(LocalAgent), Address.parse(run.params(RemoveSelfParams).master), [""]
        if local.identity() is Identity.FOLLOWER:
            local.remember(pending_cluster_key=local.secret("cluster_key"))
            local.leave()

        def told() -> bool:
            try:
                run.use(Joiner).leave(master, local.address, local.secret("pending_cluster_key"))
            except (Unreachable, TryAgain) as error:
                why[0] = error.message
                return False
            return True

        run.log(f"send remove agent request to master, agent: {master}")
        try:
            run.wait_until(told, why=lambda: f"word from {master}: {why[0]}", timeout=_TELL_SECONDS, every=1.0)
        except StepFailed as error:
            hint = f"RETRY when it answers again; PASS when it is gone for good, else remove {local.address} there as well"
            raise StepFailed(error.code, f"{master} could not be told: {why[0]}", hint=hint) from error


class ForgetMaster(_RemoveStep):
    """Forget what the MASTER gave."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        run.log("clearing ob config")
        run.log("change agent to single agent")
        local.leave()
        local.forget("pending_cluster_key")
        run.log("set agent to single agent success")


@playbook("Follower remove self", home=HomeKind.AGENT, params=RemoveSelfParams, maintenance=_GLOBAL, started_by="oboe cluster remove")
def follower_remove_self(params: RemoveSelfParams, sketch: Sketch) -> None:
    """A FOLLOWER becomes SINGLE by itself, also when its MASTER has forgotten it."""
    sketch.stage("Follower remove self", RemoveSelf)
    sketch.stage("Agent to single", ForgetMaster)


class RemoveFollower(_RemoveStep):
    """Have the follower become SINGLE; one that cannot be reached fails the step, and may be passed."""

    def run(self, run: Run) -> None:
        run.log(f"send remove agent request to follower, agent: {run.agent}")
        child = None
        try:
            child = lead(run, run.agent, "Agent to single", ToSingleParams(str(run.here)), name="Agent to single")
            run.log(f"send remove agent request succeed, remote dag id: &{{{child_id(run, child)}}}")
            status = run.watch(child, ended, why=f"{run.agent} to become SINGLE", timeout=60)
            if status.state == "FAILED":
                raise StepFailed("child.failed", f"{run.agent} did not become SINGLE: {'; '.join(status.lines)}")
        except (Unreachable, TryAgain) as error:
            hint = "RETRY when it answers again; PASS of this node (not of the dag) removes it anyway"
            raise StepFailed(error.code, f"{run.agent} could not be told: {error.message}", hint=hint) from error
        except (StepFailed, Interrupted):
            if child is not None:
                let_go(run, child)
            raise


class ForgetFollower(_RemoveStep):
    """Take it off the list."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        agent = Address.parse(run.params(RemoveFollowerParams).agent)
        run.log(f"finding agent {agent} info")
        member = local.member(agent)
        if member is not None:
            run.log(f"get zone '{member.zone}' agents")
            if not any(one.zone == member.zone for one in local.members() if one.address != agent):
                run.log(f"zone '{member.zone}' has no other follower agent, clearing zone and observer config")
                local.drop_settings("ZONE", member.zone)
            local.drop_settings("SERVER", str(agent))
        run.log(f"deleting agent {agent}")
        local.let_go(agent)
        run.log(f"remove follower agent {agent} success")


@playbook(
    "Remove follower agent",
    home=HomeKind.AGENT,
    params=RemoveFollowerParams,
    maintenance=_GLOBAL,
    example=RemoveFollowerParams("10.0.0.2:2886"),
    started_by="oboe cluster remove",
)
def remove_follower_agent(params: RemoveFollowerParams, sketch: Sketch) -> None:
    """Remove one FOLLOWER."""
    sketch.name = f"Remove follower agent {params.agent}"
    sketch.stage("Remove follower", RemoveFollower, agents=[Address.parse(params.agent)], parallel=True, at_home=True)
    sketch.stage(sketch.name, ForgetFollower)


class RemoveMaster(_RemoveStep):
    """The MASTER becomes SINGLE."""

    def run(self, run: Run) -> None:
        run.use(LocalAgent).leave()


@playbook(
    "Remove all agents",
    home=HomeKind.AGENT,
    params=RemoveAllParams,
    maintenance=_GLOBAL,
    example=RemoveAllParams(["10.0.0.2:2886", "10.0.0.3:2886"]),
    started_by="oboe cluster remove",
)
def remove_all_agents(params: RemoveAllParams, sketch: Sketch) -> None:
    """Remove every FOLLOWER, then the MASTER."""
    if params.followers:
        everyone = [Address.parse(text) for text in params.followers]
        sketch.stage("Remove follower", RemoveFollower, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Remove master", RemoveMaster)
