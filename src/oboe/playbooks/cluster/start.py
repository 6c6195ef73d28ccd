"""*Start OB*: start databases of the cluster; kept by the asked agent, so it works while there is no cluster to keep it in."""

from __future__ import annotations

from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind
from oboe.kit import Run, Sketch, playbook
from oboe.membership.owed import Owed
from oboe.playbooks import gathering
from oboe.playbooks.agent.together import START
from oboe.playbooks.gathering import GatheringParams

__all__ = ["start_ob"]

_INFORM = "Inform all agents to start observer"


class InformStart(gathering.Inform):
    """Have an agent make its part, which holds it."""

    playbook = START


class MakeSureStart(gathering.MakeSure):
    """Every agent waits for the word to begin."""

    informed = _INFORM


class AdvanceStart(gathering.Advance):
    """Give the word."""

    informed = _INFORM


class WaitStart(gathering.WaitAll):
    """Until the database serves."""

    informed = _INFORM
    playbook = START
    work = "Execute start observer sql"


class StartZone(gathering.Advance):
    """The zones are ACTIVE in the cluster's tables, as soon as they can be told."""

    informed = _INFORM

    def run(self, run: Run) -> None:
        run.log("start zone")
        for zone in run.params(GatheringParams).zones:
            run.use(Owed).zone(zone, "ACTIVE")
            run.log(f"{zone} started")


class EndStart(gathering.End):
    """Let every agent go."""


@playbook(
    "Start OB",
    home=HomeKind.AGENT,
    params=GatheringParams,
    maintenance=Maintenance(),
    started_by="oboe cluster start",
    example=GatheringParams(["10.0.0.1:2886", "10.0.0.2:2886"], ["10.0.0.2:2886"], ["zone2"], []),
)
def start_ob(params: GatheringParams, sketch: Sketch) -> None:
    """Start databases of the cluster."""
    everyone = [Address.parse(text) for text in params.agents]
    sketch.stage(_INFORM, InformStart, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Make sure all agents are ready", MakeSureStart)
    sketch.stage("Advance agents to execute the task", AdvanceStart)
    sketch.stage("Wait for all agents to execute tasks successfully", WaitStart, agents=everyone, parallel=True, at_home=True)
    if params.zones:
        sketch.stage("Start Zone", StartZone)
    sketch.stage("Inform all agents to end the task", EndStart)
