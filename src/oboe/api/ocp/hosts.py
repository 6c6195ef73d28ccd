"""The agents of hosts: routes that make a task and answer with its flat form (`ocp-task.md` §2.8).

``hostId`` is the host's number in the inventory. *Restart*, *Stop* and their batches are the vendor's; *Start*, *Install*, *Reinstall*
and *Uninstall* have the same form here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from oboe.api.ocp.objects import Context, HostIds, OfPackage, SubmittedTask
from oboe.api.ocp.route import Call, Handler, Route
from oboe.control.hosts import ACTIONS, HOSTS_AT_ONCE_MAX
from oboe.domain.errors import Refused
from oboe.domain.model import Dag
from oboe.kit.typed import decoder

__all__ = ["ROUTES"]

MANAGER = "HOST_MANAGER"
_BODY_SPELLINGS = ("hostIds", "hostids")
"""The vendor's page has both."""
_NUMBER = re.compile(r"[0-9]{1,19}")


def _single(action: str) -> Handler:
    def handler(call: Call) -> SubmittedTask:
        text = call.target = call.path_values["host"]
        if not _NUMBER.fullmatch(text):
            raise Refused("request.query", f"{text[:40]!r} is no id")
        dag = _made(call, action, [text], _package(call))
        return call.codec.submitted(dag, _context({"host_id": text}, {}), host_id=int(text))

    return handler


def _batch(action: str) -> Handler:
    def handler(call: Call) -> SubmittedTask:
        numbers = [str(number) for number in _host_ids(call)]
        dag = _made(call, action, numbers, "")
        return call.codec.submitted(dag, _context({}, {"host_ids": numbers}))

    return handler


def _made(call: Call, action: str, numbers: Sequence[str], package: str) -> Dag:
    hosts = call.control.hosts
    for number in numbers:
        agent = hosts.find(number).agent_address
        if not call.user.may(MANAGER, (f"host={agent}",)):
            raise Refused("user.forbidden", f"{call.user.name} has no {MANAGER} on host {number}")
    made = hosts.operate(action, numbers, package=package, caller=call.caller)
    assert isinstance(made, Dag)
    return made


def _context(texts: dict[str, str], lists: dict[str, list[str]]) -> Context:
    return Context(list_map=lists, string_map={"prohibit_rollback": "false", **texts})


def _package(call: Call) -> str:
    """A directory on this agent's host; only where something is installed."""
    if not call.request.body:
        return ""
    package = _body(call).get("package", "")
    if not isinstance(package, str):
        raise Refused("request.body", "package is no text")
    return package


def _host_ids(call: Call) -> list[int]:
    body = _body(call)
    given = next((body[name] for name in _BODY_SPELLINGS if name in body), None)
    if not isinstance(given, list) or not 0 < len(given) <= HOSTS_AT_ONCE_MAX or not all(type(each) is int and each >= 0 for each in given):
        raise Refused("request.body", f"hostIds is no list of 1 to {HOSTS_AT_ONCE_MAX} ids")
    return given


def _body(call: Call) -> dict[str, Any]:
    try:
        return decoder(dict[str, Any]).decode(call.request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("request.body", f"the body cannot be read: {type(error).__name__}") from None


ROUTES = (
    *(
        Route("POST", f"/compute/hosts/:host/agent/{action}", _single(action), MANAGER, changes=True, answers=SubmittedTask, body=OfPackage)
        for action in ACTIONS
    ),
    *(
        Route(
            "POST",
            f"/compute/hosts/batch{action.capitalize()}Agents",
            _batch(action),
            MANAGER,
            changes=True,
            answers=SubmittedTask,
            body=HostIds,
        )
        for action, (_, several) in ACTIONS.items()
        if several
    ),
)
