"""``oboe playbook``: which playbooks an agent knows, what they take and do, and to run one."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from oboe.cli.changing import moment
from oboe.cli.client import OWN
from oboe.cli.follow import show_preview, submitted
from oboe.cli.session import Session, client_command, dry_run_option, print_json, read_secret, wait_option
from oboe.domain.errors import Refused

__all__ = ["playbook"]


@click.group()
def playbook() -> None:
    """See the playbooks of an agent, and run one."""


@playbook.command("list")
@client_command
def list_(session: Session) -> None:
    """Show every playbook that the agent has loaded, and what did not load."""
    with session.client() as client:
        books = client.get(f"{OWN}/playbooks").data["contents"]
        unloaded = (client.public(f"{OWN}/ready").data or {}).get("playbooks") or []
    if session.as_json:
        print_json({"playbooks": books, "unloaded": unloaded})
        return
    from rich.table import Table

    from oboe.cli.draw import console

    table = Table(box=None, pad_edge=False)
    for column in ("name", "home", "from", "does"):
        table.add_column(column, no_wrap=column != "does")
    for book in books:
        table.add_row(book["name"], book["home"].lower(), book["source"], book["doc"].split("\n")[0])
    console().print(table)
    for text in unloaded:
        click.echo(f"  ! not loaded: {text}", err=True)


@playbook.command()
@click.argument("name")
@client_command
def show(session: Session, name: str) -> None:
    """Show what a playbook does, its params, and its plan where none of them must be given."""
    with session.client() as client:
        book = client.get(f"{OWN}/playbooks/{name}").data
    if session.as_json:
        print_json(book)
        return
    starts = book["started_by"] or f'oboe playbook run "{book["name"]}"'
    click.echo(f"{book['name']}  ({book['source']}; kept by the {book['home'].lower()}; started by {starts})\n{book['doc']}\n\nparams")
    needed = book["params"].get("required") or []
    rows = []
    for param, schema in _params(book).items():
        default = json.dumps(schema.get("default"), ensure_ascii=False)
        told = "needed" if param in needed else f"default {default}" if default != "null" else ""
        rows.append((param, _type(schema), told, schema.get("description", "")))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        click.echo("  " + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    if book["plan"] is not None:
        click.echo("")
        show_preview(session, book["plan"])


@playbook.command()
@click.argument("places", metavar="DIR_OR_FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def check(places: Sequence[Path], *, as_json: bool) -> None:
    """Load playbooks as an agent would, without one, and say what is wrong with them. Exit code 1: something is.

    Runs the files: what they do while they are imported, they do."""
    from oboe.cli.checking import checked, print_checked

    found = checked(places)
    print_json({"playbooks": [each.plain() for each in found]}) if as_json else print_checked(found)
    raise SystemExit(int(any(each.faults for each in found)))


@playbook.command()
@click.argument("name")
@click.option("--param", "-p", "given", multiple=True, metavar="NAME=VALUE", help="A param; lists and objects as JSON. Never a secret.")
@click.option("--params-file", type=click.Path(path_type=Path), help="Params as a JSON object (- is stdin); --param wins.")
@click.option("--secret-file", "secret_files", multiple=True, metavar="NAME=FILE", help="A secret param, read from a file.")
@click.option("--not-before", metavar="TIME", help="Start then at the earliest: 02:00, a date and time, or +2h.")
@dry_run_option
@wait_option
@client_command
def run(
    session: Session,
    name: str,
    *,
    given: Sequence[str],
    params_file: Path | None,
    secret_files: Sequence[str],
    not_before: str | None,
    dry_run: bool,
    wait: bool,
) -> None:
    """Start a playbook. Secrets that it needs are asked for on a terminal, or read from files."""
    with session.client() as client:
        book = client.get(f"{OWN}/playbooks/{name}").data
        params = _gathered(book, given, params_file, secret_files)
        body: dict[str, Any] = {"params": params}
        if not_before:
            body["not_before"] = moment(not_before)
        submitted(session, client, f"{OWN}/playbooks/{name}", body, dry_run=dry_run, wait=wait)


def _gathered(book: Mapping[str, Any], given: Sequence[str], params_file: Path | None, secret_files: Sequence[str]) -> dict[str, Any]:
    """From all that was said; a secret on the command line is refused, because everybody on the host can read it."""
    params = _of_file(params_file) if params_file else {}
    secret = {param for param, schema in _params(book).items() if _is_secret(schema)}
    for param, value in (_pair(each) for each in given):
        if param in secret:
            hint = f"--secret-file {param}=FILE, or leave it out and type it"
            raise Refused("playbook.secret_in_arguments", f"{param} is a secret: others on this host can read arguments", hint=hint)
        params[param] = _value(value)
    for param, path in (_pair(each) for each in secret_files):
        params[param] = read_secret(Path(path)).reveal()
    for param in secret & set(book["params"].get("required") or []) - params.keys():
        if not sys.stdin.isatty():
            raise Refused("playbook.params", f"{param} must be given", hint=f"--secret-file {param}=FILE")
        params[param] = click.prompt(param, hide_input=True, err=True)
    return params


def _of_file(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused("playbook.params", f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # its text is not shown: a secret may be in it
        raise Refused("playbook.params", f"{path} is not JSON, or nested too deeply") from error
    if not isinstance(read, dict):
        raise Refused("playbook.params", f"{path} holds no JSON object")
    return read


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"{name[:40]!r}… is not NAME=VALUE" if len(text) > 40 else f"{text!r} is not NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    """Lists and objects are JSON; anything else is a text, which the agent reads as the type that the param has."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _params(book: Mapping[str, Any]) -> dict[str, Any]:
    return dict(book["params"].get("properties") or {})


def _is_secret(schema: Mapping[str, Any]) -> bool:
    options = (schema, *(schema.get("anyOf") or ()))
    return any(option.get("format") == "password" for option in options)


def _type(schema: Mapping[str, Any]) -> str:
    if _is_secret(schema):
        return "secret"
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or {})}"
    return str(schema.get("type") or schema.get("$ref", "any").rsplit("/", 1)[-1])
