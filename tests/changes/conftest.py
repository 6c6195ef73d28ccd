"""A real agent of this process over a fake database, with playbooks of a directory, and the command line that asks it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from demo.ports import free_ports
from oboe.cli.main import oboe
from oboe.config import Settings
from oboe.control.port import Caller
from oboe.daemon import Agent
from oboe.database.fake import FakeDriver
from oboe.domain.model import Dag
from oboe.domain.values import Address, HomeKind

WAIT = 60.0
"""Every wait of a test ends by then."""


@dataclass
class Place:
    """An agent, its playbooks, and the directory whose files its steps wait for."""

    agent: Agent
    gates: Path

    def start(self, playbook: str, *, not_before: int = 0, **params: Any) -> Dag:
        book = self.agent.registry.playbook(playbook)
        filled = book.params(gates=str(self.gates), **params)
        return self.agent.starter.start(playbook, filled, caller=Caller("test"), not_before=not_before)

    def open(self, gate: str) -> None:
        (self.gates / gate).touch()

    def dag(self, dag: Dag) -> Dag:
        found = self.agent.engine.get(HomeKind.AGENT, dag.key)
        assert found is not None
        return found

    def until(self, dag: Dag, fact: Callable[[Dag], Any]) -> Dag:
        deadline, known = time.monotonic() + WAIT, -1
        while True:
            now = self.agent.engine.wait_version(HomeKind.AGENT, dag.key, known, max(0.0, deadline - time.monotonic()))
            assert now is not None
            if fact(now):
                return now
            assert time.monotonic() < deadline, now
            known = now.version

    def cli(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run a command against the agent."""
        result = CliRunner().invoke(oboe, [*words, "--agent", str(self.agent.address)], input=stdin, catch_exceptions=False)
        assert result.exit_code == code, (words, result.stdout, result.stderr)
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.cli(*words, "--json").stdout)


def born(root: Path, *, playbooks: tuple[Path, ...], playbooks_setting: str = "") -> Agent:
    """An agent of that home, at the address that it had in its last life."""
    kept = root / "ports.json"
    if not kept.exists():
        kept.write_text(json.dumps(free_ports(2)))
    port, rpc_port = json.loads(kept.read_text())
    home = root / "home"
    home.mkdir(parents=True, exist_ok=True)
    return Agent(
        home=home,
        address=Address("127.0.0.1", port),
        rpc_port=rpc_port,
        driver=FakeDriver(root / "fake"),
        settings=Settings.of({"playbooks": playbooks_setting}, source="test"),
        playbook_directories=playbooks,
    )


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("OBOE_PASSWORD", raising=False)
    books, gates = tmp_path / "books", tmp_path / "gates"
    books.mkdir()
    gates.mkdir()
    shutil.copy(Path(__file__).with_name("playbooks.py"), books / "trials.py")
    agent = born(tmp_path, playbooks=(books,))
    agent.start()
    try:
        yield Place(agent, gates)
    finally:
        agent.stop(2.0)
