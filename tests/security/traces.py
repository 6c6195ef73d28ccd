"""Looks for secrets in everything that agents leave behind: files, databases, answers, processes."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from oboe.kit.mask import forms_of

__all__ = ["Finding", "Needles", "open_modes", "processes_watched", "running_text"]

Finding = tuple[str, str]
"""Which secret, and where."""


class Needles:
    """Secrets by what they are, in every form in which they may stand somewhere. Long ones are looked for by their lines."""

    def __init__(self, secrets: Mapping[str, str | bytes]) -> None:
        self.names = set(secrets)
        self._forms: dict[bytes, set[str]] = {}
        for name, secret in secrets.items():
            for form in _forms(secret):
                self._forms.setdefault(form, set()).add(name)

    def found_in(self, text: bytes) -> set[str]:
        return {name for form, names in self._forms.items() if form in text for name in names}

    def in_files(self, roots: Iterable[Path], *, but: Mapping[str, str], size_max: int = 1 << 40) -> set[Finding]:
        """``but`` names files by the end of their path, and the one secret that may stand in them. Larger ones are not looked at."""
        found = set()
        for root in roots:
            for path in root.rglob("*"):
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= size_max:
                    allowed = {secret for end, secret in but.items() if str(path).endswith(end)}
                    found |= {(name, str(path)) for name in self.found_in(path.read_bytes()) - allowed}
        return found


def _forms(secret: str | bytes) -> Iterator[bytes]:
    if isinstance(secret, bytes):
        yield secret
        yield from _forms(secret.hex())
        return
    lines = [line for line in secret.splitlines() if len(line) >= 8 and "-----" not in line]
    if len(lines) > 1:  # of a key in PEM one line of its middle will do
        lines = [lines[len(lines) // 2]]
    for line in lines:
        yield line.encode("utf-16-le")
        for form in forms_of(line):
            yield form.encode()


def open_modes(home: Path) -> dict[str, str]:
    """Whatever in a home others than its owner could use, with its mode."""
    return {
        str(path): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in (home, *home.rglob("*"))
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    }


def running_text() -> dict[str, bytes]:
    """Command line and environment of every process that lets us look."""
    found = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            for part in ("cmdline", "environ"):
                try:
                    found[f"{each.name}/{part}"] = (each / part).read_bytes()
                except OSError:
                    continue
    return found


@contextmanager
def processes_watched(needles: Needles) -> Iterator[set[Finding]]:
    """What stood in command lines and environments, looked at several times a second while the block runs."""
    seen: set[Finding] = set()
    known: set[tuple[str, bytes]] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.4):
            for where, text in set(running_text().items()) - known:
                known.add((where, text))
                seen.update((name, where) for name in needles.found_in(text))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
