"""What a plan must be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oboe.domain.errors import Refused
from oboe.domain.model import Flags, NodePlan, Plan
from oboe.domain.plan import check

from .dags import ALL, node

STUCK = Flags(retryable=False, skippable=False, rollable=False)
MIXED = Flags(retryable=False, skippable=True)


@pytest.mark.parametrize(
    ("code", "plan"),
    [
        ("plan.no_nodes", lambda: Plan(())),
        ("plan.no_sub_tasks", lambda: Plan((node(agents=()),))),
        ("plan.cycle", lambda: Plan((node(0),))),
        ("plan.cycle", lambda: Plan((node(1), node(0)))),
        ("plan.forward_reference", lambda: Plan((node(1), node()))),
        ("plan.unknown_node", lambda: Plan((node(-1),))),
        ("plan.twice_upstream", lambda: Plan((node(), node(0, 0)))),
        ("plan.limit", lambda: Plan((node(grace=0),))),
        ("plan.limit", lambda: Plan((node(retries=-1),))),
        ("plan.no_way_on", lambda: Plan((node(), node(0, flags=STUCK)))),
    ],
)
def test_a_plan_that_cannot_be_is_refused(code: str, plan: Callable[[], Plan]) -> None:
    with pytest.raises(Refused) as refused:
        check(plan())
    assert refused.value.code == code


@pytest.mark.parametrize(
    "nodes",
    [
        (node(), node(0), node(0), node(1, 2)),
        (node(flags=Flags(retryable=False, rollable=True)), node(0, flags=ALL)),
        (node(flags=Flags()), node(0, flags=MIXED)),
    ],
)
def test_a_plan_that_leads_on_is_taken(nodes: tuple[NodePlan, ...]) -> None:
    check(Plan(nodes))
