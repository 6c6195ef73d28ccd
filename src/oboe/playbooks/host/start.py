"""*Start OCP agent*: start the agent that is installed on a host."""

from __future__ import annotations

from oboe.domain.values import HomeKind
from oboe.kit import Sketch, playbook
from oboe.playbooks.host.service import Finish, PrepareStart, StartAgent
from oboe.playbooks.host.visit import HostParams, lock_host, prepared_by

__all__ = ["start_ocp_agent"]

_FIRST = "Prepare start OCP agent"


@playbook("Start OCP agent", home=HomeKind.AGENT, params=HostParams, started_by="oboe host start-agent")
def start_ocp_agent(params: HostParams, sketch: Sketch) -> None:
    """Start the agent that is installed on a host; again is harmless."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, PrepareStart, args=args)
    sketch.stage("Start all OCP agent processes", StartAgent, args=args)
    sketch.stage("Finish OCP agent operation", Finish, args=args)
