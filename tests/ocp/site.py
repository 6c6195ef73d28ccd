"""An agent of this process, clients that speak OCP's API to it, and dags that a test puts into its home in any state."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from demo.ports import free_ports
from oboe import daemon
from oboe.api.obshell.ids import encode
from oboe.cli.client import AgentClient
from oboe.config import Settings
from oboe.control.port import Caller
from oboe.database.fake import FakeDriver
from oboe.domain import events, machine
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag, Home, Maintenance, NodePlan, Plan
from oboe.domain.records import AttemptLine, Change, Draft
from oboe.domain.values import Address, HomeKind
from oboe.kit.secret import Secret
from oboe.kit.step import Step
from tests.domain.dags import node
from tests.ocp.steps import ACTS, DONE, GATES, Graph, Node

__all__ = ["PASSWORD", "WAIT", "Answered", "Client", "Site", "eventually"]

PASSWORD = "correct horse battery"
WAIT = 60.0
"""Every wait of a test ends by then."""


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def data(self) -> Any:
        assert self.status == 200, self.body
        return self.envelope["data"]

    @property
    def error(self) -> tuple[int, int]:
        """Status and error code."""
        return self.status, self.envelope["error"]["code"]


@dataclass
class Client:
    """Asks with Basic, unless it has other headers."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None, **query: Any) -> Answered:
        """``path`` is below ``/api/v2/tasks`` unless it begins with ``/api``."""
        target = path if path.startswith(("/api", "/oboe", "/openapi", "/docs")) else f"/api/v2/tasks{path}"
        target += f"?{urlencode(query, doseq=True)}" if query else ""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT + 10)
        try:
            connection.request(method, target, body=body or None, headers={**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Answered:
        return self("GET", path, **query)

    def post(self, path: str, **given: Any) -> Answered:
        return self("POST", path, **given)

    @staticmethod
    def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


class Site:
    """``manager`` and ``viewer`` may operate and see every task. No dag that a test puts here is begun: no engine is told of it."""

    def __init__(self, root: Path, ports: tuple[int, int] | None = None) -> None:
        self.ports = port, rpc_port = ports or free_ports(2)
        self.root = root
        self.address = Address("127.0.0.1", port)
        self.home = Home(HomeKind.AGENT, self.address)
        self.agent = daemon.Agent(
            home=root / "home",
            address=self.address,
            rpc_port=rpc_port,
            driver=FakeDriver(root / "fake"),
            settings=Settings.of({}, source="test"),
            playbook_directories=(Path(__file__).parent / "playbooks",),
        )
        self.agent.registry._steps["t:S"] = Step  # of dags that are only put here: one that is not known would have them set aside
        self.agent.start()
        self.users = self.agent.control.users
        with mock.patch("oboe.control.users._TIME_COST", 1), mock.patch("oboe.control.users._MEMORY_KIB", 64):
            for name, grants in (("manager", ["TASK_MANAGER"]), ("viewer", ["TASK_VIEWER"]), ("nobody", [])):
                if self.users.find(name) is None:
                    self.users.add(name, Secret(PASSWORD), grants, who="test")
        self.manager, self.viewer, self.nobody = (self.client(name) for name in ("manager", "viewer", "nobody"))

    def client(self, name: str = "", password: str = PASSWORD) -> Client:
        return Client(self.address.port, Client.basic(name, password) if name else {})

    def end(self) -> None:
        self.agent.stop(3.0)

    def run(self, *nodes: Node, **acts: str) -> Going:
        """Have a graph of scripted steps run for real; ``acts`` by node, ``undo_x`` for its undo."""
        key = secrets.token_hex(4)
        for name, act in acts.items():
            ACTS[f"{key}/{name.replace('_', ' ')}"] = act
        starter = self.agent.control._operations._starter
        return Going(self, key, starter.start("Trial graph", Graph(key, list(nodes)), caller=Caller("manager")))

    def obshell(self, path: str, **query: Any) -> Any:
        """As OBShell's clients see it."""
        with AgentClient(self.address, settings=Settings.of({}, source="test")) as client:
            return client.get(f"/api/v1/task/{path}", **query).data

    def ask_obshell(self, path: str, operator: str) -> None:
        with AgentClient(self.address, settings=Settings.of({}, source="test")) as client:
            client.post(f"/api/v1/task/{path}", {"operator": operator})

    # Dags as they are stored

    def put(self, *nodes: NodePlan, name: str = "Trial", creator: str = "manager", created_at: int = 0, **facts: Any) -> Held:
        """A dag in the agent's home that nobody works on until it is asked something."""
        draft = Draft(
            key=secrets.token_hex(16),
            name=name,
            playbook="trial",
            plan=Plan(nodes or (node(name="only"),)),
            params=facts.pop("params", {}),
            home=self.home,
            maintenance=facts.pop("maintenance", Maintenance()),
            created_at=created_at or time.time_ns(),
            created_by=self.address,
            creator=creator,
            **facts,
        )
        return Held(self, self.store.create(draft))

    @property
    def store(self) -> Any:
        return self.agent.control._own

    def id_of(self, dag: Dag, number: int | None = None) -> int:
        return (1 << 52) + (dag.id if number is None else number)


class Seen:
    """A dag by its ids, as both dialects show it."""

    site: Site
    dag: Dag

    @property
    def id(self) -> int:
        return self.site.id_of(self.dag)

    def sub_id(self, index: int) -> int:
        return self.site.id_of(self.dag, self.dag.sub_task_id(index))

    @property
    def path(self) -> str:
        return f"/instances/{self.id}"

    def sub_path(self, index: int) -> str:
        return f"{self.path}/subtasks/{self.sub_id(index)}"

    def shown(self, client: Client | None = None) -> dict[str, Any]:
        found = (client or self.site.viewer).get(self.path).data
        assert isinstance(found, dict)
        return found

    @property
    def obshell_id(self) -> str:
        return encode(self.dag.home, self.dag.id)

    def obshell_words(self) -> tuple[str, list[str]]:
        """The dag's and the sub-tasks' state and operator, as OBShell's clients see them."""
        dag = self.site.obshell(f"dag/{self.obshell_id}")
        subs = [one for each in dag["nodes"] for one in each["sub_tasks"]]
        return f"{dag['state']}/{dag['operator']}", [f"{one['state']}/{one['operator']}" for one in subs]

    def words(self) -> tuple[str, list[str]]:
        """The task's and the sub-tasks' status and operation, as OCP's clients see them."""
        task = self.shown()
        return f"{task['status']}/{task['operation']}", [f"{one['status']}/{one['operation']}" for one in task["subtasks"]]


class Going(Seen):
    """A dag that runs."""

    def __init__(self, site: Site, key: str, dag: Dag) -> None:
        self.site, self.key, self.dag = site, key, dag

    def until(self, task: str, *sub_tasks: str) -> Going:
        """Wait until it shows these words."""
        wanted = (task, list(sub_tasks)) if sub_tasks else task
        eventually(lambda: (self.words() if sub_tasks else self.words()[0]) == wanted or self.fail_if_late(wanted))
        return self

    def fail_if_late(self, wanted: Any) -> bool:
        self.seen = self.words()
        return False

    def act(self, **acts: str) -> Going:
        """From now on."""
        for name, act in acts.items():
            ACTS[f"{self.key}/{name.replace('_', ' ')}"] = act
        return self

    def open(self, name: str) -> Going:
        ACTS.pop(f"{self.key}/{name}", None)
        GATES[f"{self.key}/{name}"].set()
        return self

    @property
    def done(self) -> list[str]:
        return DONE[self.key]


class Held(Seen):
    """A stored dag and the hand that moves it, through its store."""

    def __init__(self, site: Site, dag: Dag) -> None:
        self.site, self.dag = site, dag
        self.now = dag.created_at

    def __call__(self, *happened: events.Event, at: int = 0) -> Held:
        self.now = max(at, self.now + 1_000_000)
        after, _ = machine.advance(self.dag, happened, now=self.now, here=self.site.address, epoch=0)
        if after is not self.dag:
            assert self.site.store.save([Change(self.dag, after)]) == {}
            self.dag = after
        return self

    def wake(self) -> Held:
        return self(events.Wake())

    def start(self, *indices: int, at: int = 0) -> Held:
        for index in indices:
            one = self.dag.sub_tasks[index]
            self(events.Started(index, one.epoch, one.attempt, at or self.now + 1_000_000), at=at)
        return self

    def finish(self, *indices: int, ok: bool = True, at: int = 0) -> Held:
        for index in indices:
            one = self.dag.sub_tasks[index]
            self(events.Ended(index, one.epoch, one.attempt, at or self.now + 1_000_000, ok, one.operator), at=at)
        return self

    def finish_all(self) -> Held:
        """Whatever is live ends well, until nothing is."""
        while live := [index for index, one in enumerate(self.dag.sub_tasks) if one.live]:
            self.finish(live[0])
        return self

    def write(self, index: int, attempt: int, *texts: str, level: Level = Level.INFO, first: int = 0) -> Held:
        lines = [AttemptLine(self.dag.id, index, attempt, LogLine(first + seq, self.now, level, text)) for seq, text in enumerate(texts)]
        self.site.store.save([], lines)
        return self


def eventually(fact: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Look until it is so; a failure says what was seen last."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not (found := fact()):
        assert time.monotonic() < deadline, f"never came true: {fact}, last {found!r}"
        pause.wait(0.01)
    return found
