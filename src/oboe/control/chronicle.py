"""What becomes of dags, told in the agent's log: for whoever reads it at night and wants to know what the agent was doing."""

from __future__ import annotations

import logging

from oboe.domain import fold
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, State
from oboe.kit.naming import Naming

__all__ = ["Chronicle"]

_log = logging.getLogger(__name__)


class Chronicle:
    """A listener of the engine's: says when a dag of a home that is served here begins, goes on, and ends, and where it failed."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming

    def tell(self, before: Dag, after: Dag) -> None:
        """Nothing, unless the dag's own state has changed."""
        was, now = fold.dag_state(before), fold.dag_state(after)
        if was is now and before.operator is after.operator:
            return
        name = f"dag {self._naming.dag(after.home, after.id)} {after.name}"
        if now is State.FAILED and after.cancelled:
            _log.info("%s: stopped as asked, in %s", name, ", ".join(_failed(after)) or "no node")
        elif now is State.FAILED:
            _log.warning("%s: FAILED in %s", name, ", ".join(_failed(after)))
        elif now is State.SUCCEEDED:
            _log.info(
                "%s: SUCCEEDED, %s, %.1f s after it was made", name, after.operator.name, (after.ended_at - after.created_at) / SECOND
            )
        elif was in (State.FAILED, State.SUCCEEDED) or before.operator is not after.operator:
            _log.info("%s: goes on, %s", name, after.operator.name)
        elif now is State.RUNNING:
            _log.info("%s: begins", name)


def _failed(dag: Dag) -> list[str]:
    """The nodes, each with the agents on which it failed."""
    found: dict[str, list[str]] = {}
    for index, sub_task in enumerate(dag.sub_tasks):
        if sub_task.broken:
            agent = sub_task.agent or fold.executor(dag, index)
            found.setdefault(dag.plan.nodes[dag.plan.node_of[index]].name, []).append(str(agent or "nowhere"))
    return [f"{node!r} ({', '.join(agents)})" for node, agents in found.items()]
