"""What happens after an agent was asked for something: a preview is shown, a dag is followed to its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from oboe.cli.client import API, OWN, AgentClient
from oboe.cli.dags import FAILED, DagShown
from oboe.cli.failure import AnswerError, Exit
from oboe.cli.session import Session, print_json
from oboe.domain.errors import OboeError, Refused

__all__ = ["follow", "require_oboe", "show_preview", "submitted"]


def require_oboe(client: AgentClient) -> None:
    """A vendor's agent ignores ``dry_run`` and would carry the request out: refuse to send it there."""
    try:
        answer = client.public(f"{OWN}/ready").data
    except (AnswerError, Refused):
        answer = None
    if not isinstance(answer, Mapping) or "ready" not in answer:
        raise Refused(
            "dry_run.not_oboe", f"agent {client.address} is not oboe's: it would carry this out", hint="leave out --dry-run if you mean it"
        )


def submitted(
    session: Session,
    client: AgentClient,
    path: str,
    body: Mapping[str, Any] | None,
    *,
    dry_run: bool,
    wait: bool,
    method: str = "POST",
) -> None:
    """Ask for an operation that makes a dag; then follow it, name it, or show what it would do."""
    if dry_run:
        require_oboe(client)
        show_preview(session, client.request(method, path, query={"dry_run": "true"}, body=body).data)
        return
    made = client.request(method, path, body=body).data
    if made is None:
        print_json(None) if session.as_json else click.echo("nothing to do")
    elif wait:
        follow(session, client, str(made["id"]))
    elif session.as_json:
        print_json(made)
    else:
        click.echo(f"{made['id']}  {made['name']}")


def follow(session: Session, client: AgentClient, dag_id: str, *, history: bool = True) -> None:
    """Draw a dag until it ends, from its beginning or (without ``history``) from now on.

    A FAILED one ends the command with `Exit.DAG_FAILED` and says what can be done."""
    from oboe.cli.draw import draw
    from oboe.cli.listening import Listener
    from oboe.cli.watch import Watch

    watch = Watch(client, dag_id, settings=session.settings, pause=Listener(client, dag_id).pause)
    try:
        last = draw(watch.changes(), as_json=session.as_json, history=history).dag
    except KeyboardInterrupt:
        if not session.as_json:
            click.echo(f"oboe: it goes on - `oboe task watch {dag_id}` follows it again, `oboe task cancel {dag_id}` stops it", err=True)
        raise
    if last.state == FAILED:
        if not session.as_json:
            click.echo(_what_now(client, last), err=True)
        raise SystemExit(int(Exit.DAG_FAILED))


def _what_now(client: AgentClient, dag: DagShown) -> str:
    failed = next((node for node in dag.nodes if node.state == FAILED), None)
    reason = f" in {failed.name!r}: {failed.last_line}" if failed else ""
    accepted = [f"`oboe task {operator} {dag.id}`" for operator in _accepted(client, dag)]
    they = "they" if len(accepted) > 1 else "it"
    ways = f"{' or '.join(accepted)}; --dry-run shows what {they} would do" if accepted else f"`oboe task show {dag.id}` shows more"
    return f"oboe: {dag.name} {dag.outcome}{reason} - {ways}"


def _accepted(client: AgentClient, dag: DagShown) -> list[str]:
    """What the agent would carry out: retry and rollback, or else pass. A vendor's agent cannot be asked without doing it."""
    try:
        require_oboe(client)
    except OboeError:
        return ["retry", "rollback"]
    return [each for each in ("retry", "rollback") if _would(client, dag, each)] or [
        each for each in ("pass",) if _would(client, dag, each)
    ]


def _would(client: AgentClient, dag: DagShown, operator: str) -> bool:
    try:
        client.post(f"{API}/task/dag/{dag.id}", {"operator": operator.upper()}, dry_run="true")
    except OboeError:
        return False
    return True


def show_preview(session: Session, preview: Any) -> None:
    """What would happen, node by node."""
    if session.as_json:
        print_json(preview)
        return
    if preview is None:
        click.echo("nothing to do")
        return
    from rich.table import Table

    from oboe.cli.draw import console

    table = Table(box=None, pad_edge=False)
    for column in ("", "node", "agents", "detail"):
        table.add_column(column, overflow="fold")
    for each in preview.get("effects") or []:
        table.add_row(each.get("action", ""), each.get("node", ""), "\n".join(each.get("agents") or []), each.get("detail", ""))
    out = console()
    out.print(f"{preview.get('name', '')}: a dry run, nothing has been touched")
    out.print(table)
    for note in preview.get("notes") or []:
        out.print(f"  {note}")
