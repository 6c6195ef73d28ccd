"""The command ``oboe``. Its sub-commands are imported when they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import click

from oboe import __version__
from oboe.cli.lazy import LazyGroup

__all__ = ["main", "oboe"]

_COMMANDS = {
    "agent": ("oboe.cli.agent:agent", "Start, stop and look at the agent of this host."),
    "cluster": ("oboe.cli.cluster:cluster", "Make a cluster out of agents, and change it."),
    "task": ("oboe.cli.task:task", "See, follow and operate tasks (dags)."),
    "playbook": ("oboe.cli.playbook:playbook", "See the playbooks of an agent, and run one."),
    "host": ("oboe.cli.host:host", "The machines, and the agents on them."),
    "user": ("oboe.cli.user:user", "Accounts for OCP's API and the dashboard."),
    "completion": ("oboe.cli.completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="oboe")
def oboe() -> None:
    """oboe operates clusters of databases: agents carry out durable tasks, and this command asks them."""


def main(run_agent: Callable[..., int] | None = None) -> None:
    """Run the command line. ``run_agent`` is what ``oboe agent start --foreground`` calls: see `oboe.cli.agent`."""
    oboe(prog_name="oboe", obj=run_agent)
