"""What a route of OCP's API is, and what its handler gets: one `Call`, of a user who is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import parse_qs

from oboe.api.ocp.codec import Codec
from oboe.api.ocp.sessions import Sessions
from oboe.api.shared.exchange import Answer, Request
from oboe.control.port import Caller, Control
from oboe.control.users import User
from oboe.domain.errors import Refused
from oboe.domain.model import Dag
from oboe.domain.values import HomeKind, MaintenanceKind

__all__ = ["NOTHING", "NUMBER_MAX", "Call", "Handler", "Route", "Routes", "objects_of"]

NOTHING = object()
"""The operation returns nothing: the envelope has no ``data``."""
NUMBER_MAX = (1 << 63) - 1
_FIELDS_MAX = 100


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through a handler. The last members are what the handler says of its answer."""

    control: Control
    sessions: Sessions
    followers: BoundedSemaphore
    """Requests that wait for more of a log."""
    route: Route
    request: Request
    user: User
    path_values: Mapping[str, str]
    target: str = ""
    debug: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    _query: Mapping[str, Sequence[str]] | None = None
    _codec: Codec | None = None

    @property
    def codec(self) -> Codec:
        if self._codec is None:
            self._codec = Codec(self.control.landmarks(), self.control.users.id_of)
        return self._codec

    @property
    def caller(self) -> Caller:
        return Caller(self.user.name, self.request.source)

    def note(self, header: str, value: str) -> None:
        """A header of the answer."""
        self.headers[header] = value

    def need(self, permission: str, dag: Dag) -> None:
        """`Refused` ``user.forbidden`` unless the user may do that to this task."""
        if not self.user.may(permission, objects_of(dag)):
            raise Refused("user.forbidden", f"{self.user.name} has no {permission} on this task")

    # The query

    def text(self, *names: str) -> str:
        """The first of these that is given and not empty; several values are joined by commas. The route has to name them."""
        assert set(names) <= set(self.route.query), f"{self.route.path} does not say that it reads {names}"
        if self._query is None:
            self._query = _parsed(self.request.query)
        return next((",".join(self._query[name]) for name in names if "".join(self._query.get(name, ()))), "")

    def number(self, name: str, *, default: int, low: int, high: int) -> int:
        """A decimal number; more than ``high`` counts as ``high``. `Refused` ``request.query``."""
        text = self.text(name)
        if not text:
            return default
        if not re.fullmatch(r"-?[0-9]{1,19}", text) or not low <= int(text) <= NUMBER_MAX:
            raise Refused("request.query", f"{name}={text[:40]!r} is no number of {low} or more")
        return min(int(text), high)

    def flag(self, name: str) -> bool:
        text = self.text(name).lower()
        if text not in ("", "true", "false"):
            raise Refused("request.query", f"{name}={text[:40]!r} is neither true nor false")
        return text == "true"

    def words(self, name: str, known: Sequence[str], *, spellings: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Words separated by commas, in any case; empty: not asked. `Refused` ``request.query`` names those that there are."""
        found = []
        for word in filter(None, (each.strip().upper() for each in self.text(name).split(","))):
            meant = (spellings or {}).get(word, word)
            if meant not in known:
                raise Refused("request.query", f"{name}={word[:40]!r} is none of {', '.join(known)}")
            found.append(meant)
        return tuple(found)

    def time(self, name: str, default: int) -> int:
        """A time with an offset, in nanoseconds. `Refused` ``request.query``."""
        text = self.text(name)
        if not text:
            return default
        try:
            found = datetime.fromisoformat(text.replace(" ", "+"))  # a plus that was not encoded
            if found.tzinfo is None:
                raise ValueError("it has no offset")
            return int(found.timestamp()) * 1_000_000_000 + found.microsecond * 1000
        except (ValueError, OverflowError) as error:
            raise Refused("request.query", f"{name}={text[:40]!r} is no time: {error}") from None


Handler = Callable[[Call], "Any | Answer"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path below ``/api/v2``; a segment ``:name`` is a value."""

    method: str
    path: str
    handler: Handler
    permission: str
    """Needed at least on something; empty: none."""
    public: bool = False
    """Nobody has to say who they are."""
    changes: bool = False
    """It may be asked for once by key, and for one version of the task."""
    answers: Any = None
    """Type of ``data``; None: none; ``bytes``: a file instead of an envelope."""
    body: type[Any] | None = None
    query: tuple[str, ...] = ()
    """What the handler reads of it; everything else is not looked at."""


class Routes:
    """Finds the route of a request: exact paths first."""

    def __init__(self, prefix: str, routes: Sequence[Route]) -> None:
        self.prefix, self.routes = prefix, tuple(routes)
        ordered = sorted(routes, key=lambda route: ":" in route.path)
        self._patterns = [(route, re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", prefix + route.path))) for route in ordered]

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        for route, pattern in self._patterns:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None


def objects_of(dag: Dag) -> tuple[str, ...]:
    """What a task touches, as grants name it."""
    if dag.maintenance.kind is MaintenanceKind.HOST:
        return (f"host={dag.maintenance.key}", f"host={dag.home.agent}")
    if dag.home.kind is HomeKind.AGENT:
        return (f"host={dag.home.agent}",)
    if dag.maintenance.kind is MaintenanceKind.TENANT:
        return ("cluster", f"tenant={dag.maintenance.key}")
    return ("cluster",)


def _parsed(query: str) -> Mapping[str, Sequence[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=_FIELDS_MAX)
    except ValueError as error:
        raise Refused("request.query", f"the query cannot be read: {error}") from None
