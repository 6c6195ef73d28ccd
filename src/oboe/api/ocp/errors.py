"""From the errors of the use cases to OCP's: one table (`ocp-task.md` §1.3, §5.5).

An unknown route is 404 and a lost race 409, as they should be; the vendor's server says 400 and 500. A key that was used for another
request is 422, as draft-ietf-httpapi-idempotency-key-header has it; the vendor has no keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oboe.api.ocp.envelope import present
from oboe.api.ocp.names import MESSAGES
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable

__all__ = ["Failure", "failure_of"]

UNEXPECTED, ILLEGAL, NOT_FOUND, NOT_READY = 10000, 10001, 10002, 10003
NO_TASK, WRONG_STATE, NO_ROLLBACK = 20000, 20003, 20004
NOT_AUTHENTICATED, NOT_PERMITTED = 30000, 30014

TABLE: Mapping[str, tuple[int, int]] = {
    "request.not_found": (404, NOT_FOUND),
    "request.query": (400, ILLEGAL),
    "request.body": (400, ILLEGAL),
    "request.unread": (400, ILLEGAL),
    "request.busy": (429, NOT_READY),
    "request.too_many": (429, NOT_READY),
    "request.key_reused": (422, ILLEGAL),
    "request.key_busy": (409, ILLEGAL),
    "request.key_unfinished": (409, ILLEGAL),
    "task.not_found": (404, NO_TASK),
    "agent.unknown": (404, NO_TASK),
    "host.unknown": (404, NOT_FOUND),
    "cluster.none": (404, NO_TASK),
    "task.lost_race": (409, WRONG_STATE),
    "task.other_version": (409, WRONG_STATE),
    "store.stale": (409, WRONG_STATE),
    "rpc.lost_race": (409, WRONG_STATE),
    "rollback.not_allowed": (400, NO_ROLLBACK),
    "dag.waiting": (400, WRONG_STATE),
    "operator.unknown": (400, ILLEGAL),
    "request.plain": (400, ILLEGAL),
    "auth.peer": (403, NOT_PERMITTED),
    "auth.none": (401, NOT_AUTHENTICATED),
    "auth.expired": (401, NOT_AUTHENTICATED),
    "auth.session": (401, NOT_AUTHENTICATED),
    "user.refused": (401, NOT_AUTHENTICATED),
    "user.forbidden": (403, NOT_PERMITTED),
    "auth.foreign_origin": (403, NOT_PERMITTED),
}
"""Status and error code."""

UNLISTED = ((400, WRONG_STATE), (400, ILLEGAL), (503, NOT_READY), (500, UNEXPECTED))
"""Of everything else: what a guard refuses, another refusal, what cannot be reached or has to wait, a bug."""

_OPERATORS = ("retry", "rollback", "cancel", "pass", "skip", "sub_task_retry", "sub_task_cancel", "sub_task_pass", "maintenance")
"""What a guard of the machine refuses: ``operator.reason``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The status and the ``error`` object."""

    status: int
    error: Mapping[str, Any]


def failure_of(error: OboeError, *, language: str = "", target: str = "", debug: str = "") -> Failure:
    """The error as a client reads it. ``language`` is ``Accept-Language``'s, ``target`` what it is about, ``debug`` what else may help."""
    status, code = _classed(error)
    template = MESSAGES[code][_prefers_chinese(language)]
    message = template.format(why=str(error))
    return Failure(status, present(code=code, debugMessage=f"{error.code}{debug}", message=message, target=target or None))


def _classed(error: OboeError) -> tuple[int, int]:
    known = TABLE.get(error.code)
    if known is not None:
        return known
    refused, illegal, not_ready, unexpected = UNLISTED
    if isinstance(error, (Unreachable, TryAgain)) or error.code.startswith(("cluster.", "store.", "database.")):
        return not_ready
    if isinstance(error, Refused):
        return refused if error.code.split(".")[0] in _OPERATORS else illegal
    return unexpected


def _prefers_chinese(language: str) -> bool:
    """Whether Chinese comes before English; quality values are taken as sorted, as clients send them."""
    for part in language.lower().split(","):
        tag = part.split(";")[0].strip()
        if tag.startswith(("zh", "en")):
            return tag.startswith("zh")
    return False
