"""The process around an agent: its settings, its log, the signals that end it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from oboe.config import Settings
from oboe.daemon.agent import Agent
from oboe.database.port import Driver
from oboe.domain.values import Address
from oboe.hosts.interpreter import settle_interpreter
from oboe.hosts.logs import start_logging
from oboe.hosts.signals import Signals

__all__ = ["run"]


def run(*, home: Path, ip: str, port: int, rpc_port: int | None, driver: str, playbooks: tuple[Path, ...] = ()) -> int:
    """Run an agent in the foreground until SIGTERM or SIGINT; the exit status of the process."""
    os.umask(0o077)  # whatever is made from here on, by databases and commands too, is its owner's alone
    home.mkdir(parents=True, exist_ok=True)
    start_logging(home / "log")
    settings = Settings.from_home(home)
    rpc = rpc_port or (port + settings.rpc_port_offset if port + settings.rpc_port_offset < 65536 else port - settings.rpc_port_offset)
    agent = Agent(
        home=home,
        address=Address(ip, port),
        rpc_port=rpc,
        driver=_driver(driver, home),
        settings=settings,
        playbook_directories=tuple(playbooks),
    )
    agent.keep_address()
    told = Signals(signal.SIGTERM, signal.SIGINT)
    agent.start()
    settle_interpreter()
    told.wait()
    agent.stop()
    return 0


def _driver(name: str, home: Path) -> Driver:
    if name == "fake":
        from oboe.database.fake import FakeDriver

        return FakeDriver(Path(os.environ.get("OBOE_FAKE_DIRECTORY") or home / "fake"))
    from oboe.database.seekdb import SeekdbDriver

    return SeekdbDriver(memory=home / "run" / "seekdb.json")
