"""What every command of the client shares: its options, the password, the way out when something fails."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oboe.cli.failure import Exit, end_with
from oboe.config import Settings
from oboe.domain.errors import OboeError, Refused
from oboe.domain.values import Address
from oboe.kit.secret import Secret

if TYPE_CHECKING:
    from oboe.cli.client import AgentClient

__all__ = ["Session", "address_of", "client_command", "dry_run_option", "print_json", "read_secret", "wait_option"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Session:
    """How this call speaks: to whom, with which password, and in which form it answers."""

    address: Address
    settings: Settings
    password: Secret | None
    as_json: bool
    socket: Path | None = None
    """Of the agent's home, where that was named."""

    def client(self, address: Address | None = None) -> AgentClient:
        from oboe.cli.client import AgentClient

        asking = _ask_password if sys.stdin.isatty() and self.password is None else None
        socket = self.socket if address is None else None
        return AgentClient(address or self.address, settings=self.settings, password=self.password, ask_password=asking, socket=socket)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to the agent; the ``data`` of its answer."""
        with self.client() as client:
            return client.request(method, path, body=body).data


def client_command(command: F, *, password_option: str = "--password-file") -> F:
    """Give a command ``--agent``, ``--home``, ``--password-file`` and ``--json``; it receives a `Session` first, and its failures end well.

    ``password_option`` is another name for the root password's file, where a command has a password of its own."""

    @click.option(
        "--agent", metavar="HOST:PORT", envvar="OBOE_AGENT", default=None, help="The agent to ask (env OBOE_AGENT; 127.0.0.1:2886)."
    )
    @click.option(
        "--home",
        "agent_home",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="OBOE_HOME",
        help="The agent of this directory, over its unix socket (env OBOE_HOME); --agent is stronger.",
    )
    @click.option(
        password_option,
        "password_file",
        type=click.Path(path_type=Path),
        help="File with the root password (or env OBOE_PASSWORD, or asked).",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(command)
    def wrapped(*args: Any, agent: str | None, agent_home: Path | None, password_file: Path | None, as_json: bool, **kwargs: Any) -> Any:
        try:
            settings = Settings.from_env()
            if agent_home is not None and agent is None:
                session = _at_home(agent_home.resolve(), settings, password_file, as_json=as_json)
            else:
                address = address_of(agent or f"127.0.0.1:{settings.port}")
                session = Session(address, settings, _password(password_file), as_json)
            return command(session, *args, **kwargs)
        except OboeError as error:
            end_with(error, as_json=as_json)
        except KeyboardInterrupt:
            raise SystemExit(int(Exit.INTERRUPTED)) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(int(Exit.OK)) from None

    return wrapped  # type: ignore[return-value]


def dry_run_option(command: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Show what would happen and touch nothing.")(command)


def wait_option(command: F) -> F:
    return click.option("--wait/--no-wait", default=True, help="Follow the dag to its end (default), or only name it.")(command)


def address_of(text: str) -> Address:
    """``HOST``, ``HOST:PORT`` or ``[v6]:PORT``; names are resolved, because an agent is known by its IP."""
    import socket

    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    try:
        ip = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
        return Address.parse(f"[{ip}]:{port or Settings.from_env().port}")
    except socket.gaierror as error:
        raise Refused("agent.unknown_host", f"{text}: {error.strerror}", hint="give HOST:PORT") from error
    except ValueError as error:
        raise Refused("agent.bad_address", str(error), hint="give HOST:PORT") from error


def read_secret(path: Path) -> Secret:
    """A secret kept in a file; a newline at its end is not part of it. ``-`` is standard input."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused("password.unreadable", f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return Secret(text.removesuffix("\n").removesuffix("\r"))


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))


def _at_home(home: Path, settings: Settings, password_file: Path | None, *, as_json: bool) -> Session:
    """The agent of a home, over its socket; where that is not there and a password is, over its port."""
    from oboe.cli.connection import socket_of

    try:
        running = home / "run" / "agent.json"
        kept = json.loads((running if running.exists() else home / "address.json").read_text(encoding="utf-8"))
        address = Address(str(kept["ip"]), int(kept["port"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused("agent.unknown_home", f"{home} is no agent's home that you may read", hint="or name the agent: --agent") from error
    password, path = _password(password_file), socket_of(home)
    there = path.exists() or password is None
    return Session(address, settings, password, as_json, path if there else None)


def _password(path: Path | None) -> Secret | None:
    if path is not None:
        return read_secret(path)
    text = os.environ.get("OBOE_PASSWORD")
    return None if text is None else Secret(text)


def _ask_password() -> Secret | None:
    return Secret(click.prompt("Password", hide_input=True, err=True, default="", show_default=False))
