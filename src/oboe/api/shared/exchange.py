"""A request and its answer, as every API sees them: plain values, no framework."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

__all__ = ["JSON", "PEER", "TARGET", "Answer", "Request", "Stream"]

JSON = "application/json"
PEER = "oboe.peer"
"""In the scope of a request that came over the agent's unix socket: the caller's uid."""
TARGET = "oboe.target"
"""In the scope: the request target, byte for byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What came in. ``headers`` have lower-case names."""

    method: str
    target: str
    """Raw request target, as on the request line: authentication compares it."""
    path: str
    """Decoded, without the query."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    source: str
    """The client's IP address, or ``uid N`` of a local caller; empty when unknown."""
    received_at: float
    """Unix seconds."""
    started: float
    """Monotonic seconds."""
    secure: bool = False
    """It came over TLS."""
    local: bool = False
    """It came over the agent's unix socket, from somebody who may do everything on this host."""
    alone: bool = False
    """No other was being carried out when it came: there are processors to spare for it."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What a handler gives for an answer without a known end. ``chunks`` may block for some seconds; an empty one says nothing."""

    content_type: str
    chunks: Generator[bytes, None, None] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes out. ``guessing`` marks a failed attempt to authenticate: such answers are slowed down."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    guessing: bool = False
    chunks: Generator[bytes, None, None] | None = field(default=None, repr=False)
    """Instead of ``body``: sent one by one, as they come, until the client goes."""
