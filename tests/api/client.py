"""A client of the tests: makes requests by hand, good ones and bad ones."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .fakes import PAIR

__all__ = ["Received", "get", "send", "send_raw"]


@dataclass(frozen=True)
class Received:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]

    @property
    def data(self) -> Any:
        return self.envelope["data"]

    @property
    def code(self) -> str:
        return self.envelope["error"]["errCode"]  # type: ignore[no-any-return]


def send_raw(
    port: int,
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Received:
    """``source`` is the loopback address that it comes from: failures are counted by source."""
    kind = functools.partial(http.client.HTTPSConnection, context=tls) if tls else http.client.HTTPConnection
    connection = kind("127.0.0.1", port, timeout=20, source_address=(source, 0))
    try:
        connection.request(method, target, body=body or None, headers=dict(headers or {}))
        answer = connection.getresponse()
        return Received(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def send(
    port: int,
    method: str,
    target: str,
    body: Any = None,
    *,
    password: str = "pw1",
    header: str = "X-OCS-Header",
    uri: str | None = None,
    valid_seconds: int = 60,
    source: str = "127.0.0.1",
) -> Received:
    """As a well-behaved client does it, unless told otherwise."""
    plain = b"" if body is None else json.dumps(body).encode()
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret(password), uri=uri or target, body=plain, valid_seconds=valid_seconds)
    return send_raw(port, method, target, {header: sealed.header}, sealed.body, source=source)


def get(port: int, target: str, **how: Any) -> Received:
    return send(port, "GET", target, **how)
