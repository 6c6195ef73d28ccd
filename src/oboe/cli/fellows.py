"""The other agents of a cluster: any of them tells how a dag of the cluster is, when the one that was asked does not answer any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oboe.cli.client import API, AgentClient
from oboe.domain.errors import OboeError
from oboe.domain.values import Address

__all__ = ["Fellows"]


class Fellows:
    """As far as an agent named them while it still answered."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client
        self._addresses: tuple[Address, ...] = ()

    def learn(self) -> None:
        """Ask who they are. An agent that does not say so has none."""
        try:
            told = self._client.get(f"{API}/ob/info").data
            self._addresses = tuple(_address(each) for each in told.get("agent_info") or ())
        except (OboeError, AttributeError, KeyError, TypeError, ValueError):
            self._addresses = ()

    def others(self, than: Address) -> Iterator[AgentClient]:
        """Clients of all but that one, who say who they are in the same way."""
        for address in self._addresses:
            if address != than:
                yield self._client.twin(address)


def _address(told: Mapping[str, Any]) -> Address:
    return Address(str(told["ip"]), int(told["port"]))
