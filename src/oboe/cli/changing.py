"""``oboe task pause`` and the like: change what a dag waits for. Of oboe's own API; a vendor's agent has nothing of the kind."""

from __future__ import annotations

import getpass
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from oboe.cli.client import OWN, AgentClient
from oboe.cli.dags import local_time
from oboe.cli.failure import AnswerError
from oboe.cli.follow import require_oboe, show_preview
from oboe.cli.naming import resolve
from oboe.cli.session import Session, client_command, dry_run_option, print_json

__all__ = ["COMMANDS", "moment", "print_holds", "read_own", "seconds"]

F = TypeVar("F", bound=Callable[..., Any])

_PARTS = re.compile(r"(\d+(?:\.\d+)?)(d|h|min|m|s)")
_UNITS = {"d": 86_400.0, "h": 3600.0, "min": 60.0, "m": 60.0, "s": 1.0}


def seconds(text: str) -> float:
    """``90s``, ``10m``, ``1h30m``, ``2d``, longer than nothing; a number alone is seconds. `click.BadParameter`."""
    found = _PARTS.findall(text)
    if found and "".join(number + unit for number, unit in found) == text:
        total = sum(float(number) * _UNITS[unit] for number, unit in found)
    else:
        total = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
    if total <= 0:
        raise click.BadParameter(f"{text!r} is no duration: 90s, 10m, 1h30m, 2d")
    return total


def moment(text: str, *, now: datetime | None = None) -> str:
    """A time as RFC 3339: ``HH:MM[:SS]`` (the next one), a date with it, RFC 3339, or ``+2h`` from now; without an offset it is this
    host's zone."""
    now = now or datetime.now().astimezone()
    if text.startswith("+"):
        return (now + timedelta(seconds=seconds(text[1:]))).isoformat()
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d)?", text):
            hour, minute, second = (*(int(part) for part in text.split(":")), 0)[:3]
            found = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return (found if found > now else found + timedelta(days=1)).isoformat()
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no time: 14:30, 2030-01-31 14:30, 2030-01-31T14:30:00Z, +2h") from None
    return (found if found.tzinfo else found.astimezone()).isoformat()


def _until(text: str | None) -> dict[str, Any]:
    """``+10m`` is from now, by the agent's clock."""
    if not text:
        return {}
    return {"seconds": seconds(text[1:])} if text.startswith("+") else {"until": moment(text)}


def _me() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user without a name
        return socket.gethostname()


def _who_option(command: F) -> F:
    return click.option("--who", default=None, help="Who asks, for the record (USER@HOST of this process).")(command)


def _change(session: Session, task_id: str, what: str, body: Mapping[str, Any], *, dry_run: bool, done: str, who: str | None) -> None:
    asked = {**({} if who == "" else {"who": who or _me()}), **body}
    with session.client() as client:
        dag_id = resolve(client, task_id)
        path = f"{OWN}/dags/{dag_id}/{what}"
        if dry_run:
            require_oboe(client)
            show_preview(session, client.post(path, asked, dry_run="true").data)
            return
        client.post(path, asked)
        if session.as_json:
            print_json(client.get(f"{OWN}/dags/{dag_id}").data)
            return
        click.echo(done)
        print_holds(read_own(client, dag_id))


def read_own(client: AgentClient, dag_id: str) -> Mapping[str, Any]:
    """What oboe's own API says of a dag; empty where the agent is not oboe's."""
    from oboe.domain.errors import Refused

    try:
        return client.get(f"{OWN}/dags/{dag_id}").data or {}
    except AnswerError as error:
        if error.status in (404, 405):
            return {}
        raise
    except Refused:  # a vendor's agent answers unknown paths with its web page
        return {}


def print_holds(told: Mapping[str, Any]) -> None:
    """Who holds the dag, who approved what, how sub-tasks are retried and when they give up."""
    for hold in told.get("holds") or []:
        click.echo(f"  … waits: {hold['text']}")
    for each in told.get("approvals") or []:
        click.echo(f"  approved  {each['name']}: by {each['who']} at {local_time(each['at'])}: {each['why']}")
    for each in told.get("gone") or []:
        click.echo(f"  gone      {each['agent']}: says {each['who']} at {each['at'][:19]}: {each['why']}")
    for each in told.get("sub_tasks") or []:
        if each["retries_used"] or (each["retries"] and each["state"] == "RUNNING"):
            click.echo(f"  retries   {each['node']}: {each['retries_used']} of {each['retries']} used")
    nodes = Counter(each["node"] for each in told.get("sub_tasks") or [])
    names = {each["id"]: _named(each, alone=nodes[each["node"]] == 1) for each in told.get("sub_tasks") or []}
    for each in told.get("timers") or []:
        if each["kind"] == "timeout":
            click.echo(f"  times out {names.get(each['sub_task'], each['sub_task'])}: {local_time(each['at'])}")


def _named(sub_task: Mapping[str, Any], *, alone: bool) -> str:
    """As `extend` and `retries` take it."""
    return str(sub_task["node"]) if alone or not sub_task["agent"] else f"{sub_task['node']}@{sub_task['agent']}"


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--why", required=True, help="The reason; it is shown to whoever looks.")
@click.option("--until", metavar="TIME", help="When it goes on by itself: 14:30, a date and time, or +2h.")
@_who_option
@dry_run_option
@client_command
def pause(session: Session, task_id: str, *, why: str, until: str | None, who: str | None, dry_run: bool) -> None:
    """Begin nothing new of a dag; what is under way goes on."""
    _change(session, task_id, "pause", {"why": why, **_until(until)}, dry_run=dry_run, done="paused", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@_who_option
@dry_run_option
@client_command
def resume(session: Session, task_id: str, *, who: str | None, dry_run: bool) -> None:
    """End a pause."""
    _change(session, task_id, "resume", {}, dry_run=dry_run, done="resumed", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@click.argument("node")
@click.option("--why", required=True, help="The reason, for the record.")
@_who_option
@dry_run_option
@client_command
def approve(session: Session, task_id: str, node: str, *, why: str, who: str | None, dry_run: bool) -> None:
    """Let a NODE begin that waits for a person. NODE is its name, its number from 1, or its id."""
    _change(session, task_id, "approve", {"node": node, "why": why}, dry_run=dry_run, done=f"approved {node}", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@click.argument("sub_task")
@click.option("--by", metavar="DURATION", help="So much longer than it has now: 90s, 10m, 1h30m.")
@click.option("--until", metavar="TIME", help="Until then: 14:30, or a date and time.")
@_who_option
@dry_run_option
@client_command
def extend(session: Session, task_id: str, sub_task: str, *, by: str | None, until: str | None, who: str | None, dry_run: bool) -> None:
    """Give a running SUB_TASK, and what it waits for, more time. SUB_TASK is an id, NODE, or NODE@AGENT."""
    if (by is None) is (until is None):
        raise click.UsageError("give --by or --until")
    if until is not None and until.startswith("+"):
        raise click.UsageError("--until takes a time; --by a duration")
    more = {"seconds": seconds(by)} if by is not None else _until(until)
    _change(session, task_id, "extend", {"sub_task": sub_task, **more}, dry_run=dry_run, done=f"extended {sub_task}", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@click.argument("sub_task")
@click.argument("count", metavar="N", type=click.IntRange(min=0))
@_who_option
@dry_run_option
@client_command
def retries(session: Session, task_id: str, sub_task: str, count: int, *, who: str | None, dry_run: bool) -> None:
    """Let a SUB_TASK be retried N times by itself, counted from now. SUB_TASK is an id, NODE, or NODE@AGENT."""
    body = {"sub_task": sub_task, "retries": count}
    _change(session, task_id, "retries", body, dry_run=dry_run, done=f"{sub_task}: {count} automatic retries", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@click.argument("gone_agent", metavar="IP:PORT")
@click.option("--why", required=True, help="The reason, for the record.")
@_who_option
@dry_run_option
@client_command
def gone(session: Session, task_id: str, gone_agent: str, *, why: str, who: str | None, dry_run: bool) -> None:
    """Wait no longer for an agent that will not come back: what it has under way is FAILED, and may be passed or skipped."""
    _change(session, task_id, "gone", {"agent": gone_agent, "why": why}, dry_run=dry_run, done=f"does without {gone_agent}", who=who)


@click.command()
@click.argument("task_id", metavar="ID")
@click.argument("sub_task")
@dry_run_option
@client_command
def skip(session: Session, task_id: str, sub_task: str, *, dry_run: bool) -> None:
    """Do without a failed SUB_TASK: take it as done or, in a rollback, as undone. SUB_TASK is an id, NODE, or NODE@AGENT."""
    _change(session, task_id, "skip", {"sub_task": sub_task}, dry_run=dry_run, done=f"does without {sub_task}", who="")


COMMANDS = (pause, resume, approve, extend, retries, gone, skip)
