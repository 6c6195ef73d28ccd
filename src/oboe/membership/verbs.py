"""What agents ask of each other about membership and databases: requests and answers of the verbs, JSON-able."""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.database.port import Instance
from oboe.kit.run import Child

__all__ = [
    "AskDag",
    "AskStatus",
    "Become",
    "Configure",
    "ConfigureAnswer",
    "FollowDag",
    "Invite",
    "LeadDag",
    "Leave",
    "LedBy",
    "LedDags",
    "SignalDag",
    "StoreMark",
    "WakeDag",
]


class Configure(msgspec.Struct):
    """``instance.configure``: what would this configuration come to on your host?"""

    settings: dict[str, str]
    zone: str
    taken_ports: list[int]


class ConfigureAnswer(msgspec.Struct):
    instance: Instance
    warnings: list[str]


class AskStatus(msgspec.Struct):
    """``agent.status``: how do you and your database do? It may be looked at for that long."""

    probe_seconds: float = 1.0


class Become(msgspec.Struct):
    """``agent.become``: take this identity (the number of `Identity`)."""

    identity: int


class Leave(msgspec.Struct):
    """``member.leave``: that agent is no longer a member."""

    agent: str


class Invite(msgspec.Struct):
    """``database.invite``: let these addresses connect to your database, and no others."""

    addresses: list[str]


class LeadDag(msgspec.Struct):
    """``dag.lead``: create, once, this dag in your own home; led by another."""

    playbook: str
    params: dict[str, Any]
    dag_key: str
    leader_home: int
    leader_key: str
    leader_agent: str


class OperateHosts(msgspec.Struct):
    """``host.operate``: do this to the agents of these hosts, by number, in a dag of your own home; the answer is its view."""

    action: str
    hosts: list[int]
    package: str
    caller: str


class FollowDag(msgspec.Struct):
    """``dag.follow``: what has it come to? Answers when its version is past ``known_version``, at the latest after ``seconds``."""

    dag_key: str
    known_version: int
    seconds: float


class AskDag(msgspec.Struct):
    """``dag.ask``: an operator from its leader. RELEASE: come to rest and hold nothing, undone where that can be, else passed."""

    dag_key: str
    operator: str


class LedBy(msgspec.Struct):
    """``dag.led_by``: which of your dags that are not settled does that one lead?"""

    leader_key: str


class LedDags(msgspec.Struct):
    children: list[Child]


class SignalDag(msgspec.Struct):
    """``dag.signal``: durable when answered."""

    dag_key: str
    name: str
    payload: Any = None


class StoreMark(msgspec.Struct, frozen=True):
    """``store.mark``: so far have I seen the cluster's store go (epoch 0: not at all); how far have you? See `oboe.membership.marks`."""

    epoch: int = 0
    seat: str = ""
    """``ip:mysql_port`` of the primary."""
    beat: int = 0
    """The end of the lease by the primary's clock, microseconds."""


class WakeDag(msgspec.Struct):
    """``cluster.begin``: a dag was created in the cluster home that you serve; begin it now."""

    dag_key: str
