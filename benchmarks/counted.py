"""The command ``oboe`` with a count of what it asks databases: ``python -m benchmarks.counted FILE ...`` adds a byte for each command."""

from __future__ import annotations

import os
import sys
from typing import Any

from pymysql.connections import Connection

from oboe.__main__ import main


def _count(file: int) -> None:
    ask = Connection._execute_command  # type: ignore[attr-defined]

    def counted(self: Any, command: int, statement: Any) -> Any:
        os.write(file, b".")
        return ask(self, command, statement)

    Connection._execute_command = counted  # type: ignore[attr-defined]


if __name__ == "__main__":
    _count(os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    main()
