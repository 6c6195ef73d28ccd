"""From a dag to OCP's task and sub-tasks (`ocp-task.md` §3.1, §3.2, §5.3).

Sub-tasks are in an order in which they may run, and ``seriesId`` says it: plan order is topological. Edges name every sub-task of the
neighbouring nodes; what members of one node share is made once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from oboe.api.ocp import ids
from oboe.api.ocp.envelope import ocp_second, ocp_time, present
from oboe.api.ocp.names import sub_task_words, task_operation, task_status, task_type
from oboe.api.shared.words import view_words
from oboe.control.views import DagView, Landmarks
from oboe.domain import fold
from oboe.domain.model import Dag, SubTask
from oboe.domain.values import SECOND, HomeKind, MaintenanceKind, State

__all__ = ["Codec", "allowed_operations", "prohibits_rollback"]

_NODE_TYPE = "JAVA_TASK"
"""The one word that OCP has for it; clients compare it."""
_CREATOR_OBSHELL = "obshell"
_ID_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Codec:
    """Knows what ids are made of. ``user_id`` is that of a user's name, None where there is none (any more)."""

    landmarks: Landmarks
    user_id: Callable[[str], int | None]

    def task(self, view: DagView) -> dict[str, Any]:
        """WrappedTaskInstance."""
        dag = view.dag
        return self._common(dag) | present(
            allowedOperations=allowed_operations(dag) or None,
            createTime=ocp_second(dag.created_at),
            executor=dag.created_by.ip,
            oboe=_told(view) or None,
            prohibitRollback=prohibits_rollback(dag),
            subtasks=[self._sub_task(dag, index, edges) for edges, index in self._walk(dag)],
            taskDefinitionId=-1,
            type=task_type(dag),
        )

    def basic_task(self, dag: Dag) -> dict[str, Any]:
        """BasicTaskInstance, for lists; the operation is said too, or a rolled back task would look like a completed one."""
        basic = self._common(dag)
        basic["subtasks"] = [self._basic_sub_task(dag, index) for index in range(dag.plan.size)]
        return basic

    def sub_task(self, view: DagView) -> dict[str, Any]:
        """SubtaskInstance: the one that ``view.index`` names."""
        node = view.dag.plan.node_of[view.index]
        return self._sub_task(view.dag, view.index, self._edges(view.dag, node))

    def _common(self, dag: Dag) -> dict[str, Any]:
        is_cluster = dag.home.kind is HomeKind.CLUSTER
        tenant = dag.maintenance.key if dag.maintenance.kind is MaintenanceKind.TENANT else ""
        finished = fold.dag_state(dag) in (State.FAILED, State.SUCCEEDED) and dag.ended_at
        return present(
            cluster=self._cluster() if is_cluster and self.landmarks.cluster_id else None,
            creator=self._creator(dag.creator),
            finishTime=ocp_time(dag.ended_at) if finished else None,
            id=ids.encode(dag.home, dag.id, self.landmarks),
            name=dag.name,
            operation=task_operation(dag),
            startTime=ocp_time(dag.created_at),
            status=task_status(dag),
            tenant={"name": tenant} if tenant else None,
        )

    def _cluster(self) -> dict[str, Any]:
        known = self.landmarks
        return {"id": known.cluster_id, "name": known.cluster_name, "obClusterId": known.cluster_id, "type": "PRIMARY"}

    def _creator(self, name: str) -> dict[str, Any]:
        if name == _CREATOR_OBSHELL:
            return {"id": 0, "name": name}
        known = self.user_id(name)
        return {"id": _ID_UNKNOWN if known is None else known, "name": name}

    # Sub-tasks

    def _walk(self, dag: Dag) -> Sequence[tuple[tuple[list[int], list[int]], int]]:
        found = []
        for node in range(len(dag.plan.nodes)):
            edges = self._edges(dag, node)
            found += [(edges, index) for index in dag.plan.sub_tasks_of(node)]
        return found

    def _edges(self, dag: Dag, node: int) -> tuple[list[int], list[int]]:
        """Ids upstream and downstream, which all sub-tasks of a node share."""
        plan = dag.plan
        neighbours = (sorted(plan.nodes[node].upstream), sorted(plan.downstream[node]))
        up, down = ([self._id(dag, index) for each in nodes for index in plan.sub_tasks_of(each)] for nodes in neighbours)
        return up, down

    def _id(self, dag: Dag, index: int) -> int:
        return ids.encode(dag.home, dag.sub_task_id(index), self.landmarks)

    def _basic_sub_task(self, dag: Dag, index: int) -> dict[str, Any]:
        status, operation = sub_task_words(dag, index)
        name = dag.plan.nodes[dag.plan.node_of[index]].name
        return {"description": name, "id": self._id(dag, index), "name": name, "operation": operation, "status": status}

    def _sub_task(self, dag: Dag, index: int, edges: tuple[list[int], list[int]]) -> dict[str, Any]:
        sub_task = dag.sub_tasks[index]
        number = dag.plan.node_of[index]
        node, place = dag.plan.nodes[number], index - dag.plan.first[number]
        started = sub_task.attempt > 0 and sub_task.started_at
        over = sub_task.state in (State.FAILED, State.SUCCEEDED)
        return self._basic_sub_task(dag, index) | present(
            createTime=ocp_second(dag.created_at),
            downstreams=edges[1],
            executor=_executor(dag, index) if started else None,
            finishTime=ocp_time(sub_task.ended_at) if over and sub_task.ended_at else None,
            nodeType=_NODE_TYPE,
            parallelIdx=place if node.parallel or len(node.agents) > 1 else node.split,
            prohibitRollback=not node.flags.rollable,
            runTime=1 + sub_task.asked_retries,
            seriesId=index,
            startTime=ocp_time(sub_task.started_at) if started else None,
            timeout=node.timeout // SECOND,
            upstreams=edges[0],
        )


def prohibits_rollback(dag: Dag) -> bool:
    """A step that cannot be undone has begun, and is not undone (§3.7)."""
    return any(not dag.plan.nodes[dag.plan.node_of[index]].flags.rollable and _begun(each) for index, each in enumerate(dag.sub_tasks))


def allowed_operations(dag: Dag) -> list[str]:
    """Which of the routes would not be refused now."""
    known = fold.allowed_operators(dag)
    allowed = [word for word in ("RETRY", "ROLLBACK") if word in known]
    return [word for word in allowed if word != "RETRY" or task_operation(dag) != "ROLLBACK"]


def _begun(sub_task: SubTask) -> bool:
    return sub_task.state not in (State.PENDING, State.READY) and sub_task.attempt > 0 and not sub_task.undone


def _executor(dag: Dag, index: int) -> str | None:
    agent = fold.executor(dag, index)
    return None if agent is None else agent.ip


def _told(view: DagView) -> dict[str, Any]:
    """What OCP has no word for: that a person holds it, that an undo was skipped, what it waits for."""
    dag = view.dag
    waits = [text for text in view_words(view) if dag.paused is None or not text.startswith("paused by")]
    return present(
        halted=dag.halt_reason or None,
        pausedBy=dag.paused.who if dag.paused is not None else None,
        pausedFor=dag.paused.why if dag.paused is not None else None,
        skippedUndo=True if dag.skipped_undo else None,
        waitsFor=[*waits, *(str(agent) for agent in dag.recalled if dag.recalled_at)] or None,
    )
