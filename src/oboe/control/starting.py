"""From a playbook's name and typed params to a dag in its home, or to a preview of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from oboe.control.port import Caller
from oboe.control.views import Effect, Preview
from oboe.domain import plan as plans
from oboe.domain.errors import Refused
from oboe.domain.model import Dag, Home, Leader, Plan
from oboe.domain.values import Address, HomeKind
from oboe.engine.ports import Draft
from oboe.kit.playbook import Playbook, Sketch
from oboe.kit.registry import Registry

__all__ = ["Starter", "Submit"]


class Submit(Protocol):
    """Creates a dag in its home, durably, and has it begun: the engine's for the agent home, the maintainer's for the cluster's."""

    def __call__(self, draft: Draft) -> Dag: ...


class Starter:
    """Draws a playbook's plan, checks it, seals its params, and submits it."""

    def __init__(
        self,
        here: Address,
        registry: Registry,
        *,
        seal: Callable[[HomeKind, Any], Mapping[str, Any]],
        submit: Submit,
        members: Callable[[], Sequence[Address]],
    ) -> None:
        self._here = here
        self._members = members
        self._registry = registry
        self._seal = seal
        self._submit = submit

    def start(self, playbook: str, params: Any, *, caller: Caller, key: str = "", leader: Leader | None = None, not_before: int = 0) -> Dag:
        """The dag as just created: READY. `Refused` ``plan.*``, ``maintenance.held``.

        One with ``not_before`` (nanoseconds) takes its maintenance lock when it begins, and waits for it then."""
        draft = self.draft(playbook, params, caller=caller, key=key, leader=leader)
        return self._submit(replace(draft, not_before=not_before) if not_before else draft)

    def draft(self, playbook: str, params: Any, *, caller: Caller, key: str = "", leader: Leader | None = None) -> Draft:
        book, sketch, plan = self._drawn(playbook, params)
        return Draft(
            key=key or secrets.token_hex(16),
            name=sketch.name,
            playbook=book.name,
            plan=plan,
            params=self._seal(book.home, params),
            home=Home(book.home, self._here if book.home is HomeKind.AGENT else None),
            maintenance=sketch.maintenance,
            created_at=time.time_ns(),
            created_by=self._here,
            creator=caller.name,
            leader=leader,
        )

    def preview(self, playbook: str, params: Any, *, notes: tuple[str, ...] = ()) -> Preview:
        """What would be done, by node; nothing is touched."""
        _, sketch, plan = self._drawn(playbook, params)
        effects = []
        for node in plan.nodes:
            agents = tuple(str(agent or self._here) for agent in node.agents)
            doc = (sketch.steps[node.step].__doc__ or "").strip().split("\n")[0]
            effects.append(Effect(node.name, agents, "run", doc))
        return Preview(sketch.name, tuple(effects), notes)

    def _drawn(self, playbook: str, params: Any) -> tuple[Playbook, Sketch, Plan]:
        """Its plan: one that can run, of steps that an agent finds again. `Refused` ``playbook.plan`` ``plan.*``."""
        book = self._registry.playbook(playbook)
        sketch = book.sketch(params, members=self._members())
        plan = sketch.plan()
        plans.check(plan)
        for name in sketch.steps:
            if not self._registry.has_step(name):
                hint = "define its class at the top of the playbook's file"
                raise Refused("plan.unknown_step", f"step {name} is not an attribute of its module: nobody could find it", hint=hint)
        return book, sketch, plan
