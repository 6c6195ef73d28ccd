"""``oboe --help`` is quick because it imports next to nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "rich",
    "cryptography",
    "http.client",
    "json",
    "msgspec",
    "httpx",
    "starlette",
    "psutil",
    "oboe.daemon",
    "oboe.cli.client",
    "oboe.cli.task",
)


def test_help_loads_neither_rich_nor_a_client_nor_the_daemon() -> None:
    program = f"""
import sys
from oboe.__main__ import main
sys.argv = ["oboe", "--help"]
try:
    main()
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.splitlines()[-1] == "[]"
    assert "Usage: oboe" in told.stdout
