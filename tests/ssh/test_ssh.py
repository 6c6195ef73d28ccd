"""Commands and files over SSH, against OpenSSH's server and asyncssh's."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import asyncssh
import psutil
import pytest

from oboe.domain.errors import Interrupted, OboeError, Refused, StepFailed, Unreachable
from oboe.hosts import ssh as ssh_module
from oboe.hosts.ssh import Login, Ssh, scan_host_key
from oboe.kit.secret import Secret
from tests.ssh.servers import PASSWORD, Server, StandIn


def test_a_command_is_a_list_and_nothing_in_it_means_anything_to_the_far_shell(server: Server) -> None:
    odd = ["", "a b", "$HOME", "`id`", "'", '"', "*", "; exit 3", "\n", "ä", "-n"]
    with Ssh(server.target()) as ssh:
        ended = ssh.run(["printf", "<%s>", *odd], timeout=10)
    assert (ended.status, ended.stdout) == (0, "".join(f"<{each}>" for each in odd))


def test_status_and_both_outputs_come_back_and_a_signal_is_shown_as_shells_do(server: Server) -> None:
    with Ssh(server.target()) as ssh:
        plain = ssh.run(["sh", "-c", "echo out; echo err >&2; exit 7"], timeout=10)
        killed = ssh.run(["sh", "-c", "kill -KILL $$"], timeout=10)
    assert (plain.status, plain.stdout, plain.stderr) == (7, "out\n", "err\n")
    assert killed.status == 137


def test_a_long_output_is_kept_at_its_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "OUTPUT_BYTES_MAX", 100)
    with Ssh(server.target()) as ssh:
        ended = ssh.run(["seq", "1", "200000"], timeout=20)
    assert len(ended.stdout) == 100
    assert ended.stdout.endswith("199999\n200000\n")


@pytest.mark.parametrize("how", ["stopped", "timed out", "cut"])
def test_however_a_call_ends_early_the_far_process_group_is_gone(
    server: Server, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_module, "_WATCHED", ssh_module._WATCHED.replace("sleep 3", "sleep 0.2"))
    mark = tmp_path / "pids"
    command = ["sh", "-c", f"trap '' TERM; sleep 600 & echo $$ $! > {mark}; wait; sleep 600"]
    told = threading.Event()

    def check() -> None:
        if told.is_set():
            raise Interrupted("asked")

    def runs() -> bool:
        return mark.exists() and len(mark.read_text().split()) == 2

    def act() -> None:
        _until(runs)
        server.cut() if how == "cut" else told.set()

    if how == "timed out":
        monkeypatch.setattr(ssh_module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 1000 * runs()))
    else:
        threading.Thread(target=act, daemon=True).start()
    wanted = {"stopped": Interrupted, "timed out": Unreachable, "cut": Unreachable}[how]
    with pytest.raises(wanted) as caught, Ssh(server.target(), check=check) as ssh:
        ssh.run(command, timeout=60)
    if isinstance(caught.value, OboeError):
        assert caught.value.code == {"timed out": "ssh.timeout", "cut": "ssh.cut"}[how]
    pids = [int(pid) for pid in mark.read_text().split()]
    _until(lambda: not any(_lives(pid) for pid in pids))


def test_what_a_command_leaves_in_its_group_ends_with_it(server: Server, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with Ssh(server.target()) as ssh:
        ssh.run(["sh", "-c", f"sleep 600 >/dev/null 2>&1 & echo $! > {mark}"], timeout=10)
    _until(lambda: not _lives(int(mark.read_text())))


def test_a_file_is_whole_under_its_name_or_not_there(server: Server, tmp_path: Path) -> None:
    source, there = tmp_path / "source", tmp_path / "there is a place"
    source.write_bytes(os.urandom(3_000_001))
    with Ssh(server.target()) as ssh:
        assert ssh.upload(source, str(there), timeout=20) == sha256(source.read_bytes()).hexdigest()
        assert there.read_bytes() == source.read_bytes()
        assert there.stat().st_mode & 0o777 == 0o600
        with pytest.raises(StepFailed) as caught:
            ssh.upload(source, str(tmp_path / "no" / "directory"), timeout=20)
    assert caught.value.code == "host.not_written"


def test_a_file_that_arrives_damaged_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, there = tmp_path / "source", tmp_path / "there"
    source.write_bytes(b"what was meant")
    monkeypatch.setattr(ssh_module, "_RECEIVE", 'sed s/meant/sent/ > "$1" && sha256sum < "$1"')
    with Ssh(server.target()) as ssh, pytest.raises(StepFailed) as caught:
        ssh.upload(source, str(there), timeout=10)
    assert caught.value.code == "ssh.damaged"
    assert not there.exists()


def test_a_full_disk_is_said(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 4096)
    full = tmp_path / "full.part"
    full.symlink_to("/dev/full")
    with Ssh(server.target()) as ssh, pytest.raises(StepFailed) as caught:
        ssh.upload(source, str(tmp_path / "full"), timeout=10)
    assert caught.value.code == "host.disk_full"


def test_the_key_that_is_shown_is_the_one_to_accept(server: Server) -> None:
    seen = scan_host_key("127.0.0.1", server.port)
    assert (seen.text, seen.fingerprint) == (server.host_key, server.fingerprint)


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
def test_a_changed_host_key_is_refused_before_anything_is_said(server: Server, kind: str) -> None:
    other = asyncssh.generate_private_key(kind).export_public_key("openssh").decode()
    assert _refusal(lambda: Ssh(server.target(host_key=other)).__enter__()) == "ssh.host_key_changed"


def test_a_wrong_key_or_password_is_denied_and_shown_nowhere(server: Server) -> None:
    other = Secret(asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh").decode())
    for login in (Login(server.user, private_key=other), Login(server.user, password=Secret("not it")), Login(server.user)):
        with pytest.raises(Refused) as caught:
            Ssh(server.target(login=login)).__enter__()
        assert caught.value.code == "ssh.denied"
        assert "not it" not in repr((caught.value, login, caught.value.__cause__))


def test_a_password_lets_in(tmp_path: Path) -> None:
    server = StandIn(tmp_path / "ssh").begin()
    try:
        with Ssh(server.target(login=server.login(password=Secret(PASSWORD)))) as ssh:
            assert ssh.run(["true"], timeout=10).status == 0
    finally:
        server.end()


@pytest.mark.filterwarnings("ignore:.*bcrypt.kdf")
def test_a_private_key_with_a_passphrase_is_read_with_it_and_not_without(server: Server) -> None:
    plain = asyncssh.import_private_key(server.key.reveal())
    sealed = Secret(plain.export_private_key("openssh", passphrase="open up", rounds=1).decode())
    with Ssh(server.target(login=server.login(private_key=sealed, passphrase=Secret("open up")))) as ssh:
        assert ssh.run(["true"], timeout=10).status == 0
    for login in (server.login(private_key=sealed), server.login(private_key=Secret("no key"))):
        assert _refusal(lambda login=login: Ssh(server.target(login=login)).__enter__()) == "ssh.key_unreadable"


def test_who_is_not_there_is_named_so(tmp_path: Path) -> None:
    server = StandIn(tmp_path / "ssh")
    assert _refusal(lambda: Ssh(server.target()).__enter__()) == "ssh.refused"
    assert _refusal(lambda: scan_host_key("127.0.0.1", server.port)) == "ssh.refused"
    assert _refusal(lambda: scan_host_key("no-such-host.invalid", 22)) in ("ssh.unknown_host", "ssh.timeout")


def test_one_that_accepts_and_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_module, "CONNECT_SECONDS", 0.5)
    server = StandIn(tmp_path / "ssh")
    with socket.create_server(("127.0.0.1", server.port)):
        assert _refusal(lambda: Ssh(server.target()).__enter__()) == "ssh.timeout"


def test_one_that_speaks_something_else_is_named_so(tmp_path: Path) -> None:
    server = StandIn(tmp_path / "ssh")
    with socket.create_server(("127.0.0.1", server.port)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2000)
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        assert _refusal(lambda: Ssh(server.target()).__enter__()) in ("ssh.protocol", "ssh.cut")


def test_secrets_are_in_no_repr(server: Server) -> None:
    login = Login("me", password=Secret("hidden"), private_key=server.key, passphrase=Secret("hidden"))
    assert "hidden" not in repr(server.target(login=login))
    assert "PRIVATE" not in repr(server.target(login=login))


def test_the_far_side_has_what_commands_are_watched_with() -> None:
    assert all(shutil.which(each) for each in ("sh", "setsid", "sha256sum", "cat", "mv"))


def _refusal(action: Callable[[], object]) -> str:
    with pytest.raises(OboeError) as caught:
        action()
    return caught.value.code


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _until(fact: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "never came true"
        threading.Event().wait(0.02)
