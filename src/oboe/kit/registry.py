"""Finds playbooks and steps by name: the built-in ones, those of a directory, those of entry points.

What others wrote may not load: it is kept out whole, with the reason, and stops nobody.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import msgspec

from oboe.domain.errors import OboeError, Refused
from oboe.kit.playbook import Playbook
from oboe.kit.step import Step

__all__ = ["BUILT_IN", "Registry", "Unloaded"]

BUILT_IN = "oboe"
"""Where the playbooks of oboe itself come from."""

NAME_CHARACTERS_MAX = 100

_IMPORTS = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", importlib.__file__, importlib.metadata.__file__)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A file, a directory or an entry point that did not load."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class Registry:
    """Playbooks by registered name, steps by ``module:Class``. Filled once, then only read."""

    def __init__(self) -> None:
        self._playbooks: dict[str, Playbook] = {}
        self._steps: dict[str, type[Step]] = {}
        self._sources: dict[str, str] = {}
        self._unloaded: list[Unloaded] = []
        self._files: dict[str, Path] = {}
        """By the name of their module."""

    def add_module(self, module: ModuleType, *, source: str = BUILT_IN) -> None:
        """Register every `Playbook` and `Step` the module defines, or none: a name taken by another is `Refused`."""
        books: dict[str, Playbook] = {}
        steps: dict[str, type[Step]] = {}
        for value in vars(module).values():
            if isinstance(value, Playbook):
                _check(value)
                if books.setdefault(value.name, value) is not value or self._playbooks.get(value.name, value) is not value:
                    raise Refused("playbook.duplicate", f"two playbooks are named {value.name!r}")
            elif isinstance(value, type) and issubclass(value, Step) and value is not Step:
                steps[value.registered_name()] = value
        self._steps |= steps
        for name, book in books.items():
            if name not in self._playbooks:
                self._playbooks[name], self._sources[name] = book, source

    def add_package(self, package: ModuleType) -> None:
        """Of oboe itself: what does not load is a bug, and raised."""
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.ispkg:
                self.add_module(importlib.import_module(found.name))

    def add_directory(self, directory: Path) -> None:
        """Load every ``*.py`` of a directory as a playbook module of its own. Never raises: see `unloaded`."""
        if not directory.is_dir():
            self._note(str(directory), "it is no directory")
        for path in sorted(directory.glob("*.py")):
            self.add_file(path)

    def add_file(self, path: Path) -> None:
        """Likewise one file."""
        self._try(str(path), lambda: self._load_file(path))

    def add_entry_points(self, found: Iterable[EntryPoint]) -> None:
        """Load modules that installed packages name. Never raises: see `unloaded`."""
        for entry in found:
            self._try(f"entry point {entry.name} ({entry.value})", lambda entry=entry: _module(entry.load()))  # type: ignore[misc]

    def playbook(self, name: str) -> Playbook:
        try:
            return self._playbooks[name]
        except KeyError:
            raise Refused("playbook.unknown", f"no playbook is named {name[:80]!r}", hint="oboe playbook list") from None

    def step(self, name: str) -> type[Step]:
        try:
            return self._steps[name]
        except KeyError:
            raise Refused("step.unknown", f"no step is named {name!r}", hint="its playbook no longer loads") from None

    def has_step(self, name: str) -> bool:
        return name in self._steps

    def source(self, name: str) -> str:
        """Where the playbook of that name comes from: `BUILT_IN`, a file, or an entry point."""
        return self._sources[name]

    @property
    def playbooks(self) -> tuple[Playbook, ...]:
        return tuple(self._playbooks.values())

    @property
    def unloaded(self) -> tuple[Unloaded, ...]:
        """What did not load, and why."""
        return tuple(self._unloaded)

    def _load_file(self, path: Path) -> ModuleType:
        """As a module of its own name, so that steps of two files do not meet."""
        path = path.resolve()
        name = f"oboe_playbook_{path.stem}"
        known = self._files.setdefault(name, path)
        if known != path:
            raise Refused("playbook.duplicate", f"{known} has the same name", hint="rename one: steps are known by their file's name")
        return _load(path, name)

    def _try(self, source: str, load: Callable[[], ModuleType]) -> None:
        _log.info("loads %s", source)  # one that does not come back from its import is the last that is named
        try:
            self.add_module(load(), source=source)
        except OboeError as error:
            self._note(source, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's module may raise anything while it is imported
            self._note(source, f"{_line(error, source)}{type(error).__name__}: {getattr(error, 'msg', error)}", error)

    def _note(self, source: str, reason: str, error: BaseException | None = None) -> None:
        _log.warning("not loaded: %s: %s", source, reason, exc_info=error)
        self._unloaded.append(Unloaded(source, reason))


def _check(book: Playbook) -> None:
    """What can be said of it before anybody gives it params."""
    if not (isinstance(book.params, type) and issubclass(book.params, msgspec.Struct)):
        raise Refused("playbook.params", f"the params of {book.name!r} are no msgspec.Struct", hint="class Params(msgspec.Struct): ...")
    is_plain = book.name.isprintable() and book.name == book.name.strip() and "/" not in book.name
    if not is_plain or not 0 < len(book.name) <= NAME_CHARACTERS_MAX:
        hint = f"1 to {NAME_CHARACTERS_MAX} printable characters, no slash, no space at the ends"
        raise Refused("playbook.name", f"{book.name[:NAME_CHARACTERS_MAX]!r} is no name", hint=hint)


def _module(found: object) -> ModuleType:
    if not isinstance(found, ModuleType):
        raise Refused(
            "playbook.unreadable", f"it names a {type(found).__name__}, not a module", hint="the name of a module, without a colon"
        )
    return found


def _line(error: BaseException, source: str) -> str:
    """Where it stopped: the innermost line of the author's own file, else of what it called; empty: nowhere in particular."""
    source = str(Path(source).resolve())
    if isinstance(error, SyntaxError) and error.filename == source:
        return f"line {error.lineno}: "
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in (__file__, *_IMPORTS)]
    own = [frame for frame in frames if frame.filename == source]
    if own:
        return f"line {own[-1].lineno}: "
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


def _load(path: Path, name: str) -> ModuleType:
    """Nothing stays of a module that does not load."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Refused("playbook.unreadable", f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
