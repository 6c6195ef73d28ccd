"""*Restart OCP agent*: stop and start the agent of a host."""

from __future__ import annotations

from oboe.domain.values import HomeKind
from oboe.kit import Sketch, playbook
from oboe.playbooks.host.service import CheckLogin, Finish, Prepare, StartAgent, StopAgent
from oboe.playbooks.host.visit import HostParams, lock_host, prepared_by

__all__ = ["restart_ocp_agent"]

_FIRST = "Prepare restart OCP agent"


@playbook("Restart OCP agent", home=HomeKind.AGENT, params=HostParams, started_by="oboe host restart-agent")
def restart_ocp_agent(params: HostParams, sketch: Sketch) -> None:
    """Stop and start the agent of a host; its databases go on."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, Prepare, args=args)
    sketch.stage("Restart pos proxy", CheckLogin, args=args)
    sketch.stage("Stop all OCP agent processes", StopAgent, args=args)
    sketch.stage("Start all OCP agent processes", StartAgent, args=args)
    sketch.stage("Finish OCP agent operation", Finish, args=args)
