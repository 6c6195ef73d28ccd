"""Commands and files on another host, over SSH, from a thread: each call takes a bounded time and ends soon after it is told to stop.

Invariants: nobody is talked to whose host key was not accepted before; a command is a list, and reaches the far shell quoted; when a call
ends in any other way than well (stopped, timed out, connection cut), the far command's process group is ended by the far side itself, which
notices that its input has ended; a file is under its name there only when its SHA-256 is what it is here.

Secrets go to the login only, never into a command, because command lines are seen by everybody on a host.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from oboe.domain.errors import OboeError, Refused, StepFailed, Unreachable
from oboe.hosts.ssh_errors import translated
from oboe.kit.run import Completed
from oboe.kit.secret import Secret

if TYPE_CHECKING:
    import asyncssh

__all__ = ["HostKey", "Login", "Ssh", "Target", "scan_host_key"]

T = TypeVar("T")

CONNECT_SECONDS = 15.0
"""Connection and login together."""
KEEPALIVE_SECONDS = 15.0
KEEPALIVES_LOST_MAX = 3
OUTPUT_BYTES_MAX = 1 << 20
"""Of each stream of a command the last so many are kept."""
_CHUNK_BYTES = 1 << 16
_LOOK_SECONDS = 0.1
"""How long a call goes on before it looks whether it was told to stop."""
_END_SECONDS = 8.0
"""For the far side to end a command that was given up."""

_WATCHED = """
exec 3<&0
setsid "$@" 3<&- </dev/null &
child=$!
{ cat <&3; kill -TERM -"$child"; sleep 3; kill -KILL -"$child"; } >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"
status=$?
kill -KILL -"$child" 2>/dev/null
kill "$watch" 2>/dev/null
exit "$status"
"""
"""Runs a command in a session of its own and ends its process group when the input ends, however that comes about."""

_KEY_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

_RECEIVE = 'umask 077 && cat > "$1" && sha256sum < "$1"'


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in, and with what: a private key (OpenSSH or PEM form), a password, or both, tried in this order."""

    user: str
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    """Of the private key."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: ``host_key`` is the accepted one in OpenSSH's form (``ssh-ed25519 AAAA…``)."""

    host: str
    port: int
    login: Login
    host_key: str

    def __str__(self) -> str:
        return f"{self.login.user}@{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key and its fingerprint, as ``ssh-keygen -l`` shows it: ``SHA256:…``."""

    text: str
    fingerprint: str


def scan_host_key(host: str, port: int, *, timeout: float = CONNECT_SECONDS) -> HostKey:
    """What that host shows as its key, without logging in. `Unreachable` ``ssh.*``."""
    import asyncssh

    async def scan() -> HostKey:
        key = await asyncssh.get_server_host_key(host, port, config=None)
        if key is None:
            raise Refused("ssh.protocol", f"{host}:{port} showed no host key")
        return _host_key(key)

    with asyncio.Runner() as runner:
        try:
            return runner.run(asyncio.wait_for(scan(), timeout))
        except OboeError:
            raise
        except Exception as error:
            raise translated(error, f"{host}:{port}") from error


class Ssh:
    """One connection. Use it as a context manager, from one thread; ``check`` raises when the caller is to stop."""

    def __init__(self, target: Target, *, check: Callable[[], None] = lambda: None) -> None:
        self.target = target
        self._check = check
        self._loop = asyncio.new_event_loop()
        self._connection: asyncssh.SSHClientConnection | None = None

    def __enter__(self) -> Ssh:
        """Connect and log in. `Unreachable` or `Refused` ``ssh.*``."""
        try:
            self._connection = self._drive(self._connect(), CONNECT_SECONDS, "the connection")
        except BaseException:
            self._loop.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.abort()
            with suppress(Exception):  # it is gone whatever the other side says to that
                self._loop.run_until_complete(asyncio.wait_for(self._connection.wait_closed(), 1.0))
        self._loop.close()

    def run(self, command: Sequence[str], *, timeout: float) -> Completed:
        """Run a command to its end; its input is empty. `Unreachable` ``ssh.timeout``, ``ssh.cut``."""
        watched = shlex.join(["sh", "-c", _WATCHED, "oboe", *command])
        return self._drive(self._run(watched, None), timeout, f"{command[0]} on {self.target.host}")

    def upload(self, path: Path, to: str, *, timeout: float, told: Callable[[int], None] = lambda sent: None) -> str:
        """Copy a file, mode 0600; its SHA-256. Under its name only when it is whole. ``told`` hears how many bytes were sent.

        `StepFailed` ``host.disk_full``, ``host.not_written``, ``ssh.damaged``; `Unreachable` as `run`."""
        beside, digested = f"{to}.part", sha256()
        receive = shlex.join(["sh", "-c", _RECEIVE, "oboe", beside])
        with path.open("rb") as file:
            source = _Source(file, digested.update)
            what = f"the upload of {path.name} to {self.target.host}"
            ended = self._drive(self._run(receive, source), timeout, what, look=lambda: told(source.sent))
        if ended.status != 0:
            raise _not_written(to, ended.stderr)
        digest = digested.hexdigest()
        if ended.stdout.split()[:1] != [digest]:
            raise StepFailed("ssh.damaged", f"{to} is not what was sent", hint="try again; if it stays so, look at that host's disk")
        moved = self.run(["mv", "-f", "--", beside, to], timeout=timeout)
        if moved.status != 0:
            raise _not_written(to, moved.stderr)
        return digest

    # Inside

    async def _connect(self) -> asyncssh.SSHClientConnection:
        import asyncssh

        login = self.target.login
        keys = [_private_key(login)] if login.private_key else []
        return await asyncssh.connect(
            self.target.host,
            self.target.port,
            username=login.user,
            password=login.password.reveal() if login.password else None,
            client_keys=keys or None,
            known_hosts=([asyncssh.import_public_key(self.target.host_key)], [], []),
            server_host_key_algs=_key_algorithms(self.target.host_key),
            agent_path=None,
            config=None,
            host_based_auth=False,
            gss_auth=False,
            gss_kex=False,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES_LOST_MAX,
        )

    async def _run(self, command: str, source: _Source | None) -> Completed:
        assert self._connection is not None
        process = await self._connection.create_process(command, encoding=None)
        try:
            sending = _send(process, source) if source is not None else _nothing()
            _, out, err = await asyncio.gather(sending, _tail(process.stdout), _tail(process.stderr))
            await process.wait_closed()
        except asyncio.CancelledError:
            # The far side ends the command when its input ends; this waits for the word that it has.
            with suppress(Exception):
                process.stdin.write_eof()
                await asyncio.wait_for(process.wait_closed(), _END_SECONDS)
            raise
        status = process.returncode
        if status is None:
            raise Unreachable("ssh.cut", f"the connection to {self.target} was cut", hint="what ran there was ended; try again")
        return Completed(status, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    def _drive(self, work: Coroutine[Any, Any, T], timeout: float, what: str, *, look: Callable[[], None] = lambda: None) -> T:
        """Go on with ``work`` until it ends, time is up, or ``check`` raises; then it is cancelled, and given time to clean up."""
        task = self._loop.create_task(work)
        deadline = time.monotonic() + timeout
        try:
            while not task.done():
                self._check()
                look()
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Unreachable("ssh.timeout", f"{what} took longer than {timeout:g} s", hint="is the host overloaded or filtered?")
                self._loop.run_until_complete(asyncio.wait({task}, timeout=min(_LOOK_SECONDS, left)))
        except BaseException:
            task.cancel()
            self._loop.run_until_complete(asyncio.wait({task}, timeout=_END_SECONDS + 1.0))
            raise
        try:
            return task.result()
        except OboeError:
            raise
        except Exception as error:
            raise translated(error, str(self.target)) from error


@dataclass(slots=True)
class _Source:
    """A file on its way, and who is told each of its chunks."""

    file: BinaryIO
    seen: Callable[[bytes], None]
    sent: int = 0


async def _send(process: asyncssh.SSHClientProcess[bytes], source: _Source) -> None:
    with suppress(BrokenPipeError):  # a far side that gave up says why on its own
        while chunk := source.file.read(_CHUNK_BYTES):
            source.seen(chunk)
            process.stdin.write(chunk)
            await process.stdin.drain()
            source.sent += len(chunk)
        process.stdin.write_eof()


async def _nothing() -> None:
    """The input stays open while the command runs: its end is the word to end it."""


async def _tail(stream: asyncssh.SSHReader[bytes]) -> bytes:
    kept = b""
    while chunk := await stream.read(_CHUNK_BYTES):
        kept = (kept + chunk)[-OUTPUT_BYTES_MAX:]
    return kept


def _key_algorithms(accepted: str) -> list[str]:
    """The accepted key's first, so that a host that has several shows that one; the others too, because a server that has lost it would
    else just hang up instead of showing that its key has changed."""
    kind = "rsa-" if accepted.startswith("ssh-rsa") else accepted.split()[0]
    return sorted(_KEY_ALGORITHMS, key=lambda each: not each.startswith(kind))


def _private_key(login: Login) -> asyncssh.SSHKey:
    import asyncssh

    assert login.private_key is not None
    try:
        return asyncssh.import_private_key(login.private_key.reveal(), login.passphrase.reveal() if login.passphrase else None)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise Refused(
            "ssh.key_unreadable", "the private key cannot be read", hint="is it whole, in OpenSSH's form, and is its passphrase right?"
        ) from None


def _host_key(key: asyncssh.SSHKey) -> HostKey:
    return HostKey(key.export_public_key("openssh").decode().strip(), key.get_fingerprint("sha256"))


def _not_written(to: str, words: str) -> StepFailed:
    last = (words.strip().splitlines() or ["it did not say why"])[-1]
    if "No space left on device" in words or "Disk quota exceeded" in words:
        return StepFailed("host.disk_full", f"{to} cannot be written: the disk is full", hint="make room there, then retry")
    return StepFailed("host.not_written", f"{to} cannot be written: {last[:300]}", hint="may the user write there?")
