"""A MASTER that hangs: what its FOLLOWER is asked is answered in bounded time, and the answer says who is missing."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from demo.ports import free_ports
from oboe.api.obshell.app import Obshell
from oboe.api.shared.exchange import Request
from oboe.control.port import ForwardedAnswer, ForwardedRequest
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from tests.spine.host import Host, Store, eventually

from .client import Received, send_raw
from .fakes import FakeControl, FakeKeys

LISTS = ["/api/v1/task/dag/unfinish", "/api/v1/task/dag/maintain/agents", "/api/v1/agents/status", "/api/v1/task/dag/agent/main_dags"]
WITHIN_SECONDS = 2.0 + 2.5
"""Two for who hangs, the rest for a machine that has other things to do; a call that nobody bounds takes five."""
PASSWORD = "pw of the cluster"
NOBODY = Store(1, "none")
"""No cluster is ever made here."""


class Asking:
    """A client of one agent."""

    def __init__(self, host: Host, password: str = "") -> None:
        self.host = host
        self.password = password
        self._public_key = host.public("/api/v1/secret")["public_key"]

    def send(self, method: str, target: str, body: dict[str, Any] | None = None) -> Received:
        plain = b"" if body is None else json.dumps(body).encode()
        sealed = secrecy.seal_request(self._public_key, password=Secret(self.password), uri=target, body=plain)
        return send_raw(self.host.address.port, method, target, {"X-OCS-Header": sealed.header}, sealed.body)

    def finish(self, path: str, body: dict[str, Any], password: str | None = None) -> None:
        made = self.send("POST", path, body)
        assert made.status == 200, made.body
        self.password = self.password if password is None else password
        eventually(lambda: self._over(f"/api/v1/task/dag/{made.data['id']}"))

    def _over(self, target: str) -> bool:
        received = self.send("GET", target)
        return received.status == 200 and received.data["state"] == "SUCCEED"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Host, Host, Host]]:
    """A MASTER in a process of its own, and two FOLLOWERs."""
    root = tmp_path_factory.mktemp("master-hangs")
    made = [Host(f"a{number}", root, free_ports(2), NOBODY, apart=number == 1) for number in (1, 2, 3)]
    try:
        for number, host in enumerate(made, start=1):
            asked = Asking(host.begin())
            master = made[0].address
            asked.finish("/api/v1/agent/join", {"agentInfo": {"ip": master.ip, "port": master.port}, "zoneName": f"zone{number}"})
        cluster = {"clusterId": 1, "clusterName": "test", "rootPwd": PASSWORD}
        Asking(made[0]).finish("/api/v1/obcluster/config", cluster, PASSWORD)
        yield made[0], made[1], made[2]
    finally:
        for host in made:
            host.end()


@pytest.fixture
def master(hosts: tuple[Host, Host, Host]) -> Iterator[Host]:
    """It hangs in the middle of a test, and goes on afterwards."""
    yield hosts[0]
    hosts[0].signal(signal.SIGCONT)
    eventually(hosts[0].answers)


def timed(asking: Asking, target: str) -> tuple[float, Received]:
    begun = time.monotonic()
    received = asking.send("GET", target)
    return time.monotonic() - begun, received


@pytest.mark.parametrize("route", LISTS)
def test_a_follower_answers_lists_by_itself_to_whom_the_master_let_in_lately(
    hosts: tuple[Host, Host, Host], master: Host, route: str
) -> None:
    follower, other = Asking(hosts[1], PASSWORD), hosts[2]
    assert follower.send("GET", route).status == 200
    master.signal(signal.SIGSTOP)
    took, received = timed(follower, route)
    assert (received.status, received.headers["x-oboe-missing"]) == (200, str(master.address)), received.body
    assert took < WITHIN_SECONDS
    if route.endswith("maintain/agents"):
        assert {dag["name"] for dag in received.data["contents"]} == {"Join to master"}
    if route.endswith("status"):
        assert set(received.data) >= {str(hosts[1].address)}
    assert str(other.address) not in received.headers["x-oboe-missing"]


@pytest.mark.parametrize("route", [LISTS[0], LISTS[2]])
def test_to_anybody_else_it_says_in_time_who_is_missing(hosts: tuple[Host, Host, Host], master: Host, route: str) -> None:
    master.signal(signal.SIGSTOP)
    took, received = timed(Asking(hosts[2], "never let in"), route)
    assert (received.status, received.code) == (500, "Agent.RPC.RequestFailed"), received.body
    assert received.headers["x-oboe-missing"] == str(master.address)
    assert str(master.address) in received.envelope["error"]["message"]
    assert took < WITHIN_SECONDS


def test_other_reads_end_soon_with_an_error_that_names_it(hosts: tuple[Host, Host, Host], master: Host) -> None:
    follower = Asking(hosts[1], PASSWORD)
    master.signal(signal.SIGSTOP)
    took, received = timed(follower, "/api/v1/task/dag/11")
    assert (received.status, received.code) == (500, "Agent.RPC.RequestFailed"), received.body
    assert str(master.address) in received.envelope["error"]["message"]
    assert took < 5.0 + 1.0


def test_a_master_that_goes_on_is_asked_again(hosts: tuple[Host, Host, Host], master: Host) -> None:
    follower = Asking(hosts[1], PASSWORD)
    assert follower.send("GET", LISTS[1]).status == 200
    master.signal(signal.SIGSTOP)
    assert follower.send("GET", LISTS[1]).headers["x-oboe-missing"] == str(master.address)
    master.signal(signal.SIGCONT)
    eventually(lambda: "x-oboe-missing" not in follower.send("GET", LISTS[1]).headers)
    assert Asking(hosts[1], "wrong").send("GET", LISTS[1]).code == "Security.Authentication.IncorrectOceanbasePassword"


@pytest.mark.parametrize(
    ("method", "route", "body"),
    [
        ("GET", "/api/v1/task/dag/unfinish", b""),
        ("GET", "/api/v1/ob/info", b""),
        ("GET", "/api/v1/ob/agents", b""),
        ("POST", "/api/v1/ob/init", b"{}"),
        ("POST", "/api/v1/obcluster/config", b'{"clusterId":1,"clusterName":"c"}'),
        ("POST", "/api/v1/observer/config", b'{"observerConfig":{"a":"b"},"scope":{"type":"GLOBAL"}}'),
        ("POST", "/api/v1/agent/remove", b'{"ip":"10.9.9.9","port":2886}'),
    ],
)
def test_what_is_the_masters_is_passed_on_from_the_socket_too(method: str, route: str, body: bytes) -> None:
    asked: list[ForwardedRequest] = []

    def answer(request: ForwardedRequest) -> ForwardedAnswer:
        asked.append(request)
        return ForwardedAnswer(200, "application/json", b"{}")

    follower = Obshell(FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None), master=answer))
    given: dict[str, Any] = {"query": "", "headers": {}, "source": "uid 0", "received_at": time.time(), "started": time.monotonic()}
    request = Request(method=method, target=route, path=route, body=body, local=True, **given)
    assert follower.answer(request).status == 200
    assert [(each.target, each.body, each.local) for each in asked] == [(route, body, True)]
    own = Request(
        method="GET", target="/api/v1/task/dag/agent/unfinish", path="/api/v1/task/dag/agent/unfinish", body=b"", local=True, **given
    )
    assert follower.answer(own).status == 200
    assert len(asked) == 1


def test_a_master_that_is_slow_is_waited_for() -> None:
    def answer(request: ForwardedRequest) -> ForwardedAnswer:
        time.sleep(0.5)
        return ForwardedAnswer(200, "application/json", b"the MASTER's")

    follower = Obshell(FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None), master=answer))
    given: dict[str, Any] = {"query": "", "headers": {}, "source": "uid 0", "received_at": time.time(), "started": time.monotonic()}
    request = Request(method="GET", target=LISTS[0], path=LISTS[0], body=b"", local=True, **given)
    assert follower.answer(request).body == b"the MASTER's"
