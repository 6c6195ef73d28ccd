"""The tutorial, done as it says by a reader who types every line: real agents, one of them killed in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from demo.ports import RPC_OFFSET, free_ports

from .page import HOME, PAGE, Command, File, Shell, fits, normal, parse

PORTS = ("2886", "2887")
"""Of the page."""
_LOOPBACK = int(IPv4Address("127.0.0.1"))
"""As ids of an agent's dags begin, followed by its port."""


def lived(directory: Path) -> tuple[list[tuple[Command, list[str]]], Mapping[str, str]]:
    """Every command with what it printed, and what stands for what in that."""
    directory = directory.resolve()
    ports = dict(zip(PORTS, map(str, sorted(free_ports(len(PORTS), offset=RPC_OFFSET))), strict=True))
    shell = Shell(directory, ports)
    printed = []
    try:
        for part in parse(PAGE.read_text(encoding="utf-8")):
            if isinstance(part, File):
                path = directory / part.path
                path.parent.mkdir(exist_ok=True)
                path.write_text(part.text, encoding="utf-8")
            else:
                printed.append((part, shell.run(part.text)))
    finally:
        shell.close()
    in_ids = {f"{_LOOPBACK}{int(new):05}": f"{_LOOPBACK}{int(old):05}" for old, new in ports.items()}
    return printed, {str(directory): HOME} | in_ids | {new: old for old, new in ports.items()}


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    printed, words = lived(tmp_path)
    for command, lines in printed:
        assert fits(normal(command.shown), normal(lines, replace=words)), (command.text, command.shown, lines)
    assert any("kill -9" in command.text for command, _ in printed)
    assert len(printed) >= 15


def test_another_output_does_not_fit() -> None:
    shown = normal(["agent 127.0.0.1:2886 started (pid 1, home /home/ann/a1)", "...", "took 3.5 s"])
    assert fits(shown, normal(["agent 127.0.0.1:2886  started (pid 7, home /home/ann/a1)", "x", "y", "took 12.0 s"]))
    assert not fits(shown, normal(["agent 127.0.0.1:2886 stopped (pid 7, home /home/ann/a1)", "took 12.0 s"]))
    assert not fits(shown, normal(["agent 127.0.0.1:2886 started (pid 7, home /home/ann/a1)"]))
    assert not fits((), ["more"])
