"""What strangers meet on the public port: every bound on what they may send, hold and wait for. The daemon fills it from the settings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Bounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Times are seconds. Each field is the setting of that name after ``http_``."""

    connections_max: int = 1000
    keep_alive_seconds: int = 30
    head_seconds: float = 10.0
    """How long a client may take to say what it wants: a handshake, then the head of its request."""
    unread_seconds: float = 60.0
    """How long the other side may leave what was sent to it unacknowledged."""
    body_seconds: float = 30.0
    """How long a client may take to send its body."""
    body_bytes_max: int = 4 << 20
    bodies_bytes_max: int = 64 << 20
    """Of all requests that are being read or carried out."""
    in_flight_max: int = 512
    """Requests that are being carried out or wait for a worker; more are refused at once."""
    workers_max: int = 32
    """Some use cases wait for other agents, so there are more workers than processors."""
    user_requests_max: int = 6000
    """Of one user of OCP's API in a minute; 0: no bound."""
    streams_max: int = 64
    """Listeners at once; each has a thread."""
