"""Finds playbooks and steps by name: the built-in ones, those of a directory, those of entry points."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from oboe.domain.errors import Refused
from oboe.kit.playbook import Playbook
from oboe.kit.step import Step

__all__ = ["Registry"]


class Registry:
    """Playbooks by registered name, steps by ``module:Class``. Filled once, then only read."""

    def __init__(self) -> None:
        self._playbooks: dict[str, Playbook] = {}
        self._steps: dict[str, type[Step]] = {}

    def add_module(self, module: ModuleType) -> None:
        """Register every `Playbook` and `Step` the module defines; a name taken by another is `Refused`."""
        for value in vars(module).values():
            if isinstance(value, Playbook):
                if self._playbooks.setdefault(value.name, value) is not value:
                    raise Refused("playbook.duplicate", f"two playbooks are named {value.name!r}")
            elif isinstance(value, type) and issubclass(value, Step) and value is not Step:
                self._steps[value.registered_name()] = value

    def add_package(self, package: ModuleType) -> None:
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.ispkg:
                self.add_module(importlib.import_module(found.name))

    def add_directory(self, directory: Path) -> None:
        """Load every ``*.py`` of a directory as a playbook module of its own."""
        for path in sorted(directory.glob("*.py")):
            name = f"oboe_playbook_{path.stem}"
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise Refused("playbook.unreadable", f"{path} cannot be loaded")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
            self.add_module(module)

    def playbook(self, name: str) -> Playbook:
        try:
            return self._playbooks[name]
        except KeyError:
            raise Refused("playbook.unknown", f"no playbook is named {name!r}", hint="oboe playbook list") from None

    def step(self, name: str) -> type[Step]:
        try:
            return self._steps[name]
        except KeyError:
            raise Refused("step.unknown", f"no step is named {name!r}", hint="its playbook no longer loads") from None

    @property
    def playbooks(self) -> tuple[Playbook, ...]:
        return tuple(self._playbooks.values())
