"""``oboe host``: the machines of the inventory, and the agents on them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from oboe.cli.client import HOSTS, agent_request
from oboe.cli.failure import Exit
from oboe.cli.follow import submitted
from oboe.cli.session import Session, client_command, dry_run_option, print_json, read_secret, wait_option
from oboe.domain.errors import Refused

__all__ = ["host"]

_FILE = click.Path(path_type=Path)
_KEY_OPTIONS = (
    click.option("--fingerprint", default="", metavar="SHA256:…", help="The host's key must have this fingerprint."),
    click.option("--accept-new", is_flag=True, help="Accept the key that the host shows now, whatever it is."),
)


def _key_options(command: Any) -> Any:
    for option in reversed(_KEY_OPTIONS):
        command = option(command)
    return command


@click.group()
def host() -> None:
    """The machines: how to log in, what is wrong with them, and the agents on them."""


@host.command()
@click.argument("name")
@click.argument("login", metavar="USER@ADDRESS[:PORT]")
@click.option("--host-agent", "its_agent", required=True, metavar="IP:PORT", help="The agent that lives there, or is to live there.")
@click.option("--rpc-port", type=click.IntRange(1, 65535), default=None, help="Where that agent talks to others (its port + 1000).")
@click.option("--agent-home", "home", default="~/oboe-home", show_default=True, help="The agent's directory there.")
@click.option("--prefix", default="~/oboe", show_default=True, help="Where versions of oboe are installed there.")
@click.option("--python", default="python3", show_default=True, help="The Python there that environments are made with.")
@click.option("--driver", type=click.Choice(["seekdb", "fake"]), default="seekdb", show_default=True, help="What that agent manages.")
@click.option("--key-file", type=_FILE, help="Private key to log in with.")
@click.option("--passphrase-file", type=_FILE, help="File with the passphrase of that key.")
@click.option("--login-password-file", type=_FILE, help="File with the password to log in with (- is stdin).")
@_key_options
@client_command
def add(
    session: Session,
    name: str,
    login: str,
    *,
    its_agent: str,
    rpc_port: int | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    login_password_file: Path | None,
    **given: Any,
) -> None:
    """Take a machine into the inventory."""
    user, _, place = login.rpartition("@")
    address, port = _place(place)
    body = {"name": name, "user": user, "address": address, "port": port, "agent": its_agent, "rpc_port": rpc_port or 0, **given}
    if key_file:
        body["private_key"] = b64encode(read_secret(key_file).reveal().encode() + b"\n").decode()
    if passphrase_file:
        body["passphrase"] = read_secret(passphrase_file).reveal()
    if login_password_file:
        body["password"] = read_secret(login_password_file).reveal()
    _say(session, session.ask("POST", HOSTS, body), "added")


@host.command("list")
@client_command
def list_hosts(session: Session) -> None:
    """Show every machine."""
    found = (session.ask("GET", HOSTS) or {}).get("contents") or []
    if session.as_json:
        print_json(found)
        return
    for each in found:
        click.echo(_line(each))


@host.command()
@click.argument("name")
@client_command
def show(session: Session, name: str) -> None:
    """Show one machine; its credentials are never shown."""
    known = session.ask("GET", _of(name))
    if session.as_json:
        print_json(known)
        return
    for word, value in known.items():
        click.echo(f"{word:<12} {', '.join(value) if isinstance(value, list) else value}")


@host.command()
@click.argument("name")
@client_command
def check(session: Session, name: str) -> None:
    """Log in and look whether an agent can live there; nothing is touched. Exit code 7 when something is wrong."""
    report = session.ask("POST", _of(name, "check"))
    print_json(report) if session.as_json else _print_report(report)
    if not report["ok"]:
        raise SystemExit(int(Exit.NOT_READY))


@host.command("accept-key")
@click.argument("name")
@_key_options
@client_command
def accept_key(session: Session, name: str, *, fingerprint: str, accept_new: bool) -> None:
    """Accept another host key, after a machine was installed anew."""
    body = {"fingerprint": fingerprint, "accept_new": accept_new}
    _say(session, session.ask("POST", _of(name, "accept-key"), body), "accepted the key of")


@host.command()
@click.argument("name")
@client_command
def unlock(session: Session, name: str) -> None:
    """Let a machine go that a dag of an agent that is gone for good still holds."""
    session.ask("POST", _of(name, "unlock"))
    print_json({"name": name, "held_by": None}) if session.as_json else click.echo(f"nothing holds {name}")


@host.command()
@click.argument("name")
@client_command
def remove(session: Session, name: str) -> None:
    """Forget a machine; nothing happens there."""
    session.ask("DELETE", _of(name))
    print_json({"name": name, "removed": True}) if session.as_json else click.echo(f"removed {name}")


@host.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--wheels", type=click.Path(path_type=Path, file_okay=False, exists=True), help="Take the wheels of this directory instead.")
@click.option("--without-seekdb", is_flag=True, help="Leave the database server out; agents find the one that their host has.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
def package(directory: Path, *, wheels: Path | None, without_seekdb: bool, as_json: bool) -> None:
    """Make a package of what this command runs, from which agents are installed on machines without a network."""
    from oboe.cli.failure import end_with
    from oboe.hosts.packages import make_package, package_of_wheels

    try:
        made = package_of_wheels(directory, wheels) if wheels else make_package(directory, extras=() if without_seekdb else ("seekdb",))
    except Refused as error:
        end_with(error, as_json=as_json)
    told = {"directory": str(directory), "version": made.version, "python": made.python, "machine": made.machine, "files": len(made.files)}
    if as_json:
        print_json(told)
    else:
        click.echo(f"oboe {made.version} for Python {made.python} on {made.machine}: {len(made.files)} files in {directory}")


def _agent_command(action: str, sentence: str, *, several: bool = False, package: bool = False) -> None:
    """Add ``oboe host ACTION-agent``."""

    @click.argument("names", metavar="NAME..." if several else "NAME", nargs=-1 if several else 1, required=True)
    @dry_run_option
    @wait_option
    @client_command
    def command(session: Session, names: Any, *, package: Path | None = None, dry_run: bool, wait: bool) -> None:
        wanted = [names] if isinstance(names, str) else list(names)
        path, body = agent_request(action, wanted, package=str(package.absolute()) if package else "")
        with session.client() as client:
            submitted(session, client, path, body, dry_run=dry_run, wait=wait)

    command.__doc__ = sentence
    if package:
        text = "Install this package, a directory on the asked agent's host (default: what that agent runs itself)."
        command = click.option("--package", type=_FILE, metavar="DIR", help=text)(command)
    host.command(f"{action}-agent")(command)


_agent_command("install", "Check a machine and install the agent that is to live there.", package=True)
_agent_command("reinstall", "Install the agent of a machine anew; its store and identity stay.", package=True)
_agent_command("uninstall", "Stop the agent of a machine and remove what was installed; its store stays.")
_agent_command("restart", "Stop and start agents; databases go on.", several=True)
_agent_command("stop", "Stop agents; databases go on.", several=True)
_agent_command("start", "Start the agent that is installed on a machine.")


def _place(text: str) -> tuple[str, int]:
    """``ADDRESS``, ``ADDRESS:PORT`` or ``[v6]:PORT``."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        address, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    if not address or (port and not (port.isascii() and port.isdigit())):
        raise Refused("host.bad_login", f"{text!r} is no ADDRESS[:PORT]", hint="give USER@ADDRESS[:PORT]")
    return address, int(port or 22)


def _of(name: str, what: str = "") -> str:
    return f"{HOSTS}/{name}" + (f"/{what}" if what else "")


def _say(session: Session, known: dict[str, Any], word: str) -> None:
    print_json(known) if session.as_json else click.echo(f"{word} {_line(known)}")


def _line(known: dict[str, Any]) -> str:
    login = f"{known['user']}@{known['address']}:{known['port']}"
    return f"{known['name']} ({known['id']}): agent {known['agent']}, {login} with {' and '.join(known['credentials'])}"


def _print_report(report: dict[str, Any]) -> None:
    problems: Sequence[dict[str, str]] = report["problems"]
    agent = report["agent"]
    running = f"oboe {agent['version']}, {agent['identity']}" if agent else "no agent answers"
    if report["python"]:
        click.echo(f"{report['name']}: Python {report['python']}, {report['free_bytes'] >> 20} MiB free, {running}")
    if report["held_by"]:
        click.echo(f"  held by {report['held_by']}")
    for each in problems:
        click.echo(f"  {each['code']}: {each['message']}\n    {each['hint']}")
    if not problems:
        click.echo("  nothing is wrong")
