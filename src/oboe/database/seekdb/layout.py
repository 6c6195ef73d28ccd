"""The directory of an instance: its files, who holds its lock, whether it ever served, and what its log says of a failure.

Beside seekdb's own files there are ``wallet`` (certificates), ``.oboe/process`` (record of the server process) and ``.oboe/served``
(it served once: from then on nothing wipes it but *destroy*).
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
from pathlib import Path

from oboe.database.port import Certificates, Instance
from oboe.hosts import directories

__all__ = ["Layout"]

_FLOCK = struct.Struct("hhqqi0q")
"""struct flock: type, whence, start, length, pid."""
_LOG_TAIL_BYTES = 1 << 20
_LINES = 4
_LINE = re.compile(r"^\[[^\]]*\] ERROR +(?:\[\w+\] )?(?P<where>\S+ \([^)]*\)).*?\[lt=\d+\](?P<text>.*)$")
_ADVICE = re.compile(r"(?:, the stop status is \w+)?\. you may find .*$")
_BANNER = ("Starting seekdb", "Change working directory", "The log file is in")
_EXITS = {
    1: "it refused its parameters, its ports or its data",
    79: "its base directory is a file",
    87: "its base directory cannot be made",
    89: "a bad role",
    94: "an option that it does not know, or a bad port",
    96: "another seekdb runs in that directory",
    126: "the binary cannot be executed",
    127: "the binary is missing, or a library of it",
}


class Layout:
    """Paths and facts of one instance's directories."""

    def __init__(self, instance: Instance) -> None:
        self.base = Path(instance.base_dir)
        self.owner = f"seekdb in {instance.base_dir}"
        self._places = [self.base, *(Path(text) for text in (instance.data_dir, instance.redo_dir) if text)]
        self.redo = Path(instance.redo_dir) / "clog" if instance.redo_dir else None
        """seekdb wants it empty, so it lies beside our marker, where OceanBase's has it too."""
        self.socket = self.base / "run" / "sql.sock"
        self.record = self.base / ".oboe" / "process"
        self._served = self.base / ".oboe" / "served"
        self._wallet = self.base / "wallet"
        self._log = self.base / "log" / "seekdb.log"

    # Directories

    def claim(self) -> None:
        for place in self._places:
            directories.claim(place, self.owner)

    def wipe(self) -> None:
        """Back to what `claim` and the certificates made."""
        for place in self._places:
            directories.empty(place, self.owner, keep=("wallet",))

    def remove(self) -> None:
        for place in reversed(self._places):
            directories.remove(place, self.owner)

    @property
    def claimed(self) -> bool:
        return all(directories.is_claimed(place, self.owner) for place in self._places)

    def check_free(self) -> None:
        """`StepFailed` when `claim` would raise it; nothing is left behind."""
        for place in self._places:
            if not directories.is_claimed(place, self.owner):
                directories.claim(place, self.owner)
                directories.remove(place, self.owner)

    @property
    def places(self) -> list[Path]:
        return list(self._places)

    # Certificates

    def write_certificates(self, certificates: Certificates) -> None:
        self._wallet.mkdir(mode=0o700, exist_ok=True)
        for name, text in (("ca.pem", certificates.ca), ("cert.pem", certificates.certificate), ("key.pem", certificates.key)):
            beside = self._wallet / f"{name}.new"
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            beside.replace(self._wallet / name)

    @property
    def has_certificates(self) -> bool:
        return (self._wallet / "key.pem").exists()

    # Life

    def holder(self) -> int:
        """Pid of the server that holds the directory, 0 when it is down: the one test that no zombie deceives."""
        try:
            with (self.base / "run" / "seekdb.pid").open("rb") as file:
                asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
                return 0 if kind == fcntl.F_UNLCK else int(pid)
        except (FileNotFoundError, NotADirectoryError):
            return 0

    @property
    def served(self) -> bool:
        return self._served.exists()

    def mark_served(self) -> None:
        self._served.parent.mkdir(exist_ok=True)
        self._served.touch()

    @property
    def has_store(self) -> bool:
        return (self.base / "store").exists()

    def written_bytes(self) -> int:
        """What its files hold now; it grows while a clone makes progress."""
        total = 0
        for place in self._places:
            for where, _, names in os.walk(place):
                for name in names:
                    try:
                        total += os.lstat(os.path.join(where, name)).st_blocks * 512  # noqa: PTH118 - thousands of files
                    except FileNotFoundError:
                        continue
        return total

    # Failures

    def log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def log_since(self, size: int) -> str:
        """What the log says since it had that size, its last megabyte at most."""
        try:
            with self._log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(size if size <= end else 0, end - _LOG_TAIL_BYTES))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def failure(self, status: int, since: int) -> str:
        """Why the server ended: its exit status in words and the last errors of its log."""
        words = f"killed by signal {-status}" if status < 0 else f"exit status {status}: {_EXITS.get(status, 'no known meaning')}"
        lines = [line for line in self.log_since(since).splitlines() if " ERROR " in line]
        texts = [_ADVICE.sub("", _LINE.sub(r"\g<where>\g<text>", line))[:300] for line in lines[-_LINES:]]
        return "; ".join([words, *(texts or self._said() or ["it wrote no reason; look at its parameters first"])])

    def _said(self) -> list[str]:
        """What it printed, without the three lines that it always prints."""
        try:
            lines = (self.record / "stderr").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line[:300] for line in lines if line.strip() and not line.startswith(_BANNER)][-_LINES:]
