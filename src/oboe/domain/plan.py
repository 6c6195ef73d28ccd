"""What a plan must be before it is registered: a graph that can run to its end, and a way on for every dag that fails."""

from __future__ import annotations

from oboe.domain.errors import Refused
from oboe.domain.model import NodePlan, Plan

__all__ = ["check"]


def check(plan: Plan) -> None:
    """`Refused` with a code of ``plan.*`` that names the node, or nothing.

    ``plan.no_nodes`` ``plan.no_sub_tasks`` ``plan.unknown_node`` ``plan.cycle`` ``plan.forward_reference`` ``plan.twice_upstream``
    ``plan.limit`` ``plan.no_way_on``. A node names earlier ones only, so plan order is an order in which the nodes may run."""
    if not plan.nodes:
        raise Refused("plan.no_nodes", "the plan has no nodes")
    for index, node in enumerate(plan.nodes):
        _check_node(plan, index, node)
    _check_way_on(plan)


def _check_node(plan: Plan, index: int, node: NodePlan) -> None:
    if not node.agents:
        raise Refused("plan.no_sub_tasks", f"node {node.name!r} has no sub-tasks")
    if len(set(node.upstream)) != len(node.upstream):
        raise Refused("plan.twice_upstream", f"node {node.name!r} names a node upstream twice")
    for parent in node.upstream:
        if not 0 <= parent < len(plan.nodes):
            raise Refused("plan.unknown_node", f"node {node.name!r} follows node {parent}, which the plan does not have")
        if parent >= index:
            code = "plan.cycle" if index in _upstream_of(plan, parent) else "plan.forward_reference"
            raise Refused(code, f"node {node.name!r} follows {plan.nodes[parent].name!r}, which does not come before it")
    if min(node.timeout, node.patience, node.grace) <= 0 or min(node.retries, node.backoff) < 0:
        raise Refused("plan.limit", f"node {node.name!r} has a timeout, patience or grace of nothing, or retries below 0")


def _upstream_of(plan: Plan, node: int) -> set[int]:
    """The node and everything before it, however long the way."""
    seen: set[int] = set()
    ahead = [node]
    while ahead:
        current = ahead.pop()
        if current not in seen and 0 <= current < len(plan.nodes):
            seen.add(current)
            ahead.extend(plan.nodes[current].upstream)
    return seen


def _check_way_on(plan: Plan) -> None:
    """A FAILED dag has a legal operator: a dag that nobody can lead on would hold its lock for ever."""
    stuck = [node.name for node in plan.nodes if not (node.flags.retryable or node.flags.skippable)]
    fixed = [node.name for node in plan.nodes if not node.flags.rollable]
    if stuck and fixed:
        raise Refused(
            "plan.no_way_on",
            f"a failed dag could be stuck: {stuck[0]!r} can be neither retried nor passed, and {fixed[0]!r} cannot be rolled back",
            hint="make every node retryable or skippable, or every node rollable",
        )
