"""The engine's limits: every bound on what it queues, waits for, retries and keeps.

The daemon fills them from the settings: each field is the one of that name after ``engine_``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times are seconds."""

    workers_max: int = 256
    """Steps that run at once on this agent."""
    worker_idle_seconds: float = 10.0
    """How long a worker without work stays."""
    output_chars_max: int = 256 * 1024
    """Of each output of a command, the last so many characters reach the step."""
    output_bytes_max: int = 256 << 20
    """A command that writes more is ended: its output is on the agent's disk."""
    deaths_max: int = 20
    """Times in a row that a step is resumed by an agent that died while it ran; then it fails."""
    lines_max: int = 20_000
    """Log lines of one attempt; further ones are counted, not kept."""
    line_chars_max: int = 16 * 1024
    result_bytes_max: int = 1 << 20
    """What a step may return, as JSON."""
    flush_seconds: float = 0.2
    """How long a line of a running step waits for company on its way home."""
    stubborn_seconds: float = 8.0
    """A step that ignores an interrupt so long has its processes killed, and its worker is given up."""
    queue_max: int = 100_000
    """Requests and reports that wait for a scheduler; beyond it `TryAgain`."""
    batch_max: int = 1024
    """What a scheduler takes into one turn."""
    stale_tries_max: int = 5
    """Times that a lost race is repeated at once; then it backs off."""
    backoff_seconds_min: float = 0.05
    backoff_seconds_max: float = 5.0
    safety_net_seconds: float = 60.0
    """How often a scheduler reads again what is not settled, in case it missed something."""
    lanes_max: int = 64
    """Agents that are spoken to at once."""
    lane_idle_seconds: float = 5.0
    lease_seconds: float = 8.0
    lease_renew_seconds: float = 3.0
    lease_look_seconds: float = 4.5
    keep_seconds: float = 30 * 86400.0
    """How long a finished dag stays in the history."""
    keep_dags_max: int = 1_000_000
    inbox_keep_seconds: float = 86400.0
    """How long an agent remembers the attempts of a dag that has settled."""
    remind_seconds: float = 3600.0
    """How long an agent waits for a home to say that a dag settled, before it tells it again what it did."""
    sweep_seconds: float = 3600.0
    recall_seconds: float = 60.0
    """How long a dag, and every maintenance lock, waits for agents to say what they did before the cluster's store went back."""
