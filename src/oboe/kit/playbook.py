"""A playbook: a name, typed params, and a function that writes the plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oboe.domain.model import Maintenance, NodePlan, Plan
from oboe.domain.values import SECOND, Address, HomeKind
from oboe.kit.step import Step

__all__ = ["Playbook", "Sketch", "playbook"]

P = TypeVar("P")
_NONE = Maintenance()


class Sketch:
    """Where a playbook draws its plan: stages one after another, or nodes with explicit upstreams."""

    def __init__(self, name: str, maintenance: Maintenance) -> None:
        self.name = name
        self.maintenance = maintenance
        self.steps: dict[str, type[Step]] = {}
        self._nodes: list[NodePlan] = []

    def stage(
        self,
        name: str,
        step: type[Step],
        *,
        agents: Sequence[Address | None] = (None,),
        parallel: bool = False,
        at_home: bool = False,
        after: Sequence[int] | None = None,
        approval: bool = False,
        args: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a node; without ``after`` it follows the node added last. Returns its index.

        ``args`` are JSON-able and reach the step as ``run.args``. ``agents`` has one entry for each sub-task."""
        upstream = (len(self._nodes) - 1,) if after is None and self._nodes else tuple(after or ())
        registered = step.registered_name()
        self.steps[registered] = step
        self._nodes.append(
            NodePlan(
                name=name,
                step=registered,
                upstream=upstream,
                agents=tuple(agents),
                parallel=parallel,
                at_home=at_home,
                flags=step.flags(),
                timeout=int(step.timeout * SECOND),
                patience=int(step.patience * SECOND),
                grace=int(step.grace * SECOND),
                retries=step.retries,
                backoff=int(step.backoff * SECOND),
                approval=approval,
                args=dict(args or {}),
            )
        )
        return len(self._nodes) - 1

    def plan(self) -> Plan:
        return Plan(tuple(self._nodes))


@dataclass(frozen=True, slots=True)
class Playbook:
    """What can be done: registered by `playbook`, found by `Registry`."""

    name: str
    """Registered name, also the dag's name unless the sketch renames it."""
    home: HomeKind
    maintenance: Maintenance
    params: type[Any]
    """A ``msgspec.Struct``; fields of type `Secret` are sealed at rest."""
    draw: Callable[[Any, Sketch], None]
    doc: str = ""
    started_by: str = ""
    """What starts it where its name alone does not: a command that looks at the cluster first, or the playbook that leads it."""

    def sketch(self, params: Any) -> Sketch:
        """Draw the plan for these params. Pure: reads nothing but ``params``."""
        sketch = Sketch(self.name, self.maintenance)
        self.draw(params, sketch)
        return sketch


def playbook(
    name: str, *, home: HomeKind, params: type[P], maintenance: Maintenance = _NONE, started_by: str = ""
) -> Callable[[Callable[[P, Sketch], None]], Playbook]:
    """Decorate the function that draws the plan; the module's attribute becomes the `Playbook`. Its docstring says what it does.

    ``started_by``: see `Playbook.started_by`; without it, ``oboe playbook run NAME`` starts it."""

    def register(draw: Callable[[P, Sketch], None]) -> Playbook:
        return Playbook(
            name=name,
            home=home,
            maintenance=maintenance,
            params=params,
            draw=draw,
            doc=inspect.cleandoc(draw.__doc__ or ""),
            started_by=started_by,
        )

    return register
