"""What a step can read of those before it: the results of the nodes upstream, by name. A pure reading of one `Dag`."""

from __future__ import annotations

from typing import Any

from oboe.domain.model import Dag

__all__ = ["results_for"]


def results_for(dag: Dag, node: int) -> dict[str, Any]:
    """Node name → what it returned, of all nodes upstream that returned anything; of nodes with one name, the last in plan order.

    The places of a serial split count as one node: a list in their order."""
    found: dict[str, Any] = {}
    split: dict[str, list[Any]] = {}
    for parent in sorted(_upstream(dag, node)):
        value, planned = _result_of(dag, parent), dag.plan.nodes[parent]
        if planned.split >= 0:
            split.setdefault(planned.name, []).append(value)
        elif value is not None:
            found[planned.name] = value
    return found | {name: values for name, values in split.items() if any(value is not None for value in values)}


def _upstream(dag: Dag, node: int) -> set[int]:
    """Every node that this one stands on."""
    seen: set[int] = set()
    todo = list(dag.plan.nodes[node].upstream)
    while todo:
        parent = todo.pop()
        if parent not in seen:
            seen.add(parent)
            todo.extend(dag.plan.nodes[parent].upstream)
    return seen


def _result_of(dag: Dag, node: int) -> Any:
    """One value; of a parallel node a list in sub-task order, also with one agent. None when there is nothing."""
    values = [dag.sub_tasks[index].result for index in dag.plan.sub_tasks_of(node)]
    if all(value is None for value in values):
        return None
    return values[0] if len(values) == 1 and not dag.plan.nodes[node].parallel else values
