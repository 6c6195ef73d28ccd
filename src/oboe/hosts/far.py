"""Another host, asked by the verbs of `oboe.hosts.far_side` over one SSH connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from oboe.domain.errors import StepFailed
from oboe.hosts.ssh import Ssh

__all__ = ["Far"]

_NOT_FOUND = (126, 127)


class Far:
    """The far side. ``python`` is the interpreter there that runs it."""

    def __init__(self, ssh: Ssh, python: str) -> None:
        self._ssh = ssh
        self._python = python
        self._source = files("oboe.hosts").joinpath("far_side.py").read_text(encoding="utf-8")

    def ask(self, verb: str, *, timeout: float = 60.0, **asked: Any) -> dict[str, Any]:
        """The verb's answer. `StepFailed` with the far side's code, ``host.no_python``, ``host.python_failed``; `Unreachable` ``ssh.*``."""
        ended = self._ssh.run([self._python, "-I", "-c", self._source, verb, json.dumps(asked)], timeout=timeout)
        if ended.status in _NOT_FOUND:
            hint = "install Python 3.11 or newer there, or name another one with --python"
            raise StepFailed("host.no_python", f"{self._ssh.target.host} has no {self._python}", hint=hint)
        try:
            answer = json.loads(ended.stdout.strip().splitlines()[-1])
        except (IndexError, ValueError):
            words = (ended.stderr.strip().splitlines() or [f"status {ended.status}"])[-1][:300]
            hint = "is it Python 3.11 or newer?"
            raise StepFailed("host.python_failed", f"{self._python} on {self._ssh.target.host}: {words}", hint=hint) from None
        error = answer.get("error")
        if error:
            raise StepFailed(str(error["code"]), f"{self._ssh.target.host}: {error['message']}", hint=str(error.get("hint", "")))
        return dict(answer)

    def send(self, path: Path, to: str, *, timeout: float, told: Callable[[int], None] = lambda sent: None) -> str:
        """Copy a file there; its SHA-256. As `Ssh.upload`."""
        return self._ssh.upload(path, to, timeout=timeout, told=told)
