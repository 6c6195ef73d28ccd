"""A small server that replays what a vendor's agent answered, behind authentication v2 written from its specification alone.

Reads of one path walk through that path's recordings; they do not walk past a request that changed something before it was made.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from oboe.domain.values import Address

__all__ = ["RECORDINGS", "Replay", "Seen", "replaying"]

RECORDINGS = Path(__file__).parent.parent / "data" / "recordings" / "cli"
_PUBLIC = ("/api/v1/info", "/api/v1/secret", "/api/v1/status", "/api/v1/time")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the server understood it."""

    method: str
    target: str
    header: str
    password: str
    body: Any


@dataclass
class Replay:
    """What to answer, and what was asked. ``extra`` are paths of the test's own: a status and a body each."""

    rows: list[dict[str, Any]]
    password: str = "pw1"
    identity: str = "CLUSTER AGENT"
    secured: bool = False
    stale_seconds: float = 0.0
    extra: dict[str, tuple[int, str]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    address: Address = field(default=Address("127.0.0.1", 1))

    def __post_init__(self) -> None:
        self._floor = -1
        self._served: dict[str, int] = {}
        self.renew_key()

    def renew_key(self) -> None:
        """As an agent that was installed anew."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=1024)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        path = urlsplit(target).path
        if path == "/api/v1/secret":
            der = self._key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
            return 200, _envelope({"ip": self.address.ip, "port": self.address.port, "public_key": base64.b64encode(der).decode()})
        if path == "/api/v1/info":
            info = {"identity": self.identity, "security": self.secured, "ip": self.address.ip, "port": self.address.port}
            return 200, _envelope(info | {"version": "4.5.0.0-0", "supportedAuth": ["v2"]})
        if path in self.extra and path.startswith("/oboe/v1/ready"):
            return self.extra[path]
        if path not in _PUBLIC and path.startswith("/api/v1"):
            refusal, body = self._verify(method, target, headers, body)
            if refusal:
                return refusal
        if path in self.extra:
            return self.extra[path]
        if not path.startswith("/api/v1"):
            return 200, "<!doctype html><title>obshell</title>"
        return self._recorded(method, path, json.loads(body) if body else None)

    def _verify(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[tuple[int, str] | None, bytes]:
        name = next((each for each in ("X-OCS-Agent-Header", "X-OCS-Header") if headers.get(each)), "")
        if not name:
            return (400, _failure(0, "Request.Header.NotFound", "no header")), b""
        try:
            said = json.loads(self._decrypt(headers[name]))
        except ValueError:
            return (401, _failure(1, "Security.Authentication.Header.DecryptFailed", "Decrypt http header failed")), b""
        keys = base64.b64decode(said["keys"])
        plain = _open_body(keys, body) if body else b""
        self.seen.append(Seen(method, target, name, said["auth"], json.loads(plain) if plain else None))
        if said["uri"] != target:
            return (401, _failure(10008, "Security.Authentication.Header.UriMismatch", "uri mismatch")), plain
        if float(said["ts"]) < time.time():
            return (401, _failure(10008, "Security.Authentication.Expired", "auth expired")), plain
        if self.identity != "SINGLE" and said["auth"] != self.password:
            return (401, _failure(10008, "Security.Authentication.IncorrectOceanbasePassword", "access denied")), plain
        if self.identity == "SINGLE" and self.secured and (name != "X-OCS-Agent-Header" or said["auth"] != self.password):
            return (401, _failure(10008, "Security.Authentication.IncorrectAgentPassword", "access denied")), plain
        return None, plain

    def _decrypt(self, value: str) -> bytes:
        sealed = base64.b64decode(value)
        blocks = [sealed[at : at + 128] for at in range(0, len(sealed), 128)]
        return b"".join(self._key.decrypt(block, padding.PKCS1v15()) for block in blocks)

    def _recorded(self, method: str, path: str, body: Any) -> tuple[int, str]:
        after = max(self._floor, self._served.get(path, -1) if method == "GET" else -1)
        for index in range(after + 1, len(self.rows)):
            asked, given = self.rows[index]["request"], self.rows[index]["response"]
            if method == "GET" and asked["method"] != "GET" and asked["uri"] == path and given["status"] == 200:
                break
            if (asked["method"], asked["uri"]) == (method, path) and (method == "GET" or _same(asked["body"], body)):
                self._served[path] = index
                if method != "GET" and given["status"] == 200:
                    self._floor = index
                return given["status"], given["text"]
        if method == "GET" and path in self._served:
            given = self.rows[self._served[path]]["response"]
            return given["status"], given["text"]
        return 404, _failure(0, "Task.NotFound", f"not recorded: {method} {path} {body}")


@contextmanager
def replaying(recording: str = "", **how: Any) -> Iterator[Replay]:
    """A `Replay` of a file of recordings, on a free loopback port."""
    rows = [json.loads(line) for line in (RECORDINGS / recording).read_text().splitlines()] if recording else []
    replay = Replay(rows, **how)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(replay))
    server.daemon_threads = True
    replay.address = Address("127.0.0.1", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield replay
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = replay.answer(self.command, self.path, self.headers, body)
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if replay.stale_seconds:
                self.send_header("X-Oboe-Stale", f"{replay.stale_seconds:.1f}")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _serve

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Handler


def _same(recorded: Any, sent: Any) -> bool:
    """Bodies are equal; operators are so in any case of letters, as the interface says."""
    return recorded == sent or (set(sent or {}) == {"operator"} and recorded == {"operator": sent["operator"].lower()})


def _open_body(keys: bytes, body: bytes) -> bytes:
    decryptor = Cipher(algorithms.AES(keys[:16]), modes.CBC(keys[16:32])).decryptor()
    plain = decryptor.update(base64.b64decode(body)) + decryptor.finalize()
    return plain[: -plain[-1]]


def _envelope(data: Any) -> str:
    return json.dumps({"successful": True, "timestamp": "2026-11-21T07:26:39.488495421Z", "duration": 0, "status": 200, "data": data})


def _failure(number: int, code: str, message: str) -> str:
    error = ({"code": number} if number else {}) | {"errCode": code, "message": message}
    return json.dumps({"successful": False, "timestamp": "2026-11-21T07:26:39Z", "duration": 0, "status": 400, "error": error})
