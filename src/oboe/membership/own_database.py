"""This agent's own database as the agent sees it."""

from __future__ import annotations

from dataclasses import replace

from oboe.database.port import DatabaseState, Driver, Observation
from oboe.membership.local import LocalAgent
from oboe.membership.primary import STORE_USER

__all__ = ["own_database"]


def own_database(local: LocalAgent, driver: Driver, *, timeout: float = 2.0) -> Observation:
    """Whether it serves. One that lets oboe's own user in does, though it refuses root's password as this agent knows it: that was changed
    in SQL, perhaps, and is learned from the first request that comes with the new one."""
    instance = local.instance()
    if instance is None:
        return Observation(state=DatabaseState.ABSENT, reason="this agent has no database")
    seen = driver.observe(instance, password=local.secret("root_password"), timeout=timeout)
    store_password = local.secret("store_password")
    if seen.state is DatabaseState.RESTRICTED and store_password and driver.accepts(instance, STORE_USER, store_password):
        return replace(seen, state=DatabaseState.AVAILABLE, reason="")
    return seen
