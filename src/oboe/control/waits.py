"""What a dag waits for: asked of every agent that runs one of its sub-tasks, and of the one that serves its home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from oboe.control.reading import ASK_SECONDS, Reading
from oboe.control.views import Ref, WaitView
from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import Address, HomeKind, State

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["Waits", "WaitsAnswer", "WaitsOf"]


class WaitsOf(msgspec.Struct):
    """``dag.waits``: what do your running sub-tasks of that dag wait for?"""

    dag_key: str


class OneWait(msgspec.Struct):
    sub_task: int
    why: str
    since: int
    until: int
    tries: int


class WaitsAnswer(msgspec.Struct):
    waits: list[OneWait]
    set_aside: str = ""
    """Why the answerer, who serves its home, does not carry it on; empty: it does, or does not serve it."""


class Wait(Protocol):
    """The engine's word on one sub-task."""

    @property
    def why(self) -> str: ...
    @property
    def since(self) -> int: ...
    @property
    def until(self) -> int: ...
    @property
    def tries(self) -> int: ...


class Attempts(Protocol):
    """The engine, as far as waits go."""

    def waiting(self, dag_key: str) -> Mapping[int, Wait]: ...
    def set_aside(self, dag_key: str) -> str: ...


class Waits:
    """The waits of this agent's attempts, and of others'."""

    def __init__(
        self,
        here: Address,
        reading: Reading,
        engine: Attempts,
        peers: Callable[[], Peers],
        maintainer: Callable[[], Address | None],
    ) -> None:
        self._here = here
        self._reading = reading
        self._engine = engine
        self._peers = peers
        self._maintainer = maintainer

    def of(self, ref: Ref) -> Sequence[WaitView]:
        dag = self._reading.dag(ref, details=False).dag
        asked = {fold.executor(dag, index) or self._here for index, sub_task in enumerate(dag.sub_tasks) if sub_task.live}
        server = dag.home.agent if dag.home.kind is HomeKind.AGENT else self._maintainer()
        if server is not None and fold.dag_state(dag) in (State.READY, State.RUNNING):
            asked.add(server)
        request = WaitsOf(dag.key)
        found = self._views(dag, self._here, self.here(request)) if self._here in asked else []
        others = sorted(asked - {self._here})
        answers = self._peers().call_all(others, "dag.waits", request, WaitsAnswer, timeout=ASK_SECONDS) if others else {}
        for agent, answer in answers.items():
            found += self._views(dag, agent, answer) if isinstance(answer, WaitsAnswer) else _silent(dag, agent)
        return sorted(found, key=lambda view: view.sub_task)

    def here(self, request: WaitsOf) -> WaitsAnswer:
        """What this agent's own attempts wait for."""
        waiting = self._engine.waiting(request.dag_key)
        aside = self._engine.set_aside(request.dag_key)
        return WaitsAnswer([OneWait(index, wait.why, wait.since, wait.until, wait.tries) for index, wait in waiting.items()], aside)

    @staticmethod
    def _views(dag: Dag, agent: Address, answer: WaitsAnswer) -> list[WaitView]:
        plan = dag.plan
        aside = []
        if answer.set_aside:
            node = fold.stage(dag) - 1
            why = f"set aside: {answer.set_aside}"
            since = dag.started_at or dag.created_at
            aside.append(
                WaitView(sub_task=plan.first[node], node=plan.nodes[node].name, agent=agent, why=why, since=since, until=0, tries=0)
            )
        return aside + [
            WaitView(
                sub_task=wait.sub_task,
                node=plan.nodes[plan.node_of[wait.sub_task]].name,
                agent=agent,
                why=wait.why,
                since=wait.since,
                until=wait.until,
                tries=wait.tries,
            )
            for wait in answer.waits
            if wait.sub_task < plan.size
        ]


def _silent(dag: Dag, agent: Address) -> list[WaitView]:
    """Of an agent that does not answer, for each node of which it has a part: that it does not, since the part was begun."""
    found: dict[int, WaitView] = {}
    for index, sub_task in enumerate(dag.sub_tasks):
        node = dag.plan.node_of[index]
        if sub_task.live and node not in found and fold.executor(dag, index) == agent:
            since = sub_task.started_at or sub_task.readied_at
            name = dag.plan.nodes[node].name
            found[node] = WaitView(
                sub_task=index, node=name, agent=agent, why="its agent, which does not answer", since=since, until=0, tries=0
            )
    return list(found.values())
