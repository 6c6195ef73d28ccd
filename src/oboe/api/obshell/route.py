"""What a route is, and what its handler gets: one `Call`, bound and verified."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from oboe.api.obshell.auth import Door, Rule
from oboe.api.obshell.codec import created, preview_object
from oboe.api.obshell.members import as_named
from oboe.api.obshell.printed import Printed
from oboe.api.shared.envelope import NO_DATA
from oboe.control.port import Caller, Control
from oboe.control.views import DagView, Preview
from oboe.domain.errors import OboeError, Refused
from oboe.domain.model import Dag
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.kit.typed import decoder

__all__ = ["FALSE", "NO_CONTENT", "PASSWORD_CHARACTERS_MAX", "TEXT_CHARACTERS_MAX", "TRUE", "Call", "Handler", "Route", "Routes"]

T = TypeVar("T")

_BEFORE_THE_DAG = ("scope.", "agent.unknown")
"""Refused before the original begins to make the dag."""

_NOT_CREATED = dict.fromkeys(
    ("engine.busy", "engine.slow", "engine.stopping", "engine.turn_failed", "store.busy", "store.failed"), "dag.not_created"
)
"""Nobody knows of the dag: whoever asked may ask again."""

NO_CONTENT = object()
"""The handler answers 204."""

TEXT_CHARACTERS_MAX = 16_384
"""Of any text in a body: names, paths, passwords."""
PASSWORD_CHARACTERS_MAX = 1024
PASSWORD_JSON_MAX = 2048
"""Of a password as clients write it into their headers, of which 48 pieces of 53 bytes are read; the rest is for the target."""
_FIELDS_MAX = 100

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""They are part of no name, address, path or password, and end whatever is written line by line."""

TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False", "")


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through a handler. The last members are what the handler says of its answer."""

    control: Control
    door: Door
    printed: Printed
    path_values: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: bytes = field(repr=False)
    caller: Caller
    received_at: float
    """Unix seconds."""
    asked_at: float
    """Monotonic seconds."""
    local: bool = False
    """Asked over the agent's unix socket, by somebody who may do everything on this host."""
    keys: bytes = field(default=b"", repr=False)
    """AES key ‖ IV of the request, for the few answers that are encrypted."""
    session_id: Secret = field(default_factory=lambda: Secret(""))
    sso_token: Secret = field(default_factory=lambda: Secret(""))
    last_event_id: str = ""
    """Where a listener that was cut off wants to go on."""
    forwarded_by: Address | None = None
    """The FOLLOWER that passed it on."""

    lookup: dict[str, str] = field(default_factory=dict)
    """Neutral codes that have another name in this call."""
    data_on_error: Any = NO_DATA
    headers: list[tuple[str, str]] = field(default_factory=list)

    def bind(self, kind: type[T], *, lines: bool = False) -> T:
        """The body as ``kind``; no body is ``{}``; names of members match whatever their case, unknown ones are ignored; no text is long or
        has control characters.

        ``lines``: texts may have several lines. `Refused` ``request.body``."""
        try:
            asked = decoder(kind, dec_hook=_secret).decode(as_named(self.body, kind))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refused("request.body", f"the body cannot be read: {error}") from None
        texts = _texts(msgspec.to_builtins(asked, enc_hook=Secret.reveal))
        control = _CONTROL_IN_LINES if lines else _CONTROL
        if any(len(text) > TEXT_CHARACTERS_MAX or control.search(text) for text in texts):
            raise Refused("request.body", f"a text in the body holds control characters, or more than {TEXT_CHARACTERS_MAX}")
        return asked

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean of the query. `Refused` ``request.query``."""
        values = self.query.get(name)
        if values is None:
            return default
        if values[0] in TRUE:
            return True
        if values[0] in FALSE:
            return False
        raise Refused("request.query", f"{name}={values[0][:40]!r} is neither true nor false")

    def number(self, name: str, *, default: int, low: int, high: int) -> int:
        """A decimal number of the query. `Refused` ``request.query``."""
        values = self.query.get(name)
        if values is None:
            return default
        if not re.fullmatch(r"[0-9]{1,18}", values[0]) or not low <= int(values[0]) <= high:
            raise Refused("request.query", f"{name}={values[0][:40]!r} is no number from {low} to {high}")
        return int(values[0])

    def details(self) -> bool:
        """``show_details``; only where that is not given, the public pages' ``show_detail``."""
        return self.flag("show_details" if "show_details" in self.query else "show_detail", default=True)

    def started(self, make: Callable[[bool], Dag | Preview | None], *, null_on_error: bool = False) -> Any:
        """What a route that creates a dag answers; ``make`` is given whether to run dry.

        The original sends ``"data":null`` beside an error where creating the dag itself failed, and some routes always do."""
        dry_run = self.flag("dry_run", default=False)
        self.lookup.update(_NOT_CREATED)
        try:
            result = make(dry_run)
        except OboeError as error:
            if (null_on_error and not error.code.startswith(_BEFORE_THE_DAG)) or error.code.startswith(("maintenance.", "plan.")):
                self.data_on_error = None
            raise
        if result is None:
            return NO_CONTENT
        return preview_object(result) if isinstance(result, Preview) else created(result)

    def note_stale(self, *views: DagView) -> None:
        """Say so when the answer comes from a copy."""
        seconds = max((view.stale_seconds for view in views), default=0.0)
        if seconds > 0:
            self.headers.append(("X-Oboe-Stale", f"{seconds:.1f}"))

    def note_missing(self, agents: Iterable[Address]) -> None:
        """Say who should be in the answer and did not answer in time."""
        named = ", ".join(str(agent) for agent in agents)
        if named:
            self.headers.append(("X-Oboe-Missing", named))


Handler = Callable[[Call], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. ``path`` is below ``/api/v1``; a segment ``:name`` is a value."""

    method: str
    path: str
    handler: Handler
    public: bool = False
    """No authentication, and never passed on to a MASTER."""
    rule: Rule = Rule.NORMAL
    stays: bool = False
    """A FOLLOWER answers it itself."""
    body: type[Any] | None = None
    answers: Any = None
    """Type of ``data``, for the interface's description; None: none."""
    lookup: Mapping[str, str] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    once: bool = False
    """With an ``Idempotency-Key`` it is carried out once."""
    foresee: Callable[[Call], None] | None = None
    """What the handler will wait for, to be carried out on another thread before: the request is not verified yet. It changes nothing."""
    streams: bool = False
    """It answers with server-sent events, and may do so for long."""
    gathers: bool = False
    """It answers with what several agents have, within 2 s, and names those that are missing."""
    of_master: Callable[[Call], bool] = lambda call: False
    """Whether a FOLLOWER passes it on even when nobody has to be verified."""


class Routes:
    """Finds the route of a request: exact paths first, then those with values."""

    def __init__(self, prefix: str, routes: Sequence[Route]) -> None:
        self.prefix = prefix
        self.routes = tuple(routes)
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Route]] = []
        self._stems: set[tuple[str, str]] = set()
        for route in routes:
            path = prefix + route.path
            if ":" not in path:
                self._exact[route.method, path] = route
                continue
            self._patterns.append((route.method, re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", path)), route))
            self._stems.add((route.method, path[: path.index("/:")]))

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        found = self._exact.get((method, path))
        if found is not None:
            return found, {}
        for wanted, pattern, route in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)):
                return route, match.groupdict()
        return None

    def has_slash_too_many(self, method: str, path: str) -> bool:
        """Whether the path without its last slash is a route."""
        stem = path[:-1]
        return path.endswith("/") and (self.find(method, stem) is not None or (method, stem) in self._stems)


def _secret(kind: type[Any], value: Any) -> Any:
    """Passwords are texts on the wire; one that no header could carry would lock everybody out."""
    if kind is not Secret or not isinstance(value, str):
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    if len(value) > PASSWORD_CHARACTERS_MAX or len(json.dumps(value)) > PASSWORD_JSON_MAX:
        raise ValueError(f"Expected `str` of at most {PASSWORD_CHARACTERS_MAX} letters, and of {PASSWORD_JSON_MAX} bytes as JSON")
    return Secret(value)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a body, names of members included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def parse_query(query: str) -> Mapping[str, Sequence[str]]:
    """What comes after the hundredth field is not read."""
    return parse_qs("&".join(query.split("&", _FIELDS_MAX)[:_FIELDS_MAX]), keep_blank_values=True) if query else {}
