"""What strangers may cost: memory, time, guesses."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from oboe.api.obshell.opening import Opener
from oboe.api.shared.bounds import Bounds
from oboe.api.shared.throttle import Throttle
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from oboe.remote.handshake import JOIN
from oboe.remote.sealing import HEADER, SEAL, seal
from tests.api.client import Received, send_raw
from tests.api.fakes import PAIR, FakeControl, served
from tests.api.living import living

PRIVATE = secrecy.load_private_key(PAIR.private_pem)


@contextmanager
def half_sent(port: int, size: int, *, of: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/api/v1/ob/init")
    connection.putheader("Content-Length", str(of))
    connection.endheaders(b"x" * size)
    yield connection
    connection.close()


def until(fact: Any, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_bodies_together_hold_no_more_than_they_may_and_give_it_back() -> None:
    bounds = Bounds(bodies_bytes_max=1 << 20, body_bytes_max=1 << 20)
    with served(FakeControl(), bounds=bounds) as serving:

        def asked() -> Received:
            return send_raw(serving.port, "POST", "/api/v1/ob/init", {}, b"y" * (600 << 10))

        assert asked().status == 400  # no header: it was read
        with half_sent(serving.port, 700 << 10, of=800 << 10):
            until(lambda: asked().status == 503)
        until(lambda: asked().status == 400)


def test_who_never_reads_its_answers_is_cut_off_by_the_system() -> None:
    with served(FakeControl(), bounds=Bounds(unread_seconds=1, keep_alive_seconds=600)) as serving:
        stream = socket.socket()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stream.settimeout(10)
        stream.connect(("127.0.0.1", serving.port))
        with stream:
            for _ in range(200):
                stream.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            connections = serving._server.server_state.connections
            until(lambda: len(connections) == 1)
            until(lambda: not connections, seconds=30)


def test_failures_are_counted_together_over_all_ways_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[int, str]] = []
    monkeypatch.setattr(Throttle, "failed", lambda self, source, now: counted.append((id(self), source)) or 0.0)
    with living(tmp_path) as one:
        one.agent.local.remember(agent_password=Secret("known to few"))
        one.password, one.header = "wrong", "X-OCS-Agent-Header"
        assert one.send("GET", "/api/v1/task/dag/unfinish").status == 401
        assert one.send("GET", "/oboe/v1/users").status == 401
        basic = {"Authorization": "Basic " + base64.b64encode(b"ada:wrong").decode()}
        assert send_raw(one.port, "GET", "/api/v2/tasks/instances", basic).status == 401
        sealed = seal(one.agent.keys.public_key(), JOIN, b"{}", password=Secret("wrong"))
        send_raw(one.port, "POST", JOIN, {HEADER: sealed.header, SEAL: sealed.seal}, sealed.body)
    assert len(counted) == 4
    assert len(set(counted)) == 1


@pytest.mark.parametrize("open_blocks", [secrecy.open_blocks, Opener(processors=2).open_blocks])
def test_a_header_that_cannot_be_opened_costs_the_same_work_wherever_it_breaks(open_blocks: secrecy.OpenBlocks) -> None:
    """Counted, not timed: who sends blocks may not learn which of them was padded well."""
    opened: list[int] = []

    class Counting:
        key_size = PRIVATE.key_size

        def decrypt(self, block: bytes, how: Any) -> bytes:
            opened.append(len(block))
            return PRIVATE.decrypt(block, how)

    def work(header: str) -> int:
        opened.clear()
        with pytest.raises(Refused) as refused:
            secrecy.open_header(Counting(), header, open_blocks=open_blocks)  # type: ignore[arg-type]
        assert refused.value.code == "secrecy.undecipherable"
        return len(opened)

    good = base64.b64decode(secrecy.seal_text(PAIR.public_key, json.dumps({"auth": 5, "uri": "x" * 150}).encode()))
    blocks = len(good) // 256
    broken = [good]  # it opens, and says nonsense
    for block in range(blocks):
        raw = bytearray(good)
        raw[block * 256 + 200] ^= 1
        broken.append(bytes(raw))
    assert isinstance(PRIVATE, rsa.RSAPrivateKey)
    assert {work(base64.b64encode(each).decode()) for each in broken} == {blocks}
    assert blocks > 3
