"""*Prepare host*: check a machine and install the agent that is to live there."""

from __future__ import annotations

from oboe.domain.errors import StepFailed
from oboe.domain.values import HomeKind
from oboe.kit import Run, Sketch, playbook
from oboe.playbooks.host.installing import FinishInstall, InstallAgent, PrepareInstall, UninstallAgent
from oboe.playbooks.host.visit import HostParams, HostStep, lock_host, prepared_by

__all__ = ["prepare_host"]

_FIRST = "Pre check for create host"


class CheckHost(PrepareInstall):
    """Python, disk, ports and clock; take the host."""

    timeout = 1800


class RefuseObagent(HostStep):
    """Agents of other products would fight over the same databases. They are not oboe's to remove."""

    timeout = 2100

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            seen, _ = visit.look()
            if seen["legacy"]:
                names = ", ".join(f"{each['name']} ({each['pid']})" for each in seen["legacy"])
                hint = "stop and uninstall it by its own means, then retry"
                raise StepFailed("host.other_agent", f"another product's agent runs on {visit.host.name}: {names}", hint=hint)
            run.log(f"no agent of another product runs on {visit.host.name}")

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class UninstallEarlier(UninstallAgent):
    """An agent that is there already goes out of use."""

    timeout = 600


class UpdateHost(FinishInstall):
    """The agent answers; let the host go."""

    timeout = 1800


@playbook("Prepare host", home=HomeKind.AGENT, params=HostParams, started_by="oboe host install-agent")
def prepare_host(params: HostParams, sketch: Sketch) -> None:
    """Check a machine and install the agent that is to live there."""
    lock_host(params, sketch)
    args = prepared_by(_FIRST, params)
    sketch.stage(_FIRST, CheckHost, args=args)
    sketch.stage("Uninstall legacy obagent", RefuseObagent, args=args)
    sketch.stage("Uninstall legacy ocp agent", UninstallEarlier, args=args)
    sketch.stage("Install ocp agent", InstallAgent, args=args)
    sketch.stage("Update host status", UpdateHost, args=args)
