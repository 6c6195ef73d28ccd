"""Leaving before there is a cluster: *Remove follower agent*, *Remove all agents*, *Agent to single*."""

from __future__ import annotations

import msgspec

from oboe.domain.errors import OboeError, StepFailed
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.local import LocalAgent
from oboe.playbooks.leading import lead_to_end

__all__ = ["RemoveAllParams", "RemoveFollowerParams", "agent_to_single", "remove_all_agents", "remove_follower_agent"]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


class ToSingleParams(msgspec.Struct):
    """None."""


class RemoveFollowerParams(msgspec.Struct):
    agent: str


class RemoveAllParams(msgspec.Struct):
    followers: list[str]


class _RemoveStep(Step):
    resumable = True
    cancellable = False
    skippable = True
    timeout = 300


class ToSingle(_RemoveStep):
    """Forget the cluster to be."""

    def run(self, run: Run) -> None:
        run.use(LocalAgent).leave()
        run.log("set agent identity to single")


@playbook("Agent to single", home=HomeKind.AGENT, params=ToSingleParams, maintenance=_GLOBAL)
def agent_to_single(params: ToSingleParams, sketch: Sketch) -> None:
    """Become SINGLE, told by the MASTER."""
    sketch.stage("Agent to single", ToSingle)


class RemoveFollower(_RemoveStep):
    """Have the follower become SINGLE; one that cannot be reached fails the step, and may be passed."""

    def run(self, run: Run) -> None:
        try:
            lead_to_end(run, run.agent, "Agent to single", ToSingleParams(), timeout=60)
        except StepFailed:
            raise
        except OboeError as error:
            hint = "RETRY when it answers again, PASS to remove it anyway"
            raise StepFailed(error.code, f"{run.agent} could not be told: {error.message}", hint=hint) from error


class ForgetFollower(_RemoveStep):
    """Take it off the list."""

    def run(self, run: Run) -> None:
        run.use(LocalAgent).remove_member(Address.parse(run.params(RemoveFollowerParams).agent))


@playbook("Remove follower agent", home=HomeKind.AGENT, params=RemoveFollowerParams, maintenance=_GLOBAL)
def remove_follower_agent(params: RemoveFollowerParams, sketch: Sketch) -> None:
    """Remove one FOLLOWER."""
    sketch.name = f"Remove follower agent {params.agent}"
    sketch.stage("Remove follower", RemoveFollower, agents=[Address.parse(params.agent)], parallel=True, at_home=True)
    sketch.stage(sketch.name, ForgetFollower)


class RemoveMaster(_RemoveStep):
    """The MASTER becomes SINGLE."""

    def run(self, run: Run) -> None:
        run.use(LocalAgent).leave()


@playbook("Remove all agents", home=HomeKind.AGENT, params=RemoveAllParams, maintenance=_GLOBAL)
def remove_all_agents(params: RemoveAllParams, sketch: Sketch) -> None:
    """Remove every FOLLOWER, then the MASTER."""
    if params.followers:
        everyone = [Address.parse(text) for text in params.followers]
        sketch.stage("Remove follower", RemoveFollower, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Remove master", RemoveMaster)
