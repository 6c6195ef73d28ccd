"""``oboe agent``: the agent of this host, by its home directory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oboe.cli.failure import AnswerError, Exit, end_with
from oboe.config import Settings
from oboe.domain.errors import OboeError, Refused
from oboe.domain.values import Address

if TYPE_CHECKING:
    from oboe.cli.process import RunningAgent

__all__ = ["agent"]

F = TypeVar("F", bound=Callable[..., Any])


@click.group()
def agent() -> None:
    """Start, stop and look at the agent of this host."""


def _home_command(command: F) -> F:
    """Give a command ``--home`` and ``--json``; its failures end well."""

    @click.option(
        "--home", type=click.Path(path_type=Path, file_okay=False), required=True, envvar="OBOE_HOME", help="The agent's directory."
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
    @functools.wraps(command)
    def wrapped(*args: Any, home: Path, as_json: bool, **kwargs: Any) -> Any:
        try:
            return command(*args, home=home.resolve(), as_json=as_json, **kwargs)
        except OboeError as error:
            end_with(error, as_json=as_json)
        except KeyboardInterrupt:
            raise SystemExit(int(Exit.INTERRUPTED)) from None

    return wrapped  # type: ignore[return-value]


@agent.command()
@click.option("--ip", help="The address to listen on, by which the agent is known (as last time, else 127.0.0.1).")
@click.option("-P", "--port", type=click.IntRange(1, 65535), help="The port of the HTTP API (as last time, else 2886).")
@click.option("--rpc-port", type=click.IntRange(1, 65535), help="The port where agents talk to each other (port + 1000).")
@click.option(
    "--driver", type=click.Choice(["seekdb", "fake"]), default="seekdb", show_default=True, help="The database product it manages."
)
@click.option("--playbooks", type=click.Path(path_type=Path), multiple=True, help="A directory of your own playbooks; may be repeated.")
@click.option("--foreground", is_flag=True, help="Do not go into the background; SIGTERM ends it.")
@_home_command
@click.pass_obj
def start(
    run_agent: Callable[..., int] | None,
    *,
    home: Path,
    ip: str | None,
    port: int | None,
    rpc_port: int | None,
    driver: str,
    playbooks: Sequence[Path],
    foreground: bool,
    as_json: bool,
) -> None:
    """Start the agent of a home, and wait until it answers. Databases that it started are found again."""
    from oboe.cli.process import find_agent, start_agent

    settings = Settings.from_home(home)
    known = _known_address(home)
    address = _address(ip or known.get("ip") or "127.0.0.1", port or known.get("port") or settings.port)
    rpc_port = rpc_port or (known.get("rpc_port") if address.port == known.get("port") else None)
    if foreground:
        if run_agent is None:
            raise Refused("agent.no_daemon", "this command line was built without the daemon", hint="call `oboe` or `python -m oboe`")
        folders = tuple(each.resolve() for each in playbooks)
        raise SystemExit(run_agent(home=home, ip=address.ip, port=address.port, rpc_port=rpc_port, driver=driver, playbooks=folders))
    running = find_agent(home)
    if running is not None:
        _say(running, home, as_json=as_json, word="already runs")
        return
    options = ["--ip", address.ip, "--port", str(address.port), "--driver", driver]
    options += ["--rpc-port", str(rpc_port)] if rpc_port else []
    for folder in playbooks:
        options += ["--playbooks", str(folder.resolve())]
    started = start_agent(home, options, address, settings)
    _say(started, home, as_json=as_json, word="started")
    if playbooks and not as_json:
        _say_unloaded(_look(started, home, settings)["ready"])


@agent.command()
@_home_command
def stop(*, home: Path, as_json: bool) -> None:
    """Stop the agent of a home. Databases go on."""
    from oboe.cli.process import find_agent, stop_agent

    running = find_agent(home)
    if running is not None:
        stop_agent(running, Settings.from_home(home))
        _say(running, home, as_json=as_json, word="stopped")
    elif as_json:
        _json({"running": False, "home": str(home)})
    else:
        click.echo(f"no agent runs in {home}")


@agent.command()
@_home_command
def status(*, home: Path, as_json: bool) -> None:
    """Show what the agent of a home is and what it waits for. Exit code 0: ready, 7: not ready, 8: not running."""
    from oboe.cli.process import find_agent

    running = find_agent(home)
    if running is None:
        _json({"running": False, "home": str(home)}) if as_json else click.echo(f"no agent runs in {home}")
        raise SystemExit(int(Exit.NOT_RUNNING))
    seen = _look(running, home, Settings.from_home(home))
    if as_json:
        _json({"running": True, "home": str(home), **seen})
    else:
        _print(running, seen)
    raise SystemExit(int(Exit.OK if seen["ready"].get("ready") else Exit.NOT_READY))


def _look(running: RunningAgent, home: Path, settings: Settings) -> dict[str, Any]:
    from oboe.cli.client import API, OWN, AgentClient
    from oboe.cli.connection import socket_of

    socket = socket_of(home)

    with AgentClient(running.address, settings=settings, socket=socket if socket.exists() else None) as client:
        seen = {"info": client.info(), "status": client.public(f"{API}/status").data}
        try:
            seen["ready"] = client.public(f"{OWN}/ready").data or {}
        except AnswerError as error:
            seen["ready"] = {"ready": False, "waits_for": [error.message]}
    return seen


_STATES = {0: "unknown", 1: "starting", 2: "running", 3: "stopping", 4: "stopped"}
_DATABASE = {0: "no process", 1: "process, no connection", 2: "restricted", 3: "available"}


def _print(running: RunningAgent, seen: dict[str, Any]) -> None:
    info, found = seen["info"], seen["status"]
    zone = f" in zone {info['zone']}" if info.get("zone") else ""
    click.echo(f"agent {running.address}  pid {running.pid}  oboe {info.get('version', '')}")
    click.echo(f"  identity  {info.get('identity', '')}{zone}")
    click.echo(f"  state     {_STATES.get(found.get('state'), '?')}{', under maintenance' if found.get('underMaintenance') else ''}")
    sql_port = f", SQL port {found['sqlPort']}" if found.get("sqlPort") else ""
    click.echo(f"  database  {_DATABASE.get(found.get('obState'), '?')}{sql_port}")
    waits = seen["ready"].get("waits_for") or []
    click.echo("  ready     " + ("yes" if seen["ready"].get("ready") else "no"))
    for reason in waits:
        click.echo(f"  waits for {reason}")
    _say_unloaded(seen["ready"])


def _say(running: RunningAgent, home: Path, *, as_json: bool, word: str) -> None:
    if as_json:
        told = {"running": word != "stopped", "home": str(home), "pid": running.pid}
        _json(told | {"ip": running.address.ip, "port": running.address.port})
    else:
        click.echo(f"agent {running.address} {word} (pid {running.pid}, home {home})")


def _say_unloaded(ready: dict[str, Any]) -> None:
    for reason in ready.get("playbooks") or []:
        click.echo(f"  ! not loaded: {reason}", err=True)


def _json(value: Any) -> None:
    from oboe.cli.session import print_json

    print_json(value)


def _known_address(home: Path) -> dict[str, Any]:
    """``ip``, ``port`` and ``rpc_port`` of the agent's last life; empty for a new home."""
    import json

    try:
        kept = json.loads((home / "address.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _address(ip: str, port: int) -> Address:
    try:
        return Address.parse(f"[{ip}]:{port}")
    except ValueError as error:
        raise Refused("agent.bad_address", str(error), hint="--ip takes an IP address, --port a number up to 65535") from error
