"""What a person may say for a dag: its id, or `ob` and `agent` for the newest maintenance dag of the cluster and of the agent."""

from __future__ import annotations

from oboe.cli.client import API, AgentClient
from oboe.domain.errors import Refused

__all__ = ["dag_path", "resolve"]

_WORDS = ("ob", "agent")


def dag_path(said: str) -> str:
    """Where that dag is read. `Refused` ``task.no_id`` for nothing at all, as a script says whose variable is empty."""
    if not said.strip():
        raise Refused("task.no_id", "the id is empty", hint="`oboe task list` shows ids")
    return f"{API}/task/dag/maintain/{said}" if said in _WORDS else f"{API}/task/dag/{said}"


def resolve(client: AgentClient, said: str) -> str:
    """The id of that dag. `Refused` as `dag_path`."""
    path = dag_path(said)
    return str(client.get(path, show_details="false").data["id"]) if said in _WORDS else said
