"""*Stop OCP agent*: end the agent of a host."""

from __future__ import annotations

from oboe.domain.values import HomeKind
from oboe.kit import Sketch, playbook
from oboe.playbooks.host.service import FinishStopped, Prepare, StopAgent
from oboe.playbooks.host.visit import HostParams, lock_host, prepared_by

__all__ = ["stop_ocp_agent"]

_FIRST = "Prepare stop OCP agent"


@playbook("Stop OCP agent", home=HomeKind.AGENT, params=HostParams, started_by="oboe host stop-agent")
def stop_ocp_agent(params: HostParams, sketch: Sketch) -> None:
    """End the agent of a host; its databases go on."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, Prepare, args=args)
    sketch.stage("Stop all OCP agent processes", StopAgent, args=args)
    sketch.stage("Finish OCP agent operation", FinishStopped, args=args)
