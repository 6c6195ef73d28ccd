"""The server binary: where the wheel put it, what it calls itself, why it cannot run here."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path

__all__ = ["Binary"]

_VERSION = re.compile(r"\(OceanBase seekdb\s*([\d.]+)\)")
_REVISION = re.compile(r"REVISION:\s*(\d+)-([a-fA-F0-9]+)")
_GLIBC = (2, 28)
_ANSWER_SECONDS = 20.0


class Binary:
    """``pylibseekdb/seekdb`` of the installed wheel, found without importing it, or the file that a setting names.

    ``memory`` is a file that keeps what the binary said of itself."""

    def __init__(self, path: Path | None = None, *, memory: Path | None = None) -> None:
        self._given = path
        self._memory = memory
        self._answer: tuple[tuple[str, int], str, str] | None = None

    @property
    def path(self) -> Path | None:
        if self._given is not None:
            return self._given
        found = importlib.util.find_spec("pylibseekdb")
        return Path(found.origin).parent / "seekdb" if found is not None and found.origin else None

    @property
    def environment(self) -> dict[str, str]:
        """libaio lies beside it."""
        return {"LD_LIBRARY_PATH": str(self.path.parent)} if self.path is not None else {}

    def version(self) -> str:
        """``<version>-<release>.<first digits of the revision>``; empty when it cannot run."""
        return self._ask()[0]

    def problem(self) -> str:
        """Why it cannot run here; empty when it can."""
        return self._ask()[1]

    def _ask(self) -> tuple[str, str]:
        path = self.path
        if path is None:
            return "", "the package pylibseekdb is not installed (pip install 'oboe-ops[seekdb]')"
        if not path.is_file():
            return "", f"there is no seekdb binary at {path}: this release of pylibseekdb has no server, 1.4.0 has one"
        key = (str(path), path.stat().st_mtime_ns)
        if self._answer is None or self._answer[0] != key:
            version, problem = self._remembered(key), ""
            if not version:
                version, problem = self._run(path)
                self._remember(key, version)
            self._answer = (key, version, problem)
        return self._answer[1:]

    def _remembered(self, key: tuple[str, int]) -> str:
        """What this very file answered another time; asking it takes a third of a second, at every start of the agent."""
        if self._memory is None:
            return ""
        try:
            *known, version = json.loads(self._memory.read_bytes())
        except (OSError, ValueError, TypeError):
            return ""
        return str(version) if known == list(key) else ""

    def _remember(self, key: tuple[str, int], version: str) -> None:
        if self._memory is not None and version:
            with suppress(OSError):
                self._memory.parent.mkdir(parents=True, exist_ok=True)
                self._memory.write_text(json.dumps([*key, version]), encoding="utf-8")

    def _run(self, path: Path) -> tuple[str, str]:
        library, version = platform.libc_ver()
        if library == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < _GLIBC:
            return "", f"seekdb needs glibc 2.28, this host has {version}"
        try:
            done = subprocess.run(
                [str(path), "-V"],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_ANSWER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return "", f"{path} cannot be run: {error}"
        text = done.stdout.decode("utf-8", "replace")
        named, revision = _VERSION.search(text), _REVISION.search(text)
        if done.returncode or named is None or revision is None:
            return "", f"{path} does not answer like seekdb (exit status {done.returncode}): {text.strip()[:200]}"
        return f"{named[1]}-{revision[1]}.{revision[2][:8]}", ""
