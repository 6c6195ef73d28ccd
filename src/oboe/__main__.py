"""``python -m oboe`` and the command ``oboe``: gives the command line the daemon, which it must not know itself."""

from __future__ import annotations

from typing import Any

from oboe.cli.main import main as command_line

__all__ = ["main"]


def main() -> None:
    command_line(run_agent=_run_agent)


def _run_agent(**how: Any) -> int:
    from oboe.daemon import run  # an agent's imports take longer than everything else a command does

    return run(**how)


if __name__ == "__main__":
    main()
