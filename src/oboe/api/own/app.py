"""oboe's own API: what the dialects have no word for, behind the same door as OBShell's, in the same envelope."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oboe.api.obshell.app import Obshell
from oboe.api.obshell.auth import Door
from oboe.api.obshell.route import Call, Route
from oboe.api.own import dags, events, hosts, playbooks, standbys, users
from oboe.control.port import Control

__all__ = ["PREFIX", "ROUTES", "own_api"]

PREFIX = "/oboe/v1"


def _ready(call: Call) -> Any:
    """Public: it tells no more than whether the agent can do its work, and what keeps it from doing it."""
    return dict(call.control.ready())


_ROUTES = (
    Route(method="GET", path="/ready", handler=_ready, public=True),
    *dags.ROUTES,
    *events.ROUTES,
    *playbooks.ROUTES,
    *users.ROUTES,
    *hosts.ROUTES,
    *standbys.ROUTES,
)
ROUTES = tuple(replace(route, once=route.method == "POST") for route in _ROUTES)


def own_api(control: Control, door: Door) -> Obshell:
    """The routes of this module, answered as OBShell's are."""
    return Obshell(control, prefix=PREFIX, routes=ROUTES, door=door)
