"""A real agent that does the work, an SSH server, and machines behind it: directories and ports of this one."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from demo.ports import RPC_OFFSET, free_ports
from oboe.control.hosts import _planned
from oboe.control.port import Caller
from oboe.control.views import DagView, Ref
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, Operator, State
from oboe.hosts.far import Far
from oboe.kit.secret import Secret
from oboe.membership.inventory import Host
from tests.ocp.site import PASSWORD, Site, eventually
from tests.ssh.servers import SSHD, OpenSsh, Server, StandIn
from tests.ssh.trial_agent import trial_package

__all__ = ["Ground", "Machine"]

WAIT = 180.0


class Machine:
    """One host, as it is on disk."""

    def __init__(self, ground: Ground, name: str) -> None:
        (self.port,) = free_ports(1, offset=RPC_OFFSET)
        self.name = name
        self.home, self.prefix = ground.root / name / "home", ground.root / name / "oboe"
        (ground.root / name).mkdir()
        self.agent = f"127.0.0.1:{self.port}"

    def says(self) -> dict[str, Any]:
        """Of itself; nothing when no agent answers."""
        try:
            with urllib.request.urlopen(f"http://{self.agent}/api/v1/info", timeout=5) as answer:
                return dict(json.loads(answer.read())["data"])
        except OSError:
            return {}

    @property
    def version(self) -> str:
        return str(self.says().get("version", "")).rpartition("-")[2]

    def tree(self) -> dict[str, Any]:
        """What is installed: every version that is there, the one in use, and whatever lies around."""
        versions = self.prefix / "versions"
        return {
            "versions": sorted(each.name for each in versions.iterdir()) if versions.is_dir() else [],
            "current": str((self.prefix / "current").readlink()) if (self.prefix / "current").is_symlink() else "",
            "rest": sorted(each.name for each in self.prefix.iterdir()) if self.prefix.is_dir() else [],
            "copies": sorted(each.name for each in self.home.glob("oboe.db.*")),
        }

    def lives(self) -> list[str]:
        """The versions that have opened its store, one after the other."""
        store = sqlite3.connect(self.home / "oboe.db")
        try:
            return [version for (version,) in store.execute("SELECT version FROM life")]
        finally:
            store.close()

    def pids(self) -> list[int]:
        found = []
        for each in Path("/proc").iterdir():
            try:
                words = (each / "cmdline").read_bytes().decode().split("\0") if each.name.isdigit() else []
            except OSError:
                continue
            if "--foreground" in words and str(self.home) in words:
                found.append(int(each.name))
        return found


class Ground:
    """``begin`` first. Every wait ends."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.server: Server = (OpenSsh if SSHD else StandIn)(root / "ssh")
        self.server.begin()
        self.site = Site(root / "site")
        with mock.patch("oboe.control.users._TIME_COST", 1), mock.patch("oboe.control.users._MEMORY_KIB", 64):
            self.site.users.add("hosts", Secret(PASSWORD), ["HOST_MANAGER", "TASK_VIEWER"], who="test")
        self.machines: list[Machine] = []
        self.packages: dict[str, Path] = {}

    @property
    def hosts(self) -> Any:
        return self.site.agent.control.hosts

    def machine(self, *, listed: bool = True) -> Machine:
        made = Machine(self, f"host{len(self.machines) + 1}")
        self.machines.append(made)
        if listed:
            self.list(made)
        return made

    def list(self, machine: Machine, **given: Any) -> Host:
        host = Host(
            name=machine.name,
            address="127.0.0.1",
            port=self.server.port,
            user=self.server.user,
            agent=machine.agent,
            home=str(machine.home),
            prefix=str(machine.prefix),
            driver="fake",
            **({"private_key": self.server.key} | given),
        )
        found: Host = self.hosts.add(host, fingerprint=self.server.fingerprint, accept_new=False, who="test")
        return found

    def package(self, version: str, *, tables: int = 1) -> str:
        if version not in self.packages:
            self.packages[version] = trial_package(self.root / f"package {version}", version, tables=tables).directory
        return str(self.packages[version])

    def end(self) -> None:
        for machine in self.machines:
            for pid in machine.pids():
                os.kill(pid, signal.SIGKILL)
        self.site.end()
        self.server.end()

    # Dags

    caller = Caller("hosts")

    def ask_plan(self, action: str, machine: Machine) -> list[tuple[str, int]]:
        """Names and timeouts in seconds; nothing is made."""
        playbook, params = _planned(action, [self.hosts.find(machine.name)], "")
        sketch = self.site.agent.registry.playbook(playbook).sketch(params)
        return [(node.name, node.timeout // SECOND) for node in sketch.plan().nodes]

    def ask(self, action: str, *machines: Machine, package: str = "") -> Dag:
        dag = self.hosts.operate(action, [each.name for each in machines], package=package, caller=Caller("hosts"))
        assert isinstance(dag, Dag)
        return dag

    def do(self, action: str, *machines: Machine, package: str = "") -> DagView:
        """To a good end."""
        view = self.over(self.ask(action, *machines, package=package))
        assert self.words(view) == ("SUCCEEDED", "RUN"), self.lines(view)
        return view

    def over(self, dag: Dag) -> DagView:
        """Once it has come to rest."""

        def rested() -> DagView | None:
            view = self.view(dag)
            return view if fold.dag_state(view.dag) in (State.FAILED, State.SUCCEEDED) else None

        return eventually(rested, WAIT)  # type: ignore[no-any-return]

    def failed(self, dag: Dag, node: str, code: str) -> DagView:
        view = self.over(dag)
        broken = [
            view.dag.plan.nodes[view.dag.plan.node_of[i]].name for i, one in enumerate(view.dag.sub_tasks) if one.state is State.FAILED
        ]
        assert broken == [node], self.lines(view)
        assert any(code in line for line in self.lines(view)), self.lines(view)
        return view

    def operate(self, dag: Dag, operator: str) -> DagView:
        self.site.agent.control.operate(Ref("dag", dag.home.kind, dag.home.agent, dag.id), operator, Caller("hosts"))
        return self.over(dag)

    def rolled_back(self, dag: Dag) -> DagView:
        view = self.operate(dag, "ROLLBACK")
        assert self.words(view) == ("SUCCEEDED", Operator.ROLLBACK.name), self.lines(view)
        return view

    def retried(self, dag: Dag) -> DagView:
        view = self.operate(dag, "RETRY")
        assert self.words(view) == ("SUCCEEDED", "RUN"), self.lines(view)
        return view

    def view(self, dag: Dag) -> DagView:
        found: DagView = self.site.agent.control.dag(Ref("dag", dag.home.kind, dag.home.agent, dag.id))
        return found

    @staticmethod
    def words(view: DagView) -> tuple[str, str]:
        return fold.dag_state(view.dag).name, view.dag.operator.name

    @staticmethod
    def lines(view: DagView) -> list[str]:
        """Each with its code."""
        return [f"{record.line.code} {record.line.text}" for record in view.logs or ()]

    # Bad luck

    @contextmanager
    def cut_at(self, verb: str, *, after: bool = True) -> Iterator[list[str]]:
        """The connection is cut once: while that verb is asked, or when it was carried out and nobody has heard."""
        done: list[str] = []
        real = Far.ask

        def ask(far: Far, asked: str, **given: Any) -> dict[str, Any]:
            if asked != verb or done:
                return real(far, asked, **given)
            done.append(asked)
            if after:
                real(far, asked, **given)
                self.server.cut()
                _pause(0.2)
                return real(far, asked, **given)
            threading.Timer(0.05, self.server.cut).start()
            return real(far, asked, **given)

        with mock.patch.object(Far, "ask", ask):
            yield done


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)
