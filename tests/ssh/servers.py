"""SSH servers on loopback: OpenSSH's, started as this user with keys and configuration of its own, and asyncssh's where there is none."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from demo.ports import free_ports
from oboe.hosts.ssh import Login, Target
from oboe.kit.secret import Secret

__all__ = ["PASSWORD", "SSHD", "OpenSsh", "Server", "StandIn"]

PASSWORD = "ssh pass phrase"
"""That the stand-in takes."""
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
_START_SECONDS = 60.0


class Server:
    """``begin`` before anything else. ``key`` is the private key that it lets in; ``host_key`` its own public one."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        (self.port,) = free_ports(1)
        self.user = getpass.getuser()
        made = asyncssh.generate_private_key("ssh-ed25519")
        self.key = Secret(made.export_private_key("openssh").decode())
        self.public = made.export_public_key("openssh").decode()
        self.new_host_key()

    def new_host_key(self) -> None:
        made = asyncssh.generate_private_key("ssh-ed25519")
        made.write_private_key(str(self.directory / "host_key"))
        (self.directory / "host_key").chmod(0o600)
        self.host_key = made.export_public_key("openssh").decode().strip()
        self.fingerprint = made.get_fingerprint("sha256")

    def login(self, **given: Any) -> Login:
        return Login(self.user, **(given or {"private_key": self.key}))

    def target(self, *, host_key: str = "", login: Login | None = None) -> Target:
        return Target("127.0.0.1", self.port, login or self.login(), host_key or self.host_key)

    def begin(self) -> Server:
        raise NotImplementedError

    def cut(self) -> None:
        """Every connection ends, as when a cable is pulled; the server goes on listening."""
        raise NotImplementedError

    def end(self) -> None:
        raise NotImplementedError


class OpenSsh(Server):
    """sshd in the foreground, on its own port, with its own files."""

    _process: subprocess.Popen[bytes] | None = None

    def begin(self) -> Server:
        assert SSHD is not None
        (self.directory / "authorized_keys").write_text(self.public)
        config = self.directory / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.directory / 'host_key'}\n"
            f"AuthorizedKeysFile {self.directory / 'authorized_keys'}\nPidFile none\nStrictModes no\nUsePAM no\n"
            "PasswordAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\nLogLevel VERBOSE\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with (self.directory / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(self.port):
            assert self._process.poll() is None, (self.directory / "sshd.log").read_text()
            assert time.monotonic() < deadline, (self.directory / "sshd.log").read_text()
            time.sleep(0.02)
        return self

    def sessions(self) -> list[psutil.Process]:
        assert self._process is not None
        return [each for each in psutil.Process(self._process.pid).children(recursive=True) if each.name() == "sshd"]

    def cut(self) -> None:
        for session in self.sessions():
            with suppress(psutil.Error):
                session.kill()

    def end(self) -> None:
        if self._process is not None:
            self.cut()
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None


class StandIn(Server):
    """asyncssh's server, in a thread; it has real shells run what it is asked."""

    def begin(self) -> Server:
        self._loop = asyncio.new_event_loop()
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._listener = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(_START_SECONDS)
        return self

    async def _listen(self) -> asyncssh.SSHAcceptor:
        keys = asyncssh.import_authorized_keys(self.public)
        outer = self

        class Doorman(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                outer._connections.append(conn)

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return password == PASSWORD

        return await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=Doorman,
            server_host_keys=[str(self.directory / "host_key")],
            authorized_client_keys=keys,
            process_factory=_shell,
            encoding=None,
        )

    def cut(self) -> None:
        def abort() -> None:
            for each in self._connections:
                each.abort()
            self._connections.clear()

        self._loop.call_soon_threadsafe(abort)

    def end(self) -> None:
        async def close() -> None:
            self._listener.close()
            for each in self._connections:
                each.abort()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result(_START_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        self._loop.close()


async def _shell(process: asyncssh.SSHServerProcess[bytes]) -> None:
    far = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert far.stdin is not None
    assert far.stdout is not None
    assert far.stderr is not None
    reading = asyncio.create_task(_copy(process.stdin, far.stdin))
    try:
        await asyncio.gather(_copy(far.stdout, process.stdout), _copy(far.stderr, process.stderr))
        status = await far.wait()
        process.exit(status if status >= 0 else 128 - status)
    finally:
        reading.cancel()
        far.stdin.close()


async def _copy(source: Any, sink: Any) -> None:
    """Until the source ends, however it does; then the sink ends too, if it is a pipe."""
    try:
        while chunk := await source.read(1 << 16):
            sink.write(chunk)
            await sink.drain()
    except (OSError, asyncssh.Error):
        pass
    finally:
        if isinstance(sink, asyncio.StreamWriter):
            sink.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
