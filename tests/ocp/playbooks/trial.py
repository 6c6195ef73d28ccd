"""Makes the steps of the tests known to an agent."""

from tests.ocp.steps import Scripted, ScriptedForGood, graph

__all__ = ["Scripted", "ScriptedForGood", "graph"]
