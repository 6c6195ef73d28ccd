"""OCP's words for what the domain knows by other names; they live here and nowhere else (`ocp-task.md` §3.3, §5.4, §5.5, §1.3).

::

    task       READY, RUNNING  RUNNING       RUN       EXECUTE, RETRY once a person asked for it again
               FAILED          FAILED        ROLLBACK  ROLLBACK
               SUCCEEDED       SUCCESSFUL    PASS      SKIP;  cancelled: CANCEL

    sub-task   attempt 0       PENDING/EXECUTE        undone         PENDING/ROLLBACK
               READY, RUNNING  the same               undo skipped   PENDING/ROLLBACK_SKIP
               asked to stop   CANCELING/…            passed         SUCCESSFUL/SKIP
               stopped so      FAILED/CANCEL          done           SUCCESSFUL/EXECUTE or RETRY

A retry is one attempt here, undo and run; both halves, and the moment between them, show RETRY.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from oboe.domain.fold import asked, dag_state
from oboe.domain.model import Dag, SubTask
from oboe.domain.values import Asked, Mark, Operator, State, Stopping

__all__ = [
    "LED_TYPE",
    "MESSAGES",
    "SUB_TASK_OPERATIONS",
    "SUB_TASK_STATES",
    "TASK_OPERATIONS",
    "TASK_STATES",
    "TASK_TYPES",
    "TYPE_SPELLINGS",
    "asked_of",
    "attempt_words",
    "retried",
    "states_of",
    "sub_task_words",
    "task_operation",
    "task_status",
    "task_type",
]

RUNNING: Final = "RUNNING"
FAILED: Final = "FAILED"
SUCCESSFUL: Final = "SUCCESSFUL"
PENDING: Final = "PENDING"
READY: Final = "READY"
CANCELING: Final = "CANCELING"
EXECUTE: Final = "EXECUTE"
RETRY: Final = "RETRY"
ROLLBACK: Final = "ROLLBACK"
SKIP: Final = "SKIP"
CANCEL: Final = "CANCEL"
ROLLBACK_SKIP: Final = "ROLLBACK_SKIP"

TASK_STATES = (RUNNING, FAILED, SUCCESSFUL)
TASK_OPERATIONS = (EXECUTE, RETRY, ROLLBACK, SKIP, CANCEL)
SUB_TASK_OPERATIONS = (EXECUTE, RETRY, ROLLBACK, SKIP, ROLLBACK_SKIP, CANCEL)
SUB_TASK_STATES = (PENDING, READY, RUNNING, CANCELING, FAILED, SUCCESSFUL)
MANUAL: Final = "MANUAL"
SYS_ONCE: Final = "SYS_ONCE"
TASK_TYPES = (MANUAL, SYS_ONCE, "SCHEDULED", "SYS_SCHEDULED")
LED_TYPE = {MANUAL: False, SYS_ONCE: True}
"""Whether a task of this type is led by another one; there are none of the other types."""
TYPE_SPELLINGS = {"SYS_ONECE": SYS_ONCE}
"""How the reference page writes a word, and what is meant."""

_TASK_STATUS = {State.READY: RUNNING, State.RUNNING: RUNNING, State.FAILED: FAILED, State.SUCCEEDED: SUCCESSFUL}
_TASK_OPERATION = {Asked.RUN: EXECUTE, Asked.RETRY: RETRY, Asked.ROLLBACK: ROLLBACK, Asked.PASS: SKIP, Asked.CANCEL: CANCEL}


def states_of(status: str) -> tuple[State, ...]:
    """The domain's states that show as this status of a task."""
    return tuple(state for state, word in _TASK_STATUS.items() if word == status)


def task_status(dag: Dag) -> str:
    return _TASK_STATUS[dag_state(dag)]


def asked_of(operation: str) -> Asked:
    """What shows as this operation of a task."""
    return next(asked for asked, word in _TASK_OPERATION.items() if word == operation)


def task_operation(dag: Dag) -> str:
    """The last operation on the whole task; that of one sub-task does not change it."""
    return _TASK_OPERATION[asked(dag)]


def task_type(dag: Dag) -> str:
    """A task that another one leads was made by the system."""
    return MANUAL if dag.leader is None else SYS_ONCE


def retried(sub_task: SubTask) -> bool:
    """It is had again, by a person's wish or its own."""
    return bool(sub_task.asked_retries or sub_task.auto_retries)


def sub_task_words(dag: Dag, index: int) -> tuple[str, str]:
    """Status and operation of a sub-task."""
    sub_task = dag.sub_tasks[index]
    backward = dag.operator is Operator.ROLLBACK
    if sub_task.mark is Mark.DUE and (sub_task.state is State.FAILED or (sub_task.undone and not backward)):
        return READY, ROLLBACK if backward else RETRY
    again = RETRY if retried(sub_task) else EXECUTE
    if sub_task.state is State.SUCCEEDED:
        return _succeeded(sub_task, again, backward=backward)
    if sub_task.state is State.PENDING:
        return PENDING, EXECUTE
    operation = again if sub_task.operator is not Operator.ROLLBACK else ROLLBACK if backward else RETRY
    asked = sub_task.stopping is Stopping.ASKED
    if sub_task.state is State.FAILED:
        return FAILED, CANCEL if asked else operation
    if asked:
        return CANCELING, operation
    return (READY if sub_task.state is State.READY else RUNNING), operation


def attempt_words(count: int, failed: Collection[int]) -> list[str]:
    """What attempts 1 … ``count`` did, by the order that the machine keeps: after a run comes its undo, after an undo that ended well a
    run, after one that ``failed`` the undo again."""
    words: list[str] = []
    for attempt in range(1, count + 1):
        undo_again = bool(words) and words[-1] == ROLLBACK and attempt - 1 in failed
        after_run = bool(words) and words[-1] != ROLLBACK
        words.append(ROLLBACK if undo_again or after_run else RETRY if words else EXECUTE)
    return words


def _succeeded(sub_task: SubTask, again: str, *, backward: bool) -> tuple[str, str]:
    match sub_task.operator:
        case Operator.ROLLBACK:
            return PENDING, ROLLBACK
        case Operator.SKIP:
            return PENDING, ROLLBACK_SKIP
        case Operator.PASS if backward and not sub_task.attempt:
            return PENDING, ROLLBACK_SKIP
        case Operator.PASS:
            return SUCCESSFUL, SKIP
        case _:
            return SUCCESSFUL, again


MESSAGES = {
    10000: ("An error that was not expected: {why}", "发生未预期的错误:{why}"),
    10001: ("The argument is not valid: {why}", "参数不合法:{why}"),
    10002: ("Not found: {why}", "资源不存在:{why}"),
    10003: ("The agent is not ready for this: {why}", "服务暂不可用:{why}"),
    20000: ("The task does not exist: {why}", "任务不存在:{why}"),
    20003: ("The state of the task does not allow this: {why}", "任务当前状态不允许该操作:{why}"),
    20004: ("The task must not be rolled back: {why}", "任务禁止回滚:{why}"),
    30000: ("Who asks is not known: {why}", "未通过身份认证:{why}"),
    30014: ("The user may not do this: {why}", "没有操作权限:{why}"),
}
"""Messages by error code, English and Chinese."""
