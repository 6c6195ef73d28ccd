"""How a command ends badly: one line on stderr, with a hint, and a documented exit code."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import NoReturn

import click

from oboe.domain.errors import OboeError, TryAgain, Unreachable

__all__ = ["AnswerError", "Exit", "end_with", "exit_code"]


class Exit(IntEnum):
    """Exit codes; `docs/cli.md` says them to people. 2 is Click's: the command line itself is wrong."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    DAG_FAILED = 3
    UNREACHABLE = 4
    UNAUTHORIZED = 5
    TIMED_OUT = 6
    NOT_READY = 7
    NOT_RUNNING = 8
    INTERRUPTED = 130


class AnswerError(OboeError):
    """An agent answered with an error. ``status`` is HTTP's, ``code`` the dotted one, ``number`` the legacy one (0: none)."""

    def __init__(self, status: int, code: str, message: str, *, number: int = 0, hint: str = "") -> None:
        told = status != 401 and message.endswith(")")  # an oboe agent's message ends with a hint of its own
        super().__init__(code, message, hint=hint or ("" if told else _HINTS.get(code, "")))
        self.status = status
        self.number = number


_PASSWORD = "give the root password in OBOE_PASSWORD or with --password-file"
_HINTS = {
    "Security.Authentication.IncorrectOceanbasePassword": _PASSWORD,
    "Security.Authentication.IncorrectAgentPassword": "give the agent's password in OBOE_PASSWORD or with --password-file",
    "Security.Authentication.WithAgentPassword": "this agent has a password of its own: give that one",
    "Security.Authentication.Expired": "compare the clocks of this host and of the agent's",
    "Task.NotFound": "`oboe task list --all` shows the tasks that there are",
    "Task.GenericID.Invalid": "`oboe task list` shows ids",
    "Task.Dag.Operator.RetryNotFailedDag": "only a FAILED dag can be retried; `oboe task watch` shows how it goes on",
    "Task.Dag.Operator.RollbackNotFailedDag": "only a FAILED dag can be rolled back; cancel it first",
    "Task.Dag.Operator.PassNotFailedDag": "only a FAILED dag can be passed",
    "OB.Cluster.UnderMaintenanceWithDag": "`oboe task list` shows the dag that holds the cluster",
    "OB.Cluster.UnderMaintenance": "`oboe task list` shows the dag that holds the cluster",
    "Agent.UnderMaintenance": "`oboe task list` shows the dag that holds the agent",
}


def exit_code(error: OboeError) -> Exit:
    if isinstance(error, AnswerError):
        return Exit.UNAUTHORIZED if error.status == 401 else Exit.REFUSED
    if isinstance(error, Unreachable):
        return Exit.UNREACHABLE
    if isinstance(error, TryAgain):
        return Exit.TIMED_OUT
    return Exit.REFUSED


def end_with(error: OboeError, *, as_json: bool) -> NoReturn:
    """Say it on one line of stderr and leave."""
    code = exit_code(error)
    if as_json:
        told = {"error": {"code": error.code, "message": error.message, "hint": error.hint, "exit": int(code)}}
        click.echo(json.dumps(told, ensure_ascii=False), err=True)
    else:
        message = " ".join(error.message.split())
        click.echo(f"oboe: {message} [{error.code}]" + (f" - {error.hint}" if error.hint else ""), err=True)
    raise SystemExit(int(code))
