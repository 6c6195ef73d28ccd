"""How a step visits a host: which one its sub-task is about, the way there, and what every operation on an agent does the same.

Every operation takes the host with a lock that is kept there, because dags of several agents may have the same host in mind, and lets it
go when it settles. What was there before is the result of the operation's first node, so that an undo needs nothing but that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from oboe.domain.errors import Refused, StepFailed, Unreachable
from oboe.domain.model import Maintenance
from oboe.domain.values import MaintenanceKind
from oboe.hosts.checks import Problem
from oboe.hosts.far import Far
from oboe.hosts.packages import Package
from oboe.kit import Run, Sketch, Step
from oboe.membership.inventory import Host, Inventory
from oboe.membership.reach import Reach

__all__ = ["HostParams", "HostStep", "HostsParams", "Visit", "lock_host", "prepared_by", "refuse_busy", "refuse_wrong"]

ANSWER_SECONDS = 60.0
"""How long an agent that was started may take to answer as it should."""


class HostParams(msgspec.Struct):
    """``host`` is its number in the inventory, ``agent`` its agent's ``ip:port``; ``package`` a directory on the agent that does the work,
    empty: it packs what it runs itself."""

    host: int
    agent: str
    package: str = ""


class HostsParams(msgspec.Struct):
    """Several hosts, by number."""

    hosts: list[int]


@dataclass(frozen=True, slots=True)
class Visit:
    """One sub-task at its host."""

    run: Run
    host: Host
    far: Far

    def ask(self, verb: str, *, timeout: float = 60.0, **asked: Any) -> dict[str, Any]:
        return self.far.ask(verb, timeout=timeout, prefix=self.host.prefix, home=self.host.home, **asked)

    # The lock

    def take(self) -> None:
        """`StepFailed` ``host.busy`` names who has it."""
        self.ask("lock", dag=self.run.dag_key, agent=str(self.run.here), name=f"dag {self.run.dag_id}")

    def let_go(self) -> None:
        self.ask("unlock", dag=self.run.dag_key)

    # The agent there

    def look(self, package: Package | None = None) -> tuple[dict[str, Any], list[Problem]]:
        return self.run.use(Reach).look(self.far, self.host, package)

    def answers(self) -> dict[str, Any] | None:
        """What its agent says of itself; None when it does not answer."""
        agent = self.host.agent_address
        found: dict[str, Any] | None = self.ask("check", ip=agent.ip, port=agent.port)["answers"]
        return found

    def stop(self) -> list[dict[str, Any]]:
        """End its agent; databases go on. The processes that were ended."""
        told = self.ask("stop", timeout=120.0)
        for each in told["stopped"]:
            how = "killed, because it did not end by itself" if each["pid"] in told["killed"] else "ended"
            self.run.log(f"agent process {each['pid']} on {self.host.name} {how}")
        return list(told["stopped"])

    def start(self, python: str) -> None:
        """Start its agent with that Python; it has answered when this returns."""
        agent = self.host.agent_address
        asked = {"ip": agent.ip, "port": agent.port, "rpc_port": self.host.rpc_port, "driver": self.host.driver}
        told = self.ask("start", timeout=180.0, python=python, **asked)
        self.run.log(f"agent process {told['agent']['pid']} on {self.host.name} runs {told['agent']['python']}")

    def expect(self, *, version: str = "", identity: str = "") -> dict[str, Any]:
        """Wait until its agent answers, and compare. `StepFailed` ``host.wrong_version``, ``host.wrong_identity``."""
        found = self.run.wait_until(self.answers, why=f"an answer of agent {self.host.agent}", timeout=ANSWER_SECONDS)
        info = found["info"]
        for name, wanted in (("version", version), ("identity", identity)):
            if wanted and info.get(name) != wanted:
                text = f"agent {self.host.agent} has {name} {info.get(name)}, not {wanted}"
                raise StepFailed(f"host.wrong_{name}", text, hint="is this the agent's home, and did nobody else start another one?")
        self.run.log(f"agent {self.host.agent} answers: oboe {info.get('version')}, {info.get('identity')}")
        return dict(info)


class HostStep(Step):
    """A step at a host. Its work is found done when it is done, so it may run again; a person may give up a host that is gone."""

    resumable = True
    skippable = True

    def let_go(self, run: Run) -> None:
        """The undo of the first node. One that never ended well may not have taken the host, which need not be there then."""
        try:
            with self.visit(run) as visit:
                visit.let_go()
        except (Unreachable, Refused) as error:
            if run.own_result is not None:
                raise
            run.warn(
                f"{error.message}: should this dag hold the host, this agent's next one takes it over, and `oboe host unlock` frees it"
            )

    @contextmanager
    def visit(self, run: Run) -> Iterator[Visit]:
        host = run.use(Inventory).find(str(_number(run)))
        with run.use(Reach).far(host, check=run.check) as far:
            yield Visit(run, host, far)

    def found(self, run: Run) -> Mapping[str, Any]:
        """What the operation's first node found at this host."""
        value = run.result(str(run.args["prepared"]))
        found = value[_place(run)] if isinstance(value, list) else value
        if not isinstance(found, Mapping):
            raise StepFailed("host.not_prepared", "nobody has looked at this host before", hint="roll the dag back")
        return found


def lock_host(params: HostParams, sketch: Sketch) -> None:
    """One dag at a time for each host, in the home of the agent that does the work."""
    sketch.maintenance = Maintenance(MaintenanceKind.HOST, params.agent)


def prepared_by(name: str, params: HostParams) -> dict[str, Any]:
    """Args of every node of an operation on one host; ``name`` is its first node's."""
    return {"prepared": name, "hosts": [params.host], "first": -1}


def refuse_wrong(host: Host, wrong: Sequence[Problem]) -> None:
    """`StepFailed` with the first problem's code names them all."""
    if wrong:
        text = "; ".join(each.message for each in wrong)
        raise StepFailed(wrong[0].code, f"host {host.name}: {text}", hint="; ".join(dict.fromkeys(each.hint for each in wrong)))


def refuse_busy(host: Host, answers: Mapping[str, Any] | None) -> None:
    """`StepFailed` ``host.agent_busy`` while the agent has work of its own."""
    said = answers or {}
    running = int((said.get("ready") or {}).get("running") or 0)
    if running or (said.get("status") or {}).get("underMaintenance"):
        what = f"{running} steps run there" if running else "a dag of its own holds its maintenance lock"
        hint = f"wait until that is done, or cancel it (oboe task list --agent {host.agent}), then retry"
        raise StepFailed("host.agent_busy", f"agent {host.agent} is at work: {what}", hint=hint)


def _place(run: Run) -> int:
    """Which of its node's sub-tasks this is."""
    first = int(run.args["first"])
    return run.index - first if first >= 0 else 0


def _number(run: Run) -> int:
    return int(run.args["hosts"][_place(run)])
