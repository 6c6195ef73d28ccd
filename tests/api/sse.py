"""A listener to an agent's server-sent events, made from HTTP alone."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["Event", "listening", "told"]


class Event(NamedTuple):
    name: str
    id: str
    data: Any


@contextmanager
def listening(agent: Address, dag_id: str, *, password: str = "", after: str = "") -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(agent.ip, agent.port, timeout=30)
    target = f"/oboe/v1/dags/{dag_id}/events"
    try:
        connection.request("GET", "/api/v1/secret")
        key = json.loads(connection.getresponse().read())["data"]["public_key"]
        sealed = secrecy.seal_request(key, password=Secret(password), uri=target, body=b"", valid_seconds=60)
        connection.request("GET", target, headers={"X-OCS-Header": sealed.header} | ({"Last-Event-ID": after} if after else {}))
        yield connection.getresponse()
    finally:
        connection.close()


def told(response: http.client.HTTPResponse) -> Iterator[Event]:
    found: dict[str, str] = {}
    for line in response:
        name, _, text = line.decode().rstrip("\n").partition(": ")
        if name in ("id", "event", "data"):
            found[name] = text
        elif not name and found:
            yield Event(found["event"], found["id"], json.loads(found["data"]))
            found = {}
