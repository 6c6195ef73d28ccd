"""*Start OB*: start databases of the cluster; kept by the asked agent, so it works while there is no cluster to keep it in."""

from __future__ import annotations

from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind
from oboe.kit import Run, Sketch, playbook
from oboe.membership.owed import Owed
from oboe.playbooks import gathering
from oboe.playbooks.agent.together import START
from oboe.playbooks.gathering import GatheringParams

__all__ = ["start_ob"]


class _Start:
    informed = "Inform all agents to start observer"
    playbook = START
    work = "Execute start observer sql"


class InformStart(_Start, gathering.Inform):
    """Have an agent make its part, which holds it."""


class MakeSureStart(_Start, gathering.MakeSure):
    """Every agent waits for the word to begin."""


class AdvanceStart(_Start, gathering.Advance):
    """Give the word."""


class WaitStart(_Start, gathering.WaitAll):
    """Until the database serves."""


class StartZone(gathering.MainStep):
    """The zones are ACTIVE in the cluster's tables, as soon as they can be told."""

    def run(self, run: Run) -> None:
        run.log("start zone")
        for zone in run.params(GatheringParams).zones:
            run.use(Owed).zone(zone, "ACTIVE")
            run.log(f"{zone} started")


class EndStart(gathering.End):
    """Let every agent go."""


_STEPS = gathering.Steps(InformStart, MakeSureStart, AdvanceStart, WaitStart, EndStart)


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
    gathering.draw(sketch, params, _STEPS, after_work=[("Start Zone", StartZone)] if params.zones else [])
