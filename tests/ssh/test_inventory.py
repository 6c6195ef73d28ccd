"""The inventory of hosts, as people use it: by the command line of a real agent, with a real SSH server."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from demo.ports import RPC_OFFSET, free_ports
from oboe.cli.main import oboe
from oboe.control.hosts import ACTIONS
from oboe.domain.errors import Refused
from oboe.hosts.checks import Wanted, problems
from oboe.membership.inventory import Host, check_host
from tests.ocp.site import Site
from tests.ssh.servers import Server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"))
    try:
        yield made
    finally:
        made.end()


class Desk:
    """The command line, at one agent."""

    def __init__(self, site: Site, server: Server, place: Path) -> None:
        self.site, self.server, self.place = site, server, place
        self.key = place / "login key"
        self.key.write_text(server.key.reveal())
        self.agent = "127.0.0.1:{}".format(*free_ports(1, offset=RPC_OFFSET))

    def __call__(self, *words: str, status: int = 0) -> Any:
        ended = CliRunner().invoke(oboe, ["host", *words, "--agent", str(self.site.address), "--json"], catch_exceptions=False)
        assert ended.exit_code == status, (words, ended.output)
        return json.loads(ended.output.strip().splitlines()[-1])

    def add(self, name: str, *more: str, status: int = 0) -> Any:
        place = ["--agent-home", str(self.place / name / "home"), "--prefix", str(self.place / name / "oboe"), "--python", "python3"]
        login = f"{self.server.user}@127.0.0.1:{self.server.port}"
        given = ["--host-agent", self.agent, "--key-file", str(self.key), "--driver", "fake", *place]
        return self("add", name, login, *given, *(more or ["--fingerprint", self.server.fingerprint]), status=status)


@pytest.fixture
def desk(site: Site, server: Server, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(site, server, tmp_path)
    try:
        yield made
    finally:
        for host in site.agent.control.hosts.all():
            site.agent.control.hosts.remove(host.name, who="test")


def test_a_host_is_added_shown_checked_and_removed_and_its_key_is_nowhere(desk: Desk) -> None:
    added = desk.add("one")
    assert added["host_key"] == desk.server.host_key
    assert added["credentials"] == ["private_key"]
    assert desk("show", "one") == added
    assert desk("list") == [added]
    report = desk("check", "one")
    assert (report["ok"], report["problems"], report["agent"], report["versions"]) == (True, [], None, [])
    assert not (desk.place / "one").exists(), "a check touches nothing"
    removed = desk("remove", "one")
    assert removed == {"name": "one", "removed": True}
    assert desk("list") == []
    secret = desk.server.key.reveal().splitlines()[1]
    kept = (desk.site.root / "home" / "oboe.db").read_bytes() + (desk.site.root / "home" / "oboe.db-wal").read_bytes()
    assert secret.encode() not in kept
    assert all(secret not in each.read_text() for each in (desk.site.root / "home").rglob("*.log"))


def test_numbers_are_never_given_twice(desk: Desk) -> None:
    first = desk.add("one")["id"]
    desk("remove", "one")
    assert desk.add("one")["id"] == first + 1


def test_a_key_that_nobody_has_accepted_is_refused_and_its_fingerprint_told(desk: Desk) -> None:
    asked = ["--agent-home", "/srv/home"]
    refused = desk.add("one", *asked, status=1)
    assert refused["error"]["code"] == "SSH.HostKeyUnknown"
    assert desk.server.fingerprint in json.dumps(refused)
    other = "SHA256:" + "A" * 43
    assert desk.add("one", "--fingerprint", other, status=1)["error"]["code"] == "SSH.HostKeyChanged"
    assert desk("list") == []
    assert desk.add("one", "--accept-new")["host_key"] == desk.server.host_key


def test_a_changed_key_is_a_problem_until_it_is_accepted(desk: Desk) -> None:
    desk.add("one")
    desk.server.end()
    desk.server.new_host_key()
    desk.server.begin()
    report = desk("check", "one", status=7)
    assert [each["code"] for each in report["problems"]] == ["ssh.host_key_changed"]
    assert "accept-key" in report["problems"][0]["hint"]
    assert desk("accept-key", "one", "--fingerprint", desk.server.fingerprint)["host_key"] == desk.server.host_key
    assert desk("check", "one")["ok"] is True


def test_a_check_names_the_port_that_is_taken_and_the_python_that_is_missing(desk: Desk) -> None:
    desk.add("one")
    with socket.create_server(("127.0.0.1", int(desk.agent.rpartition(":")[2]) + 1000)):
        report = desk("check", "one", status=7)
    assert [each["code"] for each in report["problems"]] == ["host.port_taken"]
    desk("remove", "one")
    desk.add("two", "--accept-new", "--python", "python-that-is-not-there")
    assert [each["code"] for each in desk("check", "two", status=7)["problems"]] == ["host.no_python"]


def test_a_host_that_does_not_answer_is_a_problem_and_no_failure(desk: Desk) -> None:
    desk.add("one")
    desk.server.end()
    assert [each["code"] for each in desk("check", "one", status=7)["problems"]] == ["ssh.refused"]
    desk.server.begin()


def test_two_hosts_have_neither_name_nor_agent_in_common(desk: Desk) -> None:
    desk.add("one")
    assert desk.add("two", status=1)["error"]["code"] == "Host.Exists"
    desk.agent = "127.0.0.1:1"
    assert desk.add("one", status=1)["error"]["code"] == "Host.Exists"
    assert desk("show", "nobody", status=1)["error"]["code"] == "Host.Unknown"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "a b"),
        ("name", "7"),
        ("address", "-oProxyCommand=id"),
        ("port", 0),
        ("user", "root;id"),
        ("agent", "host:1"),
        ("home", "relative"),
        ("home", "/a\nb"),
        ("prefix", "/home"),
        ("python", "-c"),
        ("driver", "oracle"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(member: str, value: Any) -> None:
    fine: dict[str, Any] = {"name": "n", "address": "10.0.0.1", "user": "u", "agent": "10.0.0.1:2886", "password": "p", "home": "/home"}
    check_host(Host(**fine))
    with pytest.raises(Refused) as caught:
        check_host(Host(**{**fine, member: value}))
    assert caught.value.code == "host.invalid"
    assert member in caught.value.message


_SECOND = 1_000_000_000
_FINE: dict[str, Any] = {
    "python": [3, 11, 2],
    "venv": True,
    "system": "Linux",
    "machine": "x86_64",
    "user": "u",
    "now": 100 * _SECOND,
    "free_bytes": 1 << 30,
    "home_free_bytes": 1 << 30,
    "prefix_writable": True,
    "home_writable": True,
    "ports": {"2886": ""},
}


@pytest.mark.parametrize(
    ("seen", "codes"),
    [
        ({}, []),
        ({"python": [3, 9, 18]}, ["host.python_old"]),
        ({"venv": False}, ["host.no_venv"]),
        ({"system": "Darwin"}, ["host.not_linux"]),
        ({"machine": "aarch64"}, ["host.package_mismatch"]),
        ({"python": [3, 12, 0]}, ["host.package_mismatch"]),
        ({"free_bytes": 1 << 20}, ["host.disk_low"]),
        ({"home_free_bytes": 1 << 20}, ["host.disk_low"]),
        ({"prefix_writable": False}, ["host.not_writable"]),
        ({"ports": {"2886": "Address already in use", "3886": ""}}, ["host.port_taken"]),
        ({"now": 103 * _SECOND}, ["host.clock"]),
        ({"now": 96 * _SECOND}, ["host.clock"]),
        ({"now": 102 * _SECOND}, []),
    ],
)
def test_each_problem_has_a_code_and_says_what_to_do(seen: dict[str, Any], codes: list[str]) -> None:
    wanted = Wanted(free_bytes=512 << 20, skew_seconds=2.0, machine="x86_64", python="3.11")
    found = problems(_FINE | seen, wanted, asked_at=99 * _SECOND, answered_at=100 * _SECOND)
    assert [each.code for each in found] == codes
    assert all(each.message and each.hint for each in found)


def test_the_page_about_hosts_names_commands_and_codes_that_there_are() -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "hosts.md").read_text()
    group = oboe.get_command(None, "host")  # type: ignore[arg-type]
    commands = set(re.findall(r"oboe host ([a-z-]+)", page)) | set(
        re.findall(r"`((?:un|re)?install-agent|(?:re)?start-agent|stop-agent)`", page)
    )
    assert commands <= set(group.commands)  # type: ignore[union-attr]
    assert {f"{action}-agent" for action in ACTIONS} <= commands
    sources = "".join(each.read_text() for each in (root / "src" / "oboe").rglob("*.py"))
    codes = set(re.findall(r"`((?:ssh|host|package)\.[a-z_]+)`", page))
    assert len(codes) > 20
    assert [code for code in sorted(codes) if f'"{code}"' not in sources and not code.startswith("host.wrong_")] == []
    assert all(name in page for name in ("host_free_bytes_min", "host_clock_skew_seconds_max"))


def test_an_agent_that_starts_loads_no_ssh() -> None:
    program = "import sys, oboe.daemon; from oboe.daemon.parts import _registry; _registry(()); print([m for m in %r if m in sys.modules])"
    told = subprocess.run(
        [sys.executable, "-c", program % (["asyncssh", "tarfile", "packaging"],)], capture_output=True, text=True, timeout=60, check=True
    )
    assert told.stdout.strip() == "[]"


def test_the_far_side_uses_nothing_but_the_standard_library() -> None:
    import ast

    text = (Path(__file__).parents[2] / "src/oboe/hosts/far_side.py").read_text()
    assert len(text) < 100_000 - len(os.environ), "it has to fit into one argument of a command"
    names = {alias.name.split(".")[0] for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= sys.stdlib_module_names
