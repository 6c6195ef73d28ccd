"""The unix socket in an agent's home: who may ask there, what needs no password, and what it still takes one for."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from oboe.api.shared.bounds import Bounds
from oboe.cli.client import AgentClient
from oboe.cli.failure import AnswerError
from oboe.cli.main import oboe
from oboe.config import Settings
from oboe.control.port import ForwardedAnswer, ForwardedRequest
from oboe.domain.errors import Unreachable
from oboe.domain.values import Address, Identity
from oboe.hosts import local_socket
from oboe.kit.secret import Secret
from oboe.store.audit import Audit
from tests.api.client import Received, send_raw
from tests.api.fakes import FakeControl, served
from tests.api.living import Living, living

SETTINGS = Settings.of({}, source="test")
PROTECTED = "/api/v1/task/dag/unfinish"


def ask(path: Path, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None, *, raw: bytes = b"") -> Received:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = local_socket.connect(path, timeout=10)
    with closing(connection):
        connection.request(method, target, body=raw or (None if body is None else json.dumps(body)), headers=headers or {})
        answer = connection.getresponse()
        return Received(answer.status, dict(answer.getheaders()), answer.read())


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Living]:
    """An agent whose password nobody is told."""
    for name in ("OBOE_PASSWORD", "OBOE_HOME", "OBOE_AGENT"):
        monkeypatch.delenv(name, raising=False)
    with living(tmp_path / "home") as agent:
        agent.agent.local.remember(agent_password=Secret("known to few"))
        yield agent


def command(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(oboe, list(words), catch_exceptions=False)
    assert result.exit_code == code, (result.stdout, result.stderr)
    return result


def test_the_socket_is_its_owners_alone_and_goes_with_the_agent(tmp_path: Path) -> None:
    with living(tmp_path) as one:
        path = one.agent.port.socket
        for there, mode in ((path, 0o600), (tmp_path, 0o700)):
            assert stat.S_IMODE(there.stat().st_mode) == mode, there
    assert not path.exists()


def test_what_an_earlier_life_left_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "run" / "oboe.sock"))
    with living(tmp_path) as one:
        assert ask(one.agent.port.socket, "GET", PROTECTED).status == 200


def test_a_home_may_have_a_path_longer_than_a_sockets(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a" * 60] * 3)
    with living(deep) as one:
        assert ask(one.agent.port.socket, "GET", PROTECTED).status == 200


def test_no_password_is_asked_for_there_and_bodies_are_plain(one: Living) -> None:
    path, here = one.agent.port.socket, one.agent.address
    assert one.send("GET", PROTECTED).code == "Security.Authentication.WithAgentPassword"
    assert ask(path, "GET", PROTECTED).status == 200
    made = ask(path, "POST", "/api/v1/agent/join", {"agentInfo": {"ip": here.ip, "port": here.port}, "zoneName": "zone1"})
    assert (made.status, made.data["name"]) == (200, "Join self")


def test_a_header_that_is_sent_all_the_same_has_to_be_right(one: Living) -> None:
    refused = ask(one.agent.port.socket, "GET", PROTECTED, headers={"X-OCS-Agent-Header": "AAAA"})
    assert (refused.status, refused.code) == (401, "Security.Authentication.Header.DecryptFailed")


def test_accounts_of_the_other_dialect_are_asked_for_there_too(one: Living) -> None:
    assert ask(one.agent.port.socket, "GET", "/api/v2/tasks/instances").status == 401


def test_a_follower_whose_master_is_away_answers_its_own_hosts_people_itself() -> None:
    def away(request: ForwardedRequest) -> ForwardedAnswer:
        raise Unreachable("agent.unreachable", "the MASTER is away")

    control = FakeControl()
    control.keys.who, control.master = Identity.FOLLOWER, away
    with served_locally(control) as (_, path):
        assert ask(path, "GET", "/api/v1/task/dag/unfinish").status == 200
    assert [name for name, _ in control.asked] == ["forward", "unfinished"]


@contextmanager
def served_locally(control: FakeControl, *, bounds: Bounds | None = None) -> Iterator[tuple[int, Path]]:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "oboe.sock"
        with served(control, local=path, bounds=bounds) as serving:
            yield serving.port, path


_STRANGER = """
import os, socket, sys
os.setgid(65534)
os.setuid(65534)
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
stream.sendall(b"GET %s HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" % sys.argv[2].encode())
while part := stream.recv(65536):
    sys.stdout.buffer.write(part)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused_even_where_the_file_lets_it_in() -> None:
    control = FakeControl()
    with served_locally(control) as (_, path):
        path.parent.chmod(0o755)
        path.chmod(0o666)
        for target, status in ((PROTECTED, b"401"), ("/api/v1/info", b"401"), ("/api/v2/tasks/instances", b"403"), ("/docs", b"401")):
            words = [sys.executable, "-I", "-S", "-c", _STRANGER, str(path), target]
            told = subprocess.run(words, capture_output=True, timeout=20, check=True)
            assert told.stdout.split(b" ", 2)[1] == status, told
            assert (b"Security.User.PermissionDenied" in told.stdout) is (status == b"401")
    assert control.asked == []


def test_who_may_ask_is_root_and_the_agents_own_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert [local_socket.may_ask(uid) for uid in (0, 1000, 1001, 65534)] == [True, True, False, False]


def test_nobody_on_the_network_can_say_that_he_is_local(one: Living) -> None:
    for name in ("oboe.peer", "X-Oboe-Peer", "X-Forwarded-For", "Forwarded"):
        refused = send_raw(one.port, "GET", PROTECTED, {name: "0"})
        assert (refused.status, refused.code) == (400, "Request.Header.NotFound")


def test_who_floods_the_port_does_not_keep_the_hosts_own_people_out() -> None:
    released, control = threading.Event(), FakeControl()
    bounds = Bounds(connections_max=10, in_flight_max=1, workers_max=1)
    with served_locally(control, bounds=bounds) as (port, path):
        flood = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
        try:
            assert send_raw(port, "GET", "/api/v1/info").status == 503
            assert ask(path, "GET", PROTECTED).status == 200
        finally:
            released.set()
            for each in flood:
                each.close()


# The command line


def test_the_command_line_needs_no_password_on_the_agents_host(one: Living) -> None:
    address = str(one.agent.address)
    for named in (["--agent", address], ["--home", str(one.agent.home)]):
        assert json.loads(command("task", "list", "--json", *named).stdout) == []


def test_a_password_that_is_given_is_the_one_that_counts(one: Living, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("nonsense")
    command("task", "list", "--agent", str(one.agent.address), "--password-file", str(tmp_path / "wrong"), code=5)
    (tmp_path / "right").write_text("known to few")
    command("task", "list", "--agent", str(one.agent.address), "--password-file", str(tmp_path / "right"))


def test_users_are_managed_over_the_socket_and_the_record_says_by_whom(one: Living, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("long enough")
    command("user", "add", "ada", "--password-file", str(tmp_path / "pw"), "--home", str(one.agent.home))
    assert "ada" in command("user", "list", "--home", str(one.agent.home)).stdout
    newest = Audit(one.agent._database).newest(1)[0]
    assert f"uid {os.geteuid()}" in str(newest)
    assert "long enough" not in str(newest)


def test_a_home_that_is_none_is_named(tmp_path: Path) -> None:
    result = command("task", "list", "--home", str(tmp_path), code=1)
    assert "is no agent's home" in result.stderr


def test_an_agent_that_does_not_run_is_said_not_to(tmp_path: Path) -> None:
    (tmp_path / "address.json").write_text('{"ip":"127.0.0.1","port":1,"rpc_port":2}')
    result = command("task", "list", "--home", str(tmp_path), code=4)
    assert "does not answer" in result.stderr


def test_a_stranger_on_a_port_of_this_host_cannot_name_somebody_elses_home(one: Living) -> None:
    """Root's command would otherwise go to an agent that nobody asked for."""
    control = FakeControl(here=Address("127.0.0.1", 4))
    control.home_path = str(one.agent.home)
    with served(control) as serving:
        client = AgentClient(Address("127.0.0.1", serving.port), settings=SETTINGS)
        assert client.info()["homePath"] == str(one.agent.home)
        assert client.is_local() is False
        with pytest.raises(AnswerError):
            client.get(PROTECTED)
