"""Real agents over fake databases, in this process: what a request did to their stores can be looked at."""

from __future__ import annotations

import sqlite3
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from demo.ports import free_ports
from oboe.config import Settings
from oboe.daemon import Agent
from oboe.database.fake import FakeDriver
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .client import Received, send_raw

__all__ = ["Living", "living", "stored"]


class Living:
    """An agent and a client of it. ``password`` and ``header`` are what the client sends."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.password = ""
        self.header = "X-OCS-Header"

    @property
    def port(self) -> int:
        return self.agent.address.port

    def send(self, method: str, target: str, body: bytes = b"") -> Received:
        public_key = self.agent.keys.public_key()
        sealed = secrecy.seal_request(public_key, password=Secret(self.password), uri=target, body=body)
        try:
            return send_raw(self.port, method, target, {self.header: sealed.header}, sealed.body, tls=self._tls())
        except ssl.SSLCertVerificationError:  # it joined a cluster since its authority was read
            return send_raw(self.port, method, target, {self.header: sealed.header}, sealed.body, tls=self._tls())

    def _tls(self) -> ssl.SSLContext | None:
        """By the authority in its home, where its port speaks TLS."""
        authority = self.agent.port.authority_file
        return ssl.create_default_context(cafile=str(authority)) if authority.exists() else None

    def finish(self, received: Received) -> Mapping[str, Any]:
        """The dag that was made, once it has succeeded."""
        assert received.status == 200, received.body
        deadline = time.monotonic() + 60
        while True:
            dag = self.send("GET", f"/api/v1/task/dag/{received.data['id']}").data
            if dag["state"] == "SUCCEED":
                return dag  # type: ignore[no-any-return]
            assert dag["state"] != "FAILED", dag
            assert time.monotonic() < deadline, dag

    def become_master(self) -> None:
        here = self.agent.address
        body = b'{"agentInfo":{"ip":"%s","port":%d},"zoneName":"zone1"}' % (here.ip.encode(), here.port)
        self.finish(self.send("POST", "/api/v1/agent/join", body))


@contextmanager
def living(home: Path, *, settings: Mapping[str, Any] | None = None) -> Iterator[Living]:
    """A SINGLE agent on free ports, started."""
    home.mkdir(parents=True, exist_ok=True)
    port, rpc_port = free_ports(2)
    agent = Agent(
        home=home,
        address=Address("127.0.0.1", port),
        rpc_port=rpc_port,
        driver=FakeDriver(home / "fake"),
        settings=Settings.of(settings or {}, source="test"),
    )
    agent.start()
    try:
        yield Living(agent)
    finally:
        agent.stop(2.0)


def stored(home: Path) -> list[str]:
    """Everything that the agent's store holds, as the statements that would make it again."""
    with closing(sqlite3.connect(f"file:{home / 'oboe.db'}?mode=ro", uri=True)) as connection:
        return list(connection.iterdump())
