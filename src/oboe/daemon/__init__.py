"""The composition root: builds the agent from its parts, runs it, takes it down. It decides nothing.

`parts` builds, layer by layer; `agent` is the life of what was built; `process` is the process around it.
"""

from oboe.daemon.agent import Agent
from oboe.daemon.process import run

__all__ = ["Agent", "run"]
