"""From a dag to OCP's task and sub-tasks (`ocp-task.md` §3.1, §3.2, §5.3).

Sub-tasks are in an order in which they may run, and ``seriesId`` says it: plan order is topological. Edges name every sub-task of the
neighbouring nodes; what members of one node share is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from oboe.api.ocp import ids
from oboe.api.ocp.envelope import ocp_second, ocp_time
from oboe.api.ocp.names import PENDING, READY, sub_task_words, task_operation, task_status, task_type
from oboe.api.ocp.objects import (
    BasicSubTask,
    BasicTask,
    Cluster,
    Context,
    Named,
    SubmittedSubTask,
    SubmittedTask,
    SubTask,
    Task,
    Tenant,
    Told,
)
from oboe.api.shared.words import view_words
from oboe.control.views import DagView, Landmarks
from oboe.domain import fold, model
from oboe.domain.model import Dag
from oboe.domain.values import SECOND, HomeKind, MaintenanceKind, State

__all__ = ["Codec", "allowed_operations", "prohibits_rollback"]

_NODE_TYPE = "JAVA_TASK"
"""The one word that OCP has for it; clients compare it."""
_CREATOR_OBSHELL = "obshell"
_ID_UNKNOWN = -1
_NO_DEFINITION = -1


@dataclass(frozen=True, slots=True)
class Codec:
    """Knows what ids are made of. ``user_id`` is that of a user's name, None where there is none (any more)."""

    landmarks: Landmarks
    user_id: Callable[[str], int | None]

    def task(self, view: DagView) -> Task:
        """WrappedTaskInstance."""
        dag = view.dag
        return Task(
            **self._common(dag),
            allowed_operations=allowed_operations(dag) or UNSET,
            create_time=ocp_second(dag.created_at),
            executor=dag.created_by.ip,
            oboe=_told(view),
            prohibit_rollback=prohibits_rollback(dag),
            subtasks=list(self._sub_tasks(dag)),
            task_definition_id=_NO_DEFINITION,
            type=task_type(dag),
        )

    def basic_task(self, dag: Dag) -> BasicTask:
        """BasicTaskInstance, for lists."""
        return BasicTask(**self._common(dag), subtasks=[BasicSubTask(**self._basic(dag, index)) for index in range(dag.plan.size)])

    def submitted(self, dag: Dag, context: Context, *, host_id: int | UnsetType = UNSET) -> SubmittedTask:
        """TaskInstance. What can begin is about to, so it is READY already."""
        return SubmittedTask(
            id=ids.encode(dag.home, dag.id, self.landmarks),
            name=dag.name,
            type=task_type(dag),
            status=task_status(dag),
            operation=task_operation(dag),
            creator=dag.creator,
            executor=dag.created_by.ip,
            start_time=ocp_time(dag.created_at),
            context=context,
            host_id=host_id,
            subtasks=[_submitted(dag, shown) for shown in self._sub_tasks(dag)],
        )

    def sub_task(self, view: DagView) -> SubTask:
        """SubtaskInstance: the one that ``view.index`` names."""
        node = view.dag.plan.node_of[view.index]
        return self._sub_task(view.dag, view.index, self._edges(view.dag, node))

    def _common(self, dag: Dag) -> dict[str, Any]:
        is_cluster = dag.home.kind is HomeKind.CLUSTER
        is_finished = fold.dag_state(dag) in (State.FAILED, State.SUCCEEDED) and dag.ended_at
        of_tenant = dag.maintenance.kind is MaintenanceKind.TENANT and dag.maintenance.key
        return {
            "cluster": self._cluster() if is_cluster and self.landmarks.cluster_id else UNSET,
            "creator": self._creator(dag.creator),
            "finish_time": ocp_time(dag.ended_at) if is_finished else UNSET,
            "id": ids.encode(dag.home, dag.id, self.landmarks),
            "name": dag.name,
            "operation": task_operation(dag),
            "start_time": ocp_time(dag.created_at),
            "status": task_status(dag),
            "tenant": Tenant(dag.maintenance.key) if of_tenant else UNSET,
        }

    def _cluster(self) -> Cluster:
        known = self.landmarks
        return Cluster(id=known.cluster_id, name=known.cluster_name, ob_cluster_id=known.cluster_id)

    def _creator(self, name: str) -> Named:
        if name == _CREATOR_OBSHELL:
            return Named(0, name)
        known = self.user_id(name)
        return Named(_ID_UNKNOWN if known is None else known, name)

    # Sub-tasks

    def _sub_tasks(self, dag: Dag) -> Iterator[SubTask]:
        for node in range(len(dag.plan.nodes)):
            edges = self._edges(dag, node)
            for index in dag.plan.sub_tasks_of(node):
                yield self._sub_task(dag, index, edges)

    def _edges(self, dag: Dag, node: int) -> tuple[list[int], list[int]]:
        """Ids upstream and downstream, which all sub-tasks of a node share."""
        plan = dag.plan
        neighbours = (sorted(plan.nodes[node].upstream), sorted(plan.downstream[node]))
        up, down = ([self._id(dag, index) for each in nodes for index in plan.sub_tasks_of(each)] for nodes in neighbours)
        return up, down

    def _id(self, dag: Dag, index: int) -> int:
        return ids.encode(dag.home, dag.sub_task_id(index), self.landmarks)

    def _basic(self, dag: Dag, index: int) -> dict[str, Any]:
        status, operation = sub_task_words(dag, index)
        name = dag.plan.nodes[dag.plan.node_of[index]].name
        return {"description": name, "id": self._id(dag, index), "name": name, "operation": operation, "status": status}

    def _sub_task(self, dag: Dag, index: int, edges: tuple[list[int], list[int]]) -> SubTask:
        sub_task = dag.sub_tasks[index]
        number = dag.plan.node_of[index]
        node, place = dag.plan.nodes[number], index - dag.plan.first[number]
        is_started = sub_task.attempt > 0 and sub_task.started_at
        is_over = sub_task.state in (State.FAILED, State.SUCCEEDED) and sub_task.ended_at
        executor = fold.executor(dag, index) if is_started else None
        return SubTask(
            **self._basic(dag, index),
            create_time=ocp_second(dag.created_at),
            downstreams=edges[1],
            executor=UNSET if executor is None else executor.ip,
            finish_time=ocp_time(sub_task.ended_at) if is_over else UNSET,
            node_type=_NODE_TYPE,
            parallel_idx=place if node.parallel or len(node.agents) > 1 else node.split,
            prohibit_rollback=not node.flags.rollable,
            run_time=1 + sub_task.asked_retries,
            series_id=index,
            start_time=ocp_time(sub_task.started_at) if is_started else UNSET,
            timeout=node.timeout // SECOND,
            upstreams=edges[0],
        )


def _submitted(dag: Dag, shown: SubTask) -> SubmittedSubTask:
    known = {name: getattr(shown, name) for name in SubmittedSubTask.__struct_fields__ if name != "class_name"}
    if shown.status == PENDING and not shown.upstreams:
        known["status"] = READY
    return SubmittedSubTask(**known, class_name=dag.plan.nodes[dag.plan.node_of[shown.series_id]].step)


def prohibits_rollback(dag: Dag) -> bool:
    """A step that cannot be undone has begun, and is not undone (§3.7)."""
    return any(not dag.plan.nodes[dag.plan.node_of[index]].flags.rollable and _begun(each) for index, each in enumerate(dag.sub_tasks))


def allowed_operations(dag: Dag) -> list[str]:
    """Which of the routes would not be refused now."""
    known = fold.allowed_operators(dag)
    allowed = [word for word in ("RETRY", "ROLLBACK") if word in known]
    return [word for word in allowed if word != "RETRY" or task_operation(dag) != "ROLLBACK"]


def _begun(sub_task: model.SubTask) -> bool:
    return sub_task.state not in (State.PENDING, State.READY) and sub_task.attempt > 0 and not sub_task.undone


def _told(view: DagView) -> Told | UnsetType:
    """That a person holds it, that an undo was skipped, what it waits for; unset: nothing of the kind."""
    dag = view.dag
    waits = [text for text in view_words(view) if dag.paused is None or not text.startswith("paused by")]
    waits += [str(agent) for agent in dag.recalled if dag.recalled_at]
    told = Told(
        halted=dag.halt_reason or UNSET,
        paused_by=UNSET if dag.paused is None else dag.paused.who,
        paused_for=UNSET if dag.paused is None else dag.paused.why,
        skipped_undo=dag.skipped_undo or UNSET,
        waits_for=waits or UNSET,
    )
    return UNSET if told == Told() else told
