"""Orders and interrupts as a home writes them, from the dag as it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from oboe.domain.messages import Fence, Interrupt, Order
from oboe.domain.model import Dag
from oboe.domain.results import results_for
from oboe.domain.values import Address, Operator, Stopping

__all__ = ["fence_of", "interrupt_of", "order_of"]


def fence_of(dag: Dag, index: int) -> Fence:
    """Names the current attempt of that sub-task."""
    sub_task = dag.sub_tasks[index]
    return Fence(dag.key, index, sub_task.epoch, sub_task.attempt)


def order_of(dag: Dag, index: int, *, maintainer: Address, local: bool = False, epoch: int = 0) -> Order:
    """The order for the current attempt. ``local``: results are looked up when asked, because no message is made of it.
    ``epoch`` is that of the home."""
    sub_task = dag.sub_tasks[index]
    node = dag.plan.node_of[index]
    planned = dag.plan.nodes[node]
    undo = sub_task.operator is Operator.ROLLBACK
    return Order(
        fence=Fence(dag.key, index, sub_task.epoch, sub_task.attempt),
        operator=sub_task.operator,
        home=dag.home,
        maintainer=maintainer,
        dag_id=dag.id,
        dag_name=dag.name,
        node=node,
        name=planned.name,
        step=planned.step,
        agent=sub_task.agent or maintainer,
        resumable=planned.flags.resumable,
        timeout=planned.timeout,
        deadline=sub_task.deadline,
        params=dag.params,
        args=planned.args,
        results=_Results(dag, node) if local else results_for(dag, node),
        own_result=sub_task.result if undo else None,
        signals=dag.signals,
        patience=planned.patience,
        home_epoch=epoch,
    )


def interrupt_of(dag: Dag, index: int, cause: Stopping, *, maintainer: Address) -> Interrupt:
    return Interrupt(fence_of(dag, index), cause, maintainer, dag.sub_tasks[index].operator, dag.home)


class _Results(Mapping[str, Any]):
    """`results_for`, made when first looked at."""

    __slots__ = ("_dag", "_found", "_node")

    def __init__(self, dag: Dag, node: int) -> None:
        self._dag = dag
        self._node = node
        self._found: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._found is None:
            self._found = results_for(self._dag, self._node)
        return self._found

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
