"""*Reinstall OCP agent*: take the agent of a host away and install it anew; its store and identity stay."""

from __future__ import annotations

from oboe.domain.values import HomeKind
from oboe.kit import Sketch, playbook
from oboe.playbooks.host.installing import FinishInstall, InstallAgent, PrepareInstall, UninstallAgent
from oboe.playbooks.host.visit import HostParams, lock_host, prepared_by

__all__ = ["reinstall_ocp_agent"]

_FIRST = "Prepare reinstalling OCP agent"


@playbook("Reinstall OCP agent", home=HomeKind.AGENT, params=HostParams, started_by="oboe host reinstall-agent")
def reinstall_ocp_agent(params: HostParams, sketch: Sketch) -> None:
    """Replace the agent of a host by a package; its store and identity stay, and a rollback brings the version before back."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, PrepareInstall, args=args)
    sketch.stage("Uninstall ocp agent", UninstallAgent, args=args)
    sketch.stage("Install ocp agent", InstallAgent, args=args)
    sketch.stage("Finish reinstalling OCP agent", FinishInstall, args=args)
