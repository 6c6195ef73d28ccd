"""A home that somebody has damaged: the agent does not start, and one line says which file it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_DAMAGE = {
    "address.json": ("{", "agent.address_damaged"),
    "key": ("short", "key.damaged"),
    "oboe.db": ("This is no database. " * 500, "store.failed"),
    "oboe.toml": ("port = ", "config.unreadable"),
}


@pytest.mark.parametrize("name", _DAMAGE)
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, name: str) -> None:
    content, code = _DAMAGE[name]
    (tmp_path / name).write_text(content)
    command = [sys.executable, "-m", "oboe", "agent", "start", "--foreground", "--home", str(tmp_path), "--driver", "fake", "--port", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (line,) = ended.stderr.splitlines()
    assert (ended.returncode, line.startswith("oboe: "), f"[{code}]" in line) == (1, True, True), line
    assert name in line
