"""A playbook: a name, typed params, and a function that writes the plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from oboe.domain.errors import OboeError, Refused, crash_text
from oboe.domain.model import Maintenance, NodePlan, Plan
from oboe.domain.values import Address, HomeKind
from oboe.kit.drawing import SUB_TASKS_MAX, check_dag, drawn
from oboe.kit.plain import sayable
from oboe.kit.step import Step

__all__ = ["Playbook", "Sketch", "playbook"]

P = TypeVar("P")
_NONE = Maintenance()


class Sketch:
    """Where a playbook draws its plan: stages one after another, or nodes with explicit upstreams.

    ``members`` are the agents of the cluster, by address; of an agent that is in none, that agent alone. ``name`` (of the dag) and
    ``maintenance`` may be changed."""

    def __init__(self, name: str, maintenance: Maintenance, *, members: Sequence[Address] = ()) -> None:
        self.name = name
        self.maintenance = maintenance
        self.members = tuple(members)
        self.steps: dict[str, type[Step]] = {}
        self._nodes: list[NodePlan] = []
        self._size = 0

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

        ``args`` are JSON-able and reach the step as ``run.args``. ``agents`` has one entry for each sub-task: they run at the same time,
        each on its agent (None: wherever the dag is kept; with ``at_home`` all of them run there, and only speak of their agents).
        ``parallel`` shows it as a parallel node even with one agent. ``approval``: a person lets it begin."""
        return self._add(name, step, agents=agents, parallel=parallel, at_home=at_home, after=after, approval=approval, args=args)

    def serial(
        self,
        name: str,
        step: type[Step],
        *,
        agents: Sequence[Address | None],
        at_home: bool = False,
        after: Sequence[int] | None = None,
        approval: bool = False,
        args: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a serial split: a chain of nodes of that name, one for each agent, each after the one before it. Returns the last's index.

        ``run.result(name)`` is a list in the order of ``agents``. ``approval`` is asked before the first only. On OCP's API each is a
        sub-task with ``parallelIdx``, and only the ends of the chain have the split's neighbours (`ocp-task.md` §3.5); on OBShell's,
        which knows no serial split, a chain of nodes. `Refused` ``plan.no_sub_tasks`` for no agents."""
        if not agents:
            raise Refused("plan.no_sub_tasks", f"the serial split {name!r} has no sub-tasks")
        last = -1
        for place, agent in enumerate(agents):
            last = self._add(
                name,
                step,
                agents=(agent,),
                at_home=at_home,
                after=after if place == 0 else (last,),
                approval=approval and place == 0,
                args=args,
                split=place,
            )
        return last

    def _add(
        self,
        name: str,
        step: type[Step],
        *,
        agents: Sequence[Address | None],
        parallel: bool = False,
        at_home: bool = False,
        after: Sequence[int] | None = None,
        approval: bool = False,
        args: Mapping[str, Any] | None = None,
        split: int = -1,
    ) -> int:
        upstream = (len(self._nodes) - 1,) if after is None and self._nodes else tuple(after or ())
        node = drawn(
            name,
            step,
            upstream=upstream,
            known=len(self._nodes),
            agents=tuple(agents),
            parallel=parallel,
            at_home=at_home,
            approval=approval,
            args=args or {},
            split=split,
        )
        self._size += len(node.agents)
        if self._size > SUB_TASKS_MAX or len(self._nodes) >= SUB_TASKS_MAX:
            raise Refused("plan.too_large", f"the plan has more than {SUB_TASKS_MAX} sub-tasks", hint="make several dags of it")
        self.steps[node.step] = step
        self._nodes.append(node)
        return len(self._nodes) - 1

    def plan(self) -> Plan:
        """`Refused` ``plan.name``, ``plan.maintenance`` when the dag could not be kept."""
        check_dag(self.name, self.maintenance)
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
    example: Any = None
    """Params to show it with, where the plainest values of their types draw no plan (`oboe.kit.params.example_of`)."""

    def sketch(self, params: Any, *, members: Sequence[Address] = ()) -> Sketch:
        """Draw the plan for these params. Pure: reads nothing but ``params`` and who the members are.

        `Refused` ``playbook.plan`` when its author's function raises, ``plan.*`` for what it draws."""
        sketch = Sketch(self.name, self.maintenance, members=members)
        try:
            self.draw(params, sketch)
        except OboeError:
            raise
        except (Exception, SystemExit) as error:
            raise Refused("playbook.plan", f"{self.name} draws no plan for these params: {sayable(crash_text(error))}") from error
        return sketch


def playbook(
    name: str, *, home: HomeKind, params: type[P], maintenance: Maintenance = _NONE, started_by: str = "", example: P | None = None
) -> Callable[[Callable[[P, Sketch], None]], Playbook]:
    """Decorate the function that draws the plan; the module's attribute becomes the `Playbook`. Its docstring says what it does.

    ``started_by`` and ``example``: see `Playbook`; without the first, ``oboe playbook run NAME`` starts it."""

    def register(draw: Callable[[P, Sketch], None]) -> Playbook:
        return Playbook(
            name=name,
            home=home,
            maintenance=maintenance,
            params=params,
            draw=draw,
            doc=inspect.cleandoc(draw.__doc__ or ""),
            started_by=started_by,
            example=example,
        )

    return register
