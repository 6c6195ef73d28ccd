"""``oboe task``: see, follow and operate dags. Plain ``/api/v1``, so that a vendor's obshell agent is served as well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from oboe.cli import changing
from oboe.cli.client import API, AgentClient
from oboe.cli.dags import FAILED, DagShown, local_seconds, read_dag
from oboe.cli.failure import AnswerError
from oboe.cli.follow import follow, require_oboe, show_preview
from oboe.cli.naming import dag_path, resolve
from oboe.cli.session import Session, client_command, dry_run_option, print_json, wait_option

__all__ = ["task"]


@click.group()
def task() -> None:
    """See, follow and operate tasks (dags)."""


for _command in changing.COMMANDS:
    task.add_command(_command)


@task.command("list")
@click.option("--all", "everything", is_flag=True, help="Finished ones too.")
@client_command
def list_(session: Session, *, everything: bool) -> None:
    """Show the dags that are not finished, or all of them."""
    with session.client() as client:
        found = _all(client) if everything else client.get(f"{API}/task/dag/unfinish", show_details="false").data
        rows = (found or {}).get("contents") or []
        _say_age(client)
    if session.as_json:
        print_json(rows)
    elif not rows:
        click.echo("no tasks" if everything else "no unfinished tasks; --all shows the finished ones")
    else:
        _print_dags([read_dag(each) for each in rows])


def _say_age(client: AgentClient) -> None:
    """Beside the answer, so that nobody takes an old one for the truth."""
    if client.stale_seconds:
        click.echo(f"as it was {client.stale_seconds:.0f} s ago: the cluster's primary does not answer agent {client.address}", err=True)


def _all(client: AgentClient) -> dict[str, Any]:
    """The cluster's and the agent's own; an agent without a cluster refuses the first with an error of its own."""
    contents: list[Any] = []
    for which in ("ob", "agent"):
        try:
            contents += (client.get(f"{API}/task/dags/{which}", show_details="false").data or {}).get("contents") or []
        except AnswerError as error:
            if which == "agent" or error.status == 401:
                raise
    return {"contents": contents}


def _print_dags(dags: list[DagShown]) -> None:

    from rich.table import Table

    from oboe.cli.draw import console, duration, glyph

    table = Table(box=None, pad_edge=False)
    for column in ("", "id", "name", "stage", "state", "since", "took"):
        table.add_column(column, no_wrap=column in ("", "id", "stage", "took"))
    for dag in sorted(dags, key=lambda each: each.start):
        since = local_seconds(dag.start) if dag.start else ""
        took = duration(dag.end - dag.start) if dag.finished and dag.end >= dag.start > 0 else ""
        table.add_row(glyph(dag.state, dag.operator), dag.id, dag.name, f"{dag.stage}/{dag.stages}", dag.outcome, since, took)
    console().print(table)


@task.command()
@click.argument("task_id", metavar="ID")
@client_command
def show(session: Session, task_id: str) -> None:
    """Show one dag with its nodes. ID may be `ob` or `agent`: the newest maintenance dag of the cluster or of the agent."""
    from oboe.cli.watch import Watch

    with session.client() as client:
        dag_id = resolve(client, task_id)
        look = Watch(client, dag_id, settings=session.settings).look()
        told = {} if look.dag.finished and look.dag.state != FAILED else changing.read_own(client, dag_id)
        _say_age(client)
    if session.as_json:
        print_json({**look.dag.raw, **({"oboe": told} if told else {})})
        return
    from oboe.cli.draw import console, glyph, node_table

    dag, out = look.dag, console()
    out.print(f"{glyph(dag.state, dag.operator)} {dag.name}  {dag.id}  stage {dag.stage}/{dag.stages}  {dag.outcome}")
    out.print(node_table(look, look.now))
    held = {hold["text"] for hold in told.get("holds") or []}
    for reason in look.waits:
        if reason not in held:
            out.print(f"  … waits: {reason}")
    changing.print_holds(told)


@task.command()
@click.argument("task_id", metavar="ID")
@client_command
def watch(session: Session, task_id: str) -> None:
    """Follow a dag to its end: stages, agents, times, log lines, and what it waits for. Exit code 3 when it is FAILED."""
    with session.client() as client:
        follow(session, client, resolve(client, task_id))


@task.command()
@click.argument("task_id", metavar="ID")
@click.option("--node", "node_name", metavar="NAME", help="Only the node of this name or number.")
@click.option("--sub-task", "is_sub_task", is_flag=True, help="ID is a sub-task's: its full records, with times and attempts.")
@click.option("--follow", "-f", "is_followed", is_flag=True, help="Go on until the dag ends.")
@client_command
def logs(session: Session, task_id: str, *, node_name: str | None, is_sub_task: bool, is_followed: bool) -> None:
    """Show the log lines of a dag, node by node."""
    with session.client() as client:
        if is_sub_task:
            _print_records(session, client.get(f"{API}/task/sub_task/{task_id}/logs").data)
            return
        dags = _dags(session, client, task_id) if is_followed else iter([read_dag(client.get(dag_path(task_id), show_details="true").data)])
        shown: dict[str, int] = {}
        for dag in dags:
            for line in _new_lines(dag, shown, node_name):
                print_json(line) if session.as_json else click.echo(f"{line['node']} {line['agent']} │ {line['line']}")


def _dags(session: Session, client: AgentClient, task_id: str) -> Iterator[DagShown]:
    from oboe.cli.listening import Listener
    from oboe.cli.watch import Watch

    dag_id = resolve(client, task_id)
    watch = Watch(client, dag_id, settings=session.settings, pause=Listener(client, dag_id).pause)
    return (look.dag for look in watch.changes())


def _new_lines(dag: DagShown, shown: dict[str, int], wanted: str | None) -> Iterator[dict[str, str]]:
    for index, node in enumerate(dag.nodes, 1):
        if wanted in (None, node.name, str(index), node.id):
            for sub_task in node.sub_tasks:
                for line in sub_task.logs[shown.get(sub_task.id, 0) :]:
                    yield {"node": node.name, "sub_task": sub_task.id, "agent": sub_task.agent, "line": line}
                shown[sub_task.id] = len(sub_task.logs)


def _print_records(session: Session, data: Mapping[str, Any]) -> None:
    for record in data.get("contents") or []:
        if session.as_json:
            print_json(record)
        else:
            click.echo(f"{record.get('create_time')} #{record.get('execute_times')} │ {record.get('log_content')}")


def _operator(name: str, sentence: str) -> None:
    @task.command(name, help=sentence)
    @click.argument("task_id", metavar="ID")
    @dry_run_option
    @wait_option
    @client_command
    def operate(session: Session, task_id: str, *, dry_run: bool, wait: bool) -> None:
        with session.client() as client:
            dag_id = resolve(client, task_id)
            _operate(session, client, f"{API}/task/dag/{dag_id}", name.upper(), dry_run=dry_run)
            if wait and not dry_run:
                follow(session, client, dag_id, history=False)


_operator("retry", "Run the failed nodes of a FAILED dag again, and then what follows.")
_operator("rollback", "Undo a FAILED dag, last node first.")
_operator("cancel", "Stop a running dag; it ends FAILED and can be retried or rolled back.")


@task.command("pass")
@click.argument("task_id", metavar="ID")
@click.option("--node", "is_node", is_flag=True, help="ID is a node's: only that failed node is passed, and its dag goes on.")
@dry_run_option
@wait_option
@client_command
def pass_(session: Session, task_id: str, *, is_node: bool, dry_run: bool, wait: bool) -> None:
    """Declare a FAILED dag, or one node of it, done, without doing it."""
    with session.client() as client:
        if is_node:
            _operate(session, client, f"{API}/task/node/{task_id}", "PASS", dry_run=dry_run)
            return
        dag_id = resolve(client, task_id)
        _operate(session, client, f"{API}/task/dag/{dag_id}", "PASS", dry_run=dry_run)
        if wait and not dry_run:
            follow(session, client, dag_id, history=False)


def _operate(session: Session, client: AgentClient, path: str, operator: str, *, dry_run: bool) -> None:
    body = {"operator": operator}
    if dry_run:
        require_oboe(client)
        show_preview(session, client.post(path, body, dry_run="true").data)
    else:
        client.post(path, body)
