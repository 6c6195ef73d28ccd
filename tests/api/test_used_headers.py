"""A header that was used is used for good: also after the agent was killed and is back, and whatever became of its file."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.world import free_ports
from oboe.api.obshell.replays import Replays
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from tests.spine.host import Host, Store

from .client import send_raw

FILE = "run/used-headers"
PASSWORD = "agent's pw"
HEADER = "X-OCS-Agent-Header"
ROUTE = "/api/v1/task/dag/unfinish"
NOISE = b"\xc5" * 1000
EXPIRED = "Security.Authentication.Expired"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """In a process of its own, with an agent password."""
    host = Host("a", tmp_path, free_ports(2), Store(1, "none"), apart=True).begin()
    try:
        target, body = "/api/v1/agent/password", b'{"password":"%s"}' % PASSWORD.encode()
        sealed = secrecy.seal_request(host.public("/api/v1/secret")["public_key"], password=Secret(""), uri=target, body=body)
        assert send_raw(host.address.port, "POST", target, {HEADER: sealed.header}, sealed.body).status == 200
        yield host
    finally:
        host.end()


def drawn(host: Host, valid_seconds: int = 300) -> str:
    public_key = host.public("/api/v1/secret")["public_key"]
    return secrecy.seal_request(public_key, password=Secret(PASSWORD), uri=ROUTE, valid_seconds=valid_seconds).header


def answered(host: Host, header: str) -> tuple[int, str]:
    received = send_raw(host.address.port, "GET", ROUTE, {HEADER: header})
    return received.status, received.code if received.status != 200 else ""


def test_no_used_header_is_good_again_after_a_kill(host: Host) -> None:
    headers = [drawn(host) for _ in range(12)]
    fresh = drawn(host)
    with ThreadPoolExecutor(4) as pool:
        assert {answer for answer in pool.map(lambda header: answered(host, header), headers)} == {(200, "")}
    for _ in range(2):
        host.kill()
        host.begin()
        assert {answered(host, header) for header in headers} == {(401, EXPIRED)}
    assert answered(host, fresh) == (200, "")
    assert answered(host, fresh) == (401, EXPIRED)


def test_the_file_is_small_its_owners_alone_and_holds_no_keys(host: Host) -> None:
    assert answered(host, drawn(host)) == (200, "")
    before = (host.home / FILE).stat()
    assert (stat.S_IMODE(before.st_mode), before.st_size < 2 << 20) == (0o600, True)
    assert answered(host, drawn(host)) == (200, "")
    assert (host.home / FILE).stat().st_size == before.st_size


def test_of_a_file_that_cannot_be_read_what_the_clients_of_before_made_is_refused(host: Host) -> None:
    used, later = drawn(host, 50), drawn(host, 300)
    assert answered(host, used) == (200, "")
    host.kill()
    path = host.home / FILE
    path.write_bytes(path.read_bytes()[:-1])
    host.begin()
    assert answered(host, used) == (401, EXPIRED)
    assert answered(host, later) == (200, "")
    assert "cannot be read and is begun anew" in (host.home / "log/agent.log").read_text()


def test_where_the_file_cannot_be_the_agent_runs_and_says_so(host: Host) -> None:
    host.kill()
    (host.home / FILE).unlink()
    (host.home / FILE).mkdir()
    host.begin()
    assert answered(host, drawn(host)) == (200, "")
    assert "a restart will forget" in (host.home / "log/agent.log").read_text()


# The memory itself


def test_what_is_remembered_is_what_had_not_expired(tmp_path: Path) -> None:
    now = int(time.time())
    replays = Replays(8, file=tmp_path / "used")
    assert [replays.use(b"%d" % one, now + one, now) for one in (-5, 50, 60, 70)] == [True] * 4
    replays.release(b"60", now + 60)
    replays.close()
    again = Replays(8, file=tmp_path / "used")
    assert [again.use(b"%d" % one, now + one, now) for one in (50, 60, 70)] == [False, True, False]
    again.close()


@pytest.mark.parametrize(
    "damage", [lambda kept: kept[:-1], lambda kept: kept + b"x", lambda kept: b"\0" * 9, lambda kept: kept[:64] + NOISE]
)
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    now, path = int(time.time()), tmp_path / "used"
    Replays(8, file=path).close()
    content = path.read_bytes()
    path.write_bytes(damage(content)[: len(content) + 1])
    for _ in range(2):
        replays = Replays(8, file=path)
        assert [replays.use(key, now + ahead, now) for key, ahead in ((b"a", 30), (b"b", 59))] == [False, False]
        replays.close()
    assert path.stat().st_size == len(content)
    assert Replays(8, file=path).use(b"c", now + 300, now)


def test_places_are_used_again_and_what_made_room_stays_refused(tmp_path: Path) -> None:
    now = int(time.time())
    size = -1
    for life in range(5):
        replays = Replays(4, file=tmp_path / "used")
        for one in range(20):
            sent = now + 1 + life * 20 + one
            assert replays.use(b"%d %d" % (life, one), sent, now)
            assert not replays.use(b"%d %d" % (life, one), sent, now)
        replays.close()
        assert size in (-1, size := (tmp_path / "used").stat().st_size)
        again = Replays(4, file=tmp_path / "used")
        assert not any(again.use(b"%d %d" % (life, one), now + 1 + life * 20 + one, now) for one in range(20))
        again.close()


def test_a_full_disk_costs_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(*given: object) -> int:
        raise OSError(28, "No space left on device")

    replays = Replays(4, file=tmp_path / "used")
    monkeypatch.setattr(os, "pwrite", full)
    now = time.time()
    assert [replays.use(key, int(now) + 60, now) for key in (b"a", b"b", b"a")] == [True, True, False]
    assert len([record for record in caplog.records if "No space left" in record.message]) == 1
    replays.close()
