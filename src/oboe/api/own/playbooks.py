"""Playbooks by name: which there are, what their params are, and to start one."""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.api.obshell.codec import created, preview_object
from oboe.api.obshell.route import Call, Route
from oboe.api.own.callers import check_caller, who_asks
from oboe.api.own.dags import read_time
from oboe.api.shared.envelope import Contents
from oboe.control.playbooks import PlaybookView
from oboe.control.port import Caller
from oboe.control.views import Preview

__all__ = ["ROUTES"]


class Given(dict[str, Any]):
    """Params as they came: any of them may be a secret, so none is shown."""

    def __repr__(self) -> str:
        return "Given(***)"


class StartBody(msgspec.Struct):
    """``params`` as the playbook's schema says; ``not_before`` is RFC 3339."""

    params: dict[str, Any] = {}
    not_before: str = ""
    dry_run: bool = False

    def __post_init__(self) -> None:
        self.params = Given(self.params)


def _list(call: Call) -> Contents:
    """Every playbook, with the schema of its params, and its plan where all params have defaults."""
    return Contents([_object(view) for view in call.control.playbooks.all()])


def _get(call: Call) -> dict[str, Any]:
    return _object(call.control.playbooks.one(call.path_values["name"]))


def _start(call: Call) -> Any:
    """The dag just made, or what it would do. No answer holds params."""
    check_caller(call)
    asked = call.bind(StartBody, lines=True)
    made = call.control.playbooks.start(
        call.path_values["name"],
        asked.params,
        caller=Caller(who_asks(call), call.caller.source),
        not_before=read_time(asked.not_before) if asked.not_before else 0,
        dry_run=asked.dry_run or call.flag("dry_run", default=False),
    )
    return preview_object(made) if isinstance(made, Preview) else created(made)


def _object(view: PlaybookView) -> dict[str, Any]:
    return {
        "name": view.name,
        "doc": view.doc,
        "source": view.source,
        "home": view.home.name,
        "maintenance": view.maintenance,
        "started_by": view.started_by or None,
        "params": view.schema,
        "plan": None if view.plan is None else preview_object(view.plan),
    }


_CODES = {
    "playbook.unknown": "request.not_found",
    "playbook.params": "config.invalid",
    "playbook.plan": "config.invalid",
    "playbook.not_by_name": "operator.unknown",
    "plan.no_nodes": "config.invalid",
    "plan.no_sub_tasks": "config.invalid",
    "plan.unknown_node": "config.invalid",
    "plan.cycle": "config.invalid",
    "plan.forward_reference": "config.invalid",
    "plan.twice_upstream": "config.invalid",
    "plan.limit": "config.invalid",
    "plan.args": "config.invalid",
    "plan.agent": "config.invalid",
    "plan.flag": "config.invalid",
    "plan.maintenance": "config.invalid",
    "plan.name": "config.invalid",
    "plan.step": "config.invalid",
    "plan.too_large": "config.invalid",
    "plan.unknown_step": "config.invalid",
    "plan.upstream": "config.invalid",
    "plan.no_way_on": "config.invalid",
}

ROUTES = (
    Route(method="GET", path="/playbooks", handler=_list),
    Route(method="GET", path="/playbooks/:name", handler=_get, lookup=_CODES),
    Route(method="POST", path="/playbooks/:name", handler=_start, body=StartBody, lookup=_CODES, query=("dry_run",)),
)
