"""OCP's ids of tasks and sub-tasks: one number for each, the same from every agent (`ocp-task.md` §5.3).

::

    cluster     N
    an agent's  2^52 + number of the agent · 2^32 + N      always below 2^53, so that JSON carries it exactly

Agents get their numbers from the cluster; one that belongs to none is number 0.
"""

from __future__ import annotations

import re
from typing import Literal

from oboe.control.views import Landmarks, Ref
from oboe.domain.errors import Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind

__all__ = ["decode", "encode"]

_AGENTS = 1 << 52
_SHIFT = 32
_ID_MAX = (1 << 53) - 1
_NUMBER = re.compile(r"-?[0-9]{1,19}")


def encode(home: Home, number: int, landmarks: Landmarks) -> int:
    """The id of what has that number in that home. An agent that is not known (any more) counts as number 0."""
    if home.kind is HomeKind.CLUSTER:
        return number
    assert home.agent is not None
    return _AGENTS + (landmarks.numbers.get(home.agent, 0) << _SHIFT) + number


def decode(kind: Literal["dag", "sub_task"], text: str, landmarks: Landmarks) -> Ref:
    """What an id names. `Refused` ``request.query`` for what is no number, ``task.not_found`` for one that no home gives out."""
    if not _NUMBER.fullmatch(text):
        raise Refused("request.query", f"{text[:40]!r} is no id")
    number = int(text)
    if 0 < number < _AGENTS:
        return Ref(kind, HomeKind.CLUSTER, None, number)
    if not _AGENTS < number <= _ID_MAX:
        raise _unknown(text)
    agent, number = divmod(number - _AGENTS, 1 << _SHIFT)
    return Ref(kind, HomeKind.AGENT, _owner(text, agent, number, landmarks), number)


def _owner(text: str, agent: int, number: int, landmarks: Landmarks) -> Address:
    owner = next((address for address, known in landmarks.numbers.items() if known == agent), None)
    if owner is not None:
        return owner
    if agent == 0:
        now = encode(Home(HomeKind.AGENT, landmarks.here), number, landmarks)
        raise Refused("task.not_found", f"no task has id {text}", hint=f"if it is of {landmarks.here}, from before it joined: {now}")
    raise _unknown(text)


def _unknown(text: str) -> Refused:
    return Refused("task.not_found", f"no task has id {text[:40]}")
