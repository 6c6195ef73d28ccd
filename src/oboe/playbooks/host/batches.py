"""*Batch restart* and *Batch stop OCP agent*: the same for many hosts, one layer of steps after the other."""

from __future__ import annotations

from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Sketch, Step, playbook
from oboe.playbooks.host.service import CheckLogin, Finish, FinishStopped, Prepare, StartAgent, StopAgent, WaitNode
from oboe.playbooks.host.visit import HostsParams

__all__ = ["batch_restart_ocp_agent", "batch_stop_ocp_agent"]

_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)


@playbook(
    "Batch restart OCP agent", home=HomeKind.AGENT, params=HostsParams, maintenance=_GLOBAL, started_by="oboe host restart-agent NAME NAME…"
)
def batch_restart_ocp_agent(params: HostsParams, sketch: Sketch) -> None:
    """Stop and start the agents of several hosts."""
    _layers(
        params,
        sketch,
        ("Prepare restart OCP agent", Prepare),
        ("Restart pos proxy", CheckLogin),
        ("Stop all OCP agent processes", StopAgent),
        ("Start all OCP agent processes", StartAgent),
        ("Finish OCP agent operation", Finish),
    )


@playbook(
    "Batch stop OCP agent", home=HomeKind.AGENT, params=HostsParams, maintenance=_GLOBAL, started_by="oboe host stop-agent NAME NAME…"
)
def batch_stop_ocp_agent(params: HostsParams, sketch: Sketch) -> None:
    """End the agents of several hosts."""
    _layers(
        params,
        sketch,
        ("Prepare stop OCP agent", Prepare),
        ("Stop all OCP agent processes", StopAgent),
        ("Finish OCP agent operation", FinishStopped),
    )


def _layers(params: HostsParams, sketch: Sketch, *layers: tuple[str, type[Step]]) -> None:
    """A sub-task for each host, and a barrier between two layers."""
    count, first = len(params.hosts), 0
    for number, (name, step) in enumerate(layers):
        if number:
            sketch.stage("Wait node", WaitNode)
            first += 1
        args = {"prepared": layers[0][0], "hosts": params.hosts, "first": first}
        sketch.stage(name, step, agents=(None,) * count, parallel=True, args=args)
        first += count
