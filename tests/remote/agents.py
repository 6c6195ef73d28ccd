"""Agents on loopback for tests: a real listener and a real client each, with certificates of one authority."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec

from oboe.domain.values import Address
from oboe.remote.authority import Authority, make_request
from oboe.remote.client import Peers
from oboe.remote.server import RpcServer
from oboe.remote.tls import Credentials
from oboe.remote.verbs import Verbs


class Echo(msgspec.Struct):
    """Request and answer of the verb ``echo``; the answer says who called."""

    text: str
    caller: str = ""


def credentials(authority: Authority, address: Address) -> Credentials:
    request, key = make_request(address)
    return Credentials(authority.certificate_pem, authority.sign(request, address=address), key)


class Agent:
    """One agent. ``members`` is who may call it; ``ports`` is shared by all, as the member table is."""

    def __init__(self, address: Address, authority: Authority, ports: dict[Address, int]) -> None:
        self.address = address
        self.credentials = credentials(authority, address)
        self.members = set(ports) | {address}
        verbs = Verbs()
        verbs.on("echo", Echo, lambda caller, request: Echo(request.text, str(caller)))
        self.server = RpcServer(address, verbs, port=0, allowed=lambda caller: caller in self.members)
        self.server.start(self.credentials)
        ports[address] = self.server.port
        self.peers = Peers(address, ports.__getitem__, self.credentials, local=verbs.carry_out)

    def echo(self, agent: Address, text: str = "hello", **options: Any) -> Echo:
        return self.peers.call(agent, "echo", Echo(text), Echo, **options)

    def close(self) -> None:
        self.peers.close()
        self.server.stop()


@contextmanager
def cluster(size: int, authority: Authority) -> Iterator[list[Agent]]:
    """Agents 127.0.0.1:2886, :2887, … that all know each other; only their listeners are real."""
    ports: dict[Address, int] = {}
    addresses = [Address("127.0.0.1", 2886 + index) for index in range(size)]
    agents: list[Agent] = []
    try:
        for address in addresses:
            agents.append(Agent(address, authority, ports))
            agents[-1].members.update(addresses)
        yield agents
    finally:
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(Agent.close, agents))
