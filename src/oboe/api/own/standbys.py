"""Standbys: to rebuild one that cannot go on."""

from __future__ import annotations

from typing import Any

from oboe.api.obshell.objects import DagObject
from oboe.api.obshell.route import Call, Route
from oboe.api.own.callers import check_caller
from oboe.domain.errors import Refused
from oboe.domain.values import Address

__all__ = ["ROUTES"]


def _rebuild(call: Call) -> Any:
    """Wipe the standby of the agent ``IP:PORT`` and clone it anew. The primary is never wiped, nor anything while there is none."""
    check_caller(call)
    text = call.path_values["agent"]
    try:
        agent = Address.parse(text)
    except ValueError:
        raise Refused("address.bad_ip", f"{text[:80]!r} is not IP:PORT", hint="agents are known by their IP addresses") from None
    return call.started(lambda dry: call.control.life.rebuild(agent, caller=call.caller, dry_run=dry))


ROUTES = (
    Route(
        method="POST",
        path="/standbys/:agent/rebuild",
        handler=_rebuild,
        answers=DagObject,
        query=("dry_run",),
        lookup={"maintenance.held": "maintenance.cluster_held"},
    ),
)
