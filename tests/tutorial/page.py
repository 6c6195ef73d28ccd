"""The tutorial as a program: its files and commands in order, and what it says that they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["PAGE", "Command", "File", "Shell", "normal", "parse", "pretty", "rewritten"]

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
HOME = "/home/ann"
"""Where the reader of the page is."""
ANYTHING = "..."
"""A line that stands for any lines."""
_SECONDS_MAX = 60.0

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_VARYING = (
    (re.compile(r"\b2\d{10}\d{5}\d+\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r"\bpid \d+"), "pid N"),
    (re.compile(r"\btry \d+, "), ""),
    (re.compile(r"\d+(\.\d+)? ?s\b"), "N s"),
    (re.compile(r"\b\d+ %"), "N %"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SEAL"),
    (re.compile(r"oboe [\w.-]*\d\.\d+\.\d+\S*"), "oboe VERSION"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True, slots=True)
class File:
    """What the reader writes into a file."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """What the reader types, and the lines that the page shows after it."""

    text: str
    shown: tuple[str, ...]


def parse(page: str) -> Iterator[File | Command]:
    """Blocks ``python PATH`` are files. In blocks ``console``, lines with ``$`` are commands, with ``>`` go on; the rest is output."""
    for kind, path, body in _BLOCK.findall(page):
        if kind == "console":
            yield from _commands(body)
        elif path:
            yield File(path, body)


def _commands(body: str) -> Iterator[Command]:
    text, shown = "", []
    for line in [*body.splitlines(), "$ "]:
        if line.startswith("$ "):
            if text:
                yield Command(text, tuple(shown))
            text, shown = line[2:], []
        elif line.startswith("> ") and not shown:
            text += "\n" + line[2:]
        else:
            shown.append(line)


def normal(lines: Sequence[str], *, replace: Mapping[str, str] = {}) -> list[str]:
    """Without what differs from run to run, and without the widths of columns."""
    found = []
    for line in pretty(lines, replace):
        for pattern, word in _VARYING:
            line = pattern.sub(word, line)
        if line.strip():
            found.append(line.strip())
    return found


def pretty(lines: Sequence[str], replace: Mapping[str, str]) -> list[str]:
    """As the reader would see them."""
    found = []
    for line in lines:
        for old, new in replace.items():
            line = line.replace(old, new)
        found.append(line.rstrip())
    return found


def fits(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether they are the same lines; `ANYTHING` is any number of them."""
    if not shown:
        return not printed
    if shown[0] == ANYTHING:
        return any(fits(shown[1:], printed[skip:]) for skip in range(len(printed) + 1))
    return bool(printed) and shown[0] == printed[0] and fits(shown[1:], printed[1:])


class Shell:
    """The reader's shell, in an empty directory; what it starts is ended with it."""

    def __init__(self, directory: Path, words: Mapping[str, str]) -> None:
        """``words`` of the page that are others here: ports."""
        self.directory = directory
        self._words = words
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("OBOE_", "PYTEST_", "COV_"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment |= {"PATH": path, "HOME": str(directory), "COLUMNS": "110", "TERM": "dumb"}
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> list[str]:
        """The lines that it prints, and ``exit N`` where it ends badly."""
        for old, new in self._words.items():
            command = command.replace(old, new)
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        watch = threading.Timer(_SECONDS_MAX, self._kill_bash)
        watch.start()
        try:
            self._bash.stdin.write(f'{command}\nprintf "\\n=end=%s\\n" $?\n')
            self._bash.stdin.flush()
            lines: list[str] = []
            for line in self._bash.stdout:
                if line.startswith("=end="):
                    return [*lines, *([f"exit {line[5:].strip()}"] if line[5:].strip() != "0" else [])]
                lines.append(line.rstrip("\n"))
        finally:
            watch.cancel()
        raise AssertionError(f"{command!r} did not end within {_SECONDS_MAX:g} s: {lines}")

    def close(self) -> None:
        """End it, its agents, and what they left running."""
        for process in psutil.process_iter():
            try:
                if str(self.directory) in " ".join(process.cmdline()) and process.pid != os.getpid():
                    process.kill()
            except psutil.Error:
                continue
        self._kill_bash()
        self._bash.communicate()

    def _kill_bash(self) -> None:
        try:
            os.killpg(self._bash.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def rewritten(page: str, printed: Sequence[tuple[Command, Sequence[str]]], replace: Mapping[str, str]) -> str:
    """The page with what was printed; where it fits already, nothing changes."""
    done = ""
    for command, lines in printed:
        typed = "$ " + command.text.replace("\n", "\n> ") + "\n"
        shown = "".join(line + "\n" for line in command.shown)
        before, page = page.split(typed + shown, 1)
        if not fits(normal(command.shown), normal(lines, replace=replace)):
            shown = "".join(line + "\n" for line in pretty(lines, replace) if line)
        done += before + typed + shown
    return done + page
