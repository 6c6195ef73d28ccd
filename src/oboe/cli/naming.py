"""What a person may say for a dag: its id, or `ob` and `agent` for the newest maintenance dag of the cluster and of the agent."""

from __future__ import annotations

from oboe.cli.client import API, AgentClient

__all__ = ["dag_path", "resolve"]

_WORDS = ("ob", "agent")


def dag_path(said: str) -> str:
    """Where that dag is read."""
    return f"{API}/task/dag/maintain/{said}" if said in _WORDS else f"{API}/task/dag/{said}"


def resolve(client: AgentClient, said: str) -> str:
    """The id of that dag."""
    return str(client.get(dag_path(said), show_details="false").data["id"]) if said in _WORDS else said
