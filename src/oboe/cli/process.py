"""The agent of a home as a process of this host: starts it in the background, finds it, ends it.

The agent itself writes ``<home>/run/agent.json``: ``{"pid", "started", "ip", "port"}``. A pid may have been given to another program
since, so a process counts as the agent only when its command line says that it is the agent of this home.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oboe.cli.client import API, AgentClient
from oboe.cli.failure import AnswerError
from oboe.config import Settings
from oboe.domain.errors import Refused, TryAgain, Unreachable
from oboe.domain.values import Address

__all__ = ["RunningAgent", "find_agent", "start_agent", "stop_agent"]

_LOOK_SECONDS = 0.02
"""Pause between two looks whether a new agent answers; its end is noticed at once."""
_LINES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that runs."""

    pid: int
    address: Address


def find_agent(home: Path) -> RunningAgent | None:
    """The agent that runs for this home; None when there is none."""
    try:
        told = json.loads((home / "run" / "agent.json").read_text(encoding="utf-8"))
        found = RunningAgent(int(told["pid"]), Address(str(told["ip"]), int(told["port"])))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused("agent.unreadable", f"{home / 'run' / 'agent.json'}: {error}", hint="look for the process with `ps`") from error
    return found if _is_agent_of(found.pid, home) else None


def start_agent(home: Path, options: Sequence[str], address: Address, settings: Settings) -> RunningAgent:
    """Start one in a session of its own and wait for its first answer. `Refused` with its last words when it ends instead."""
    log = _log_file(home)
    before = log.stat().st_size
    command = [sys.executable, "-m", "oboe", "agent", "start", "--foreground", "--home", str(home), *options]
    environment = {name: value for name, value in os.environ.items() if name != "OBOE_PASSWORD"}  # databases would inherit it
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    give_up_at = time.monotonic() + settings.agent_start_seconds
    while True:
        if _wait_end(process.pid, _LOOK_SECONDS):
            raise Refused("agent.not_started", f"the agent ended: {_last_words(log, before)}", hint=_where_to_look(log))
        found = find_agent(home) if _answers(address, process.pid, settings) else None
        if found is not None:
            return found
        if time.monotonic() > give_up_at:
            hint = f"it goes on trying (pid {process.pid}); its output is in {log}"
            raise TryAgain("agent.start_timeout", f"the agent does not answer after {settings.agent_start_seconds:g} s", hint=hint)


def stop_agent(agent: RunningAgent, settings: Settings) -> None:
    """Ask it to end, and wait. `TryAgain` when it takes too long: it goes on ending."""
    try:
        os.kill(agent.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Refused("agent.not_yours", f"process {agent.pid} belongs to another user", hint="ask as the user that started it") from error
    if not _wait_end(agent.pid, settings.agent_stop_seconds):
        raise TryAgain("agent.stop_timeout", f"process {agent.pid} still runs after {settings.agent_stop_seconds:g} s")


def _is_agent_of(pid: int, home: Path) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        words = process.cmdline()
        if process.status() == psutil.STATUS_ZOMBIE or "agent" not in words or "--home" not in words[:-1]:
            return False
        return Path(process.cwd(), words[words.index("--home") + 1]).resolve() == home.resolve()
    except psutil.Error:
        return False


def _log_file(home: Path) -> Path:
    """``<home>/log/agent.out``; home and log are for their owner only, because the output may name what nobody else should see."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "log").mkdir(mode=0o700, exist_ok=True)
        path = home / "log" / "agent.out"
        path.touch(mode=0o600)
    except OSError as error:
        raise Refused("agent.bad_home", f"{home}: {error.strerror}", hint="--home must be a directory that you may write to") from error
    return path


def _where_to_look(log: Path) -> str:
    return f"its output is in {log}" if shutil.disk_usage(log.parent).free else f"the disk of {log.parent} is full: make room there"


def _wait_end(pid: int, seconds: float) -> bool:
    """Whether the process has ended, or does within ``seconds``; its end wakes the wait."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        ended, _, _ = select.select([descriptor], [], [], seconds)
        return bool(ended)
    finally:
        os.close(descriptor)


def _answers(address: Address, pid: int, settings: Settings) -> bool:
    """Whether this very process answers; on a port that is taken, another one would."""
    try:
        with AgentClient(address, settings=settings) as client:
            return bool(client.public(f"{API}/status").data["pid"] == pid)
    except (Unreachable, AnswerError, Refused, KeyError, TypeError):
        return False


def _last_words(log: Path, offset: int) -> str:
    """The end of what it wrote since it was started, on one line."""
    with log.open("rb") as output:
        output.seek(offset)
        lines = output.read().decode(errors="replace").splitlines()
    return " | ".join(line.strip() for line in lines[-_LINES_SHOWN:] if line.strip()) or "it said nothing"
