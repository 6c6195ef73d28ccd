"""``oboe user``: who may use OCP's API and the dashboard, and what they may do there."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from oboe.cli.client import OWN
from oboe.cli.session import Session, client_command, print_json, read_secret

__all__ = ["user"]

_USERS = f"{OWN}/users"
_GRANT_HELP = "TASK_VIEWER, TASK_MANAGER or HOST_MANAGER; on one object with :cluster, :tenant=NAME, :host=IP:PORT. May be given often."
_PASSWORD = click.option(
    "--password-file",
    "password_of_user",
    type=click.Path(path_type=Path),
    required=True,
    help="File with the user's password (- is stdin).",
)
_as_root = functools.partial(client_command, password_option="--root-password-file")
"""For commands whose ``--password-file`` is the user's."""


@click.group()
def user() -> None:
    """Accounts for OCP's API and the dashboard; whoever knows the root password manages them, or is root on the agent's host."""


@user.command()
@click.argument("name")
@_PASSWORD
@click.option("--grant", "grants", multiple=True, metavar="PERMISSION", help=_GRANT_HELP)
@_as_root
def add(session: Session, name: str, *, password_of_user: Path, grants: Sequence[str]) -> None:
    """Add a user."""
    body = {"name": name, "password": read_secret(password_of_user).reveal(), "grants": list(grants)}
    _say(session, session.ask("POST", _USERS, body), "added")


@user.command("list")
@client_command
def list_users(session: Session) -> None:
    """Show every user."""
    found = (session.ask("GET", _USERS) or {}).get("contents") or []
    if session.as_json:
        print_json(found)
        return
    for each in found:
        click.echo(_line(each))


@user.command()
@click.argument("name")
@click.argument("grants", metavar="[PERMISSION]...", nargs=-1)
@client_command
def grant(session: Session, name: str, grants: Sequence[str]) -> None:
    """Give a user these permissions and no others; without any, take all away."""
    _say(session, session.ask("POST", _of(name, "grant"), {"grants": list(grants)}), "granted")


@user.command()
@click.argument("name")
@_PASSWORD
@_as_root
def password(session: Session, name: str, *, password_of_user: Path) -> None:
    """Give a user another password; sessions end."""
    body = {"password": read_secret(password_of_user).reveal()}
    _say(session, session.ask("POST", _of(name, "password"), body), "changed")


@user.command()
@click.argument("name")
@click.option("--drop", metavar="ACCESS_KEY", help="Take this access key away instead.")
@client_command
def key(session: Session, name: str, *, drop: str | None) -> None:
    """Give a user a new access key. Its secret is shown once, here, and never again."""
    if drop:
        _say(session, session.ask("DELETE", _of(name, f"keys/{drop}")), "dropped a key of")
        return
    made = {"id": secrets.token_hex(12), "secret": secrets.token_urlsafe(30)}
    session.ask("POST", _of(name, "keys"), made)
    if session.as_json:
        print_json(made)
    else:
        click.echo(f"access key {made['id']}\nsecret     {made['secret']}")


@user.command()
@click.argument("name")
@click.option("--enable", is_flag=True, help="Answer to the user again.")
@client_command
def disable(session: Session, name: str, *, enable: bool) -> None:
    """Answer neither to the user's password nor to the keys, until enabled again."""
    _say(session, session.ask("POST", _of(name, "disable"), {"disabled": not enable}), "enabled" if enable else "disabled")


@user.command()
@click.argument("name")
@client_command
def remove(session: Session, name: str) -> None:
    """Remove a user."""
    session.ask("DELETE", _of(name))
    if session.as_json:
        print_json({"name": name, "removed": True})
    else:
        click.echo(f"removed {name}")


def _of(name: str, what: str = "") -> str:
    return f"{_USERS}/{name}" + (f"/{what}" if what else "")


def _say(session: Session, known: dict[str, Any], word: str) -> None:
    print_json(known) if session.as_json else click.echo(f"{word} {_line(known)}")


def _line(known: dict[str, Any]) -> str:
    notes = [", ".join(known["grants"]) or "no permissions"]
    notes += [f"keys {', '.join(known['keys'])}"] if known["keys"] else []
    notes += ["disabled"] if known["disabled"] else []
    return f"{known['name']} ({known['id']}): {'; '.join(notes)}"
