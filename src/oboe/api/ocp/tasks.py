"""The task routes, R1 to R9 (`ocp-task.md` §2), and counts per status."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from oboe.api.ocp import ids, logs, searching
from oboe.api.ocp.codec import allowed_operations
from oboe.api.ocp.names import FAILED, ROLLBACK, RUNNING, SUB_TASK_OPERATIONS, sub_task_words, task_operation, task_status
from oboe.api.ocp.objects import Counts, LogPart, SubTask, Task, TaskPage
from oboe.api.ocp.route import NOTHING, Call, Route
from oboe.api.shared.exchange import Answer
from oboe.control.views import DagView, Ref
from oboe.domain.errors import OboeError, Refused
from oboe.domain.model import Dag
from oboe.domain.values import Operator

__all__ = ["ROUTES"]

FOLLOW_SECONDS = 20.0
"""How long a request for more of a log waits for some."""
FOLLOW_PAUSE_SECONDS = 0.3
LOG_LIMIT_MAX = 16 << 20
_OFFSET_MAX = 1 << 40

VIEWER, MANAGER = "TASK_VIEWER", "TASK_MANAGER"

# Reading


def get_task(call: Call) -> Task:
    """R2: a task with its graph."""
    return _shown(call, _task(call, VIEWER))


def get_log(call: Call) -> LogPart:
    """R5: the log of a sub-task; ``offset``, ``limit``, ``runTime``, ``operation`` choose a part, ``follow`` waits for more."""
    offset = call.number("offset", default=0, low=0, high=_OFFSET_MAX)
    limit = call.number("limit", default=0, low=0, high=LOG_LIMIT_MAX)
    follow = call.flag("follow")
    read = _log_reader(call)
    text, over = read()
    if follow and not over and len(text) <= offset and call.followers.acquire(blocking=False):
        try:
            deadline = time.monotonic() + FOLLOW_SECONDS
            while not over and len(text) <= offset and time.monotonic() < deadline:
                time.sleep(FOLLOW_PAUSE_SECONDS)
                text, over = read()
        finally:
            call.followers.release()
    return logs.chunk(text, offset, limit, over=over)


def _log_reader(call: Call) -> Callable[[], tuple[str, bool]]:
    """Reads the text, and whether the sub-task rests."""
    run_time = call.number("runTime", default=0, low=1, high=1 << 31)
    operations = call.words("operation", SUB_TASK_OPERATIONS)

    def read() -> tuple[str, bool]:
        view = _sub_task(call, VIEWER, details=True)
        found = logs.executions(view.logs or (), view.index)
        wanted = [each for each in found if run_time in (0, each.attempt) and (not operations or each.operation in operations)]
        sub_task = view.dag.sub_tasks[view.index]
        return logs.whole_log(wanted), not (sub_task.live or sub_task.resting)

    return read


def download_diagnosis(call: Call) -> Answer:
    """R9: a zip of the graph and a log for each execution."""
    view = _task(call, VIEWER, details=True)
    task = call.codec.task(view)
    found = [logs.executions(view.logs or (), index) for index in range(view.dag.plan.size)]
    name = f"log_task_{task.id}.zip"
    call.note("Content-Disposition", f'attachment; filename="{name}"')
    body = logs.diagnosis(task, found)
    return Answer(status=200, body=body, content_type="application/octet-stream", headers=tuple(call.headers.items()))


# Operating


def retry_task(call: Call) -> Task:
    """R3: undo and run again what failed."""
    view = _task(call, MANAGER)
    if task_status(view.dag) == FAILED and task_operation(view.dag) == ROLLBACK:
        raise _with_state(call, view.dag, Refused("retry.rolling_back", "a failed rollback is not retried", hint="roll back again"))
    return _operate_task(call, view, "RETRY")


def roll_back_task(call: Call) -> Task:
    """R4: undo what was done, last first."""
    return _operate_task(call, _task(call, MANAGER), "ROLLBACK")


def retry_sub_task(call: Call) -> SubTask:
    """R6: undo and run one sub-task again."""
    view = _operate_sub_task(call, lambda view: "RETRY")
    return call.codec.sub_task(view)


def skip_sub_task(call: Call) -> Any:
    """R7: take a failed sub-task as done; while the task rolls back, as undone."""
    _operate_sub_task(call, lambda view: "SKIP" if view.dag.operator is Operator.ROLLBACK else "PASS")
    return NOTHING


def cancel_sub_task(call: Call) -> Any:
    """R8: stop a sub-task that is under way."""
    _operate_sub_task(call, lambda view: "CANCEL")
    return NOTHING


# Inside


def _task(call: Call, permission: str, *, details: bool = False) -> DagView:
    """The task that the path names, if the user may do that to it."""
    text = call.target = call.path_values["task"]
    view = call.control.dag(ids.decode("dag", text, call.codec.landmarks), details=details)
    call.need(permission, view.dag)
    return _marked(call, view)


def _sub_task(call: Call, permission: str, *, details: bool = False) -> DagView:
    """The sub-task that the path names; `Refused` ``task.not_found`` for one of another task."""
    known = call.codec.landmarks
    task = ids.decode("dag", call.path_values["task"], known)
    text = call.target = call.path_values["subtask"]
    ref = ids.decode("sub_task", text, known)
    view = call.control.dag(ref, details=details)
    if (ref.home, ref.agent, view.dag.id) != (task.home, task.agent, task.number):
        raise Refused("task.not_found", f"task {call.path_values['task']} has no sub-task {text}")
    call.need(permission, view.dag)
    return _marked(call, view)


def _marked(call: Call, view: DagView) -> DagView:
    """Say so when the answer comes from a copy."""
    if view.stale_seconds > 0:
        call.note("X-Oboe-Stale", f"{view.stale_seconds:.1f}")
    return view


def _shown(call: Call, view: DagView) -> Task:
    call.note("ETag", f'"{view.dag.version}"')
    return call.codec.task(view)


def _operate_task(call: Call, view: DagView, operator: str) -> Task:
    dag = view.dag
    _check_version(call, dag)
    ref = Ref("dag", dag.home.kind, dag.home.agent, dag.id)
    _ask(call, dag, ref, operator)
    return _shown(call, call.control.dag(ref, details=False))


def _operate_sub_task(call: Call, operator: Callable[[DagView], str]) -> DagView:
    view = _sub_task(call, MANAGER)
    dag = view.dag
    _check_version(call, dag)
    ref = Ref("sub_task", dag.home.kind, dag.home.agent, dag.sub_task_id(view.index))
    try:
        _ask(call, dag, ref, operator(view))
    except OboeError:
        status, operation = sub_task_words(dag, view.index)
        call.debug += f"; sub-task {status}/{operation}"
        raise
    return call.control.dag(ref, details=False)


def _ask(call: Call, dag: Dag, ref: Ref, operator: str) -> None:
    try:
        call.control.operate(ref, operator, call.caller)
    except Refused as error:
        raise _with_state(call, dag, error) from None


def _with_state(call: Call, dag: Dag, error: Refused) -> Refused:
    """What the task is, and what may be asked of it now."""
    allowed = ", ".join(allowed_operations(dag)) or ("nothing, it runs" if task_status(dag) == RUNNING else "nothing")
    call.debug += f"; task {task_status(dag)}/{task_operation(dag)}, allowed: {allowed}"
    return error


def _check_version(call: Call, dag: Dag) -> None:
    """``If-Match`` or ``expectedVersion``: the version of the task that the client has seen."""
    expected = call.request.headers.get("if-match", "").removeprefix("W/").strip('"') or call.text("expectedVersion")
    if expected and expected != "*" and expected != str(dag.version):
        raise Refused("task.other_version", f"the task is of version {dag.version} now, not {expected[:40]}", hint="look at it again")


_TASK, _SUB_TASK = "/tasks/instances/:task", "/tasks/instances/:task/subtasks/:subtask"
_VERSION = ("expectedVersion",)
_LOG = ("offset", "limit", "follow", "runTime", "operation")

ROUTES = (
    Route("GET", "/tasks/instances", searching.list_tasks, VIEWER, answers=TaskPage, query=(*searching.PAGING, *searching.FILTERS)),
    Route("GET", "/tasks/instances/summary", searching.summary, VIEWER, answers=Counts, query=searching.FILTERS),
    Route("GET", _TASK, get_task, VIEWER, answers=Task),
    Route("POST", f"{_TASK}/retry", retry_task, MANAGER, changes=True, answers=Task, query=_VERSION),
    Route("POST", f"{_TASK}/rollback", roll_back_task, MANAGER, changes=True, answers=Task, query=_VERSION),
    Route("POST", f"{_TASK}/downloadDiagnosis", download_diagnosis, VIEWER, answers=bytes),
    Route("GET", f"{_SUB_TASK}/log", get_log, VIEWER, answers=LogPart, query=_LOG),
    Route("POST", f"{_SUB_TASK}/retry", retry_sub_task, MANAGER, changes=True, answers=SubTask, query=_VERSION),
    Route("POST", f"{_SUB_TASK}/skip", skip_sub_task, MANAGER, changes=True, query=_VERSION),
    Route("POST", f"{_SUB_TASK}/cancel", cancel_sub_task, MANAGER, changes=True, query=_VERSION),
)
