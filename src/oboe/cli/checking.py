"""``oboe playbook check``: what is wrong with a playbook, before an agent has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from oboe.domain import plan as plans
from oboe.domain.errors import OboeError, crash_text
from oboe.domain.values import Address
from oboe.kit.params import copy_params, example_of
from oboe.kit.playbook import Playbook, Sketch
from oboe.kit.registry import Registry
from oboe.kit.step import Step

__all__ = ["Checked", "checked", "print_checked"]

_MEMBERS = tuple(Address(f"10.0.0.{number}", 2886) for number in (1, 2))
"""Of the cluster that plans are drawn for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One playbook, or one file that is none (``name`` empty). Faults keep it from being used as it is; advice does not."""

    source: str
    name: str
    nodes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def checked(places: Sequence[Path]) -> list[Checked]:
    """Playbooks of these directories and files, each loaded as an agent does."""
    logging.getLogger("oboe").addHandler(logging.NullHandler())  # what does not load is said once, here
    registry = Registry()
    for place in places:
        registry.add_directory(place) if place.is_dir() else registry.add_file(place)
    found = [Checked(each.source, "", faults=(each.reason,)) for each in registry.unloaded]
    return found + [_checked(registry, book) for book in registry.playbooks]


def _checked(registry: Registry, book: Playbook) -> Checked:
    source = registry.source(book.name)
    advice = [] if book.doc else ["it says nothing of what it does: the drawing function needs a docstring"]
    try:
        params = copy_params(book.example if book.example is not None else example_of(book.params))
        sketch = book.sketch(params, members=_MEMBERS)
        plan = sketch.plan()
        plans.check(plan)
    except OboeError as error:
        fault = str(error)
        if error.code == "playbook.plan":
            hint = "" if book.example is not None else "; if plain params draw no plan, say example=Params(...) in @playbook"
            fault = f"{fault}{hint}"
        return Checked(source, book.name, faults=(fault,), advice=tuple(advice))
    except Exception as error:  # noqa: BLE001 - somebody else's params may raise anything, too
        return Checked(source, book.name, faults=(f"it has no example: {crash_text(error)}",), advice=tuple(advice))
    faults = tuple(_faults(registry, sketch))
    return Checked(source, book.name, tuple(node.name for node in plan.nodes), faults, (*advice, *_advice(sketch)))


def _faults(registry: Registry, sketch: Sketch) -> Iterator[str]:
    for name, step in sketch.steps.items():
        if not registry.has_step(name):
            yield f"step {step.__name__} is not an attribute of its module: an agent could not find it again"


def _advice(sketch: Sketch) -> Iterator[str]:
    for step in sketch.steps.values():
        if not step.rollable() and not step.irreversible:
            yield f"step {step.__name__} says neither how it is undone (rollback) nor why it cannot be (irreversible)"
        if not (step.__doc__ or "").strip():
            yield f"step {step.__name__} has no docstring: a dry run shows it"
        if step.timeout == Step.timeout:
            yield f"step {step.__name__} states no timeout: it may run for {Step.timeout:g} s"


def print_checked(found: Sequence[Checked]) -> None:
    for each in found:
        sign, name = "✘" if each.faults else "✔", f"{each.name}  " if each.name else ""
        click.echo(f"{sign} {name}{each.source}" + (f"  {' → '.join(each.nodes)}" if each.nodes else ""))
        for text in each.faults:
            click.echo(f"    {text}")
        for text in each.advice:
            click.echo(f"    advice: {text}")
    if not found:
        click.echo("no playbooks there")
