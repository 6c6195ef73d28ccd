"""*Uninstall OCP agent*: stop the agent of a host and remove what was installed; its home stays."""

from __future__ import annotations

from oboe.domain.values import HomeKind
from oboe.kit import Sketch, playbook
from oboe.playbooks.host.installing import FinishUninstall, PrepareUninstall, UninstallAgent
from oboe.playbooks.host.visit import HostParams, lock_host, prepared_by

__all__ = ["uninstall_ocp_agent"]

_FIRST = "Prepare uninstalling OCP agent"


@playbook("Uninstall OCP agent", home=HomeKind.AGENT, params=HostParams, started_by="oboe host uninstall-agent")
def uninstall_ocp_agent(params: HostParams, sketch: Sketch) -> None:
    """Stop the agent of a host and remove its installation; databases go on, and the agent's home stays."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, PrepareUninstall, args=args)
    sketch.stage("Uninstall ocp agent", UninstallAgent, args=args)
    sketch.stage("Finish uninstalling OCP agent", FinishUninstall, args=args)
