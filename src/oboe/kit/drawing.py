"""What a node of a plan may be drawn with. What its home could not read again would set the dag aside, so it is refused by name before.

Drawing is somebody else's code: it may hand over anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from oboe.domain.errors import Refused, StepFailed
from oboe.domain.model import Flags, Maintenance, NodePlan
from oboe.domain.values import SECOND, Address
from oboe.kit.plain import plain
from oboe.kit.step import Step

__all__ = ["ARGS_BYTES_MAX", "NAME_CHARACTERS_MAX", "SUB_TASKS_MAX", "check_dag", "drawn"]

NAME_CHARACTERS_MAX = 255
"""Of a dag and of a node: what every store keeps whole."""
KEY_CHARACTERS_MAX = 128
"""Of what a maintenance lock is for."""
SUB_TASKS_MAX = 100_000
"""Of one plan."""
ARGS_BYTES_MAX = 1 << 20
"""Of one node, as JSON."""
SECONDS_MAX = 1e9
"""Thirty years."""
RETRIES_MAX = 1_000_000


def drawn(
    name: str,
    step: type[Step],
    *,
    upstream: Sequence[int],
    known: int,
    agents: Sequence[Address | None],
    parallel: bool,
    at_home: bool,
    approval: bool,
    args: Mapping[str, Any],
    split: int,
) -> NodePlan:
    """The node, of a plan that has ``known`` nodes so far.

    `Refused` ``plan.name`` ``plan.step`` ``plan.agent`` ``plan.upstream`` ``plan.limit`` ``plan.flag`` ``plan.args``."""
    _check_name(name, "node")
    if not isinstance(step, type) or not issubclass(step, Step) or step.run is Step.run:
        raise Refused("plan.step", f"{step!r:.200} of node {name!r} is no step", hint="a subclass of Step that has a run method")
    for agent in agents:
        if agent is not None and not isinstance(agent, Address):
            raise Refused("plan.agent", f"node {name!r} names {agent!r:.200}, which is no Address", hint="take them from sketch.members")
    if not all(type(node) is int and 0 <= node < known for node in upstream):
        raise Refused("plan.upstream", f"node {name!r} comes after {upstream!r:.200}", hint="after takes the answers of stage")
    return NodePlan(
        name=name,
        step=step.registered_name(),
        upstream=tuple(upstream),
        agents=tuple(agents),
        parallel=bool(parallel),
        at_home=bool(at_home),
        flags=_flags(name, step),
        timeout=_nanoseconds(name, step, "timeout"),
        patience=_nanoseconds(name, step, "patience"),
        grace=_nanoseconds(name, step, "grace"),
        retries=_retries(name, step.retries),
        backoff=_nanoseconds(name, step, "backoff"),
        approval=bool(approval),
        args=_args(name, args),
        split=split,
    )


def check_dag(name: str, maintenance: Maintenance) -> None:
    """What else a sketch says of its dag. `Refused` ``plan.name`` ``plan.maintenance``."""
    _check_name(name, "dag")
    if not isinstance(maintenance, Maintenance) or not isinstance(maintenance.key, str) or len(maintenance.key) > KEY_CHARACTERS_MAX:
        hint = f"a Maintenance whose key has {KEY_CHARACTERS_MAX} characters at most"
        raise Refused("plan.maintenance", f"the dag cannot lock {maintenance!r:.200}", hint=hint)


def _check_name(name: str, what: str) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > NAME_CHARACTERS_MAX:
        hint = f"1 to {NAME_CHARACTERS_MAX} printable characters"
        raise Refused("plan.name", f"{name!r:.200} is no name for a {what}", hint=hint)


def _nanoseconds(name: str, step: type[Step], which: str) -> int:
    seconds = getattr(step, which)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds > SECONDS_MAX:
        raise Refused("plan.limit", f"the {which} of node {name!r} is {seconds!r:.200}", hint=f"seconds, {SECONDS_MAX:.0f} at most")
    return int(seconds * SECOND)


def _retries(name: str, retries: int) -> int:
    if type(retries) is not int or retries > RETRIES_MAX:
        raise Refused("plan.limit", f"the retries of node {name!r} are {retries!r:.200}", hint=f"a whole number, {RETRIES_MAX} at most")
    return retries


def _flags(name: str, step: type[Step]) -> Flags:
    flags = step.flags()
    for which in Flags.__slots__:
        if type(getattr(flags, which)) is not bool:
            raise Refused("plan.flag", f"{which} of node {name!r} is {getattr(flags, which)!r:.200}", hint="True or False")
    return flags


def _args(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """As the step will read them: what JSON makes of them."""
    try:
        return dict(plain(dict(args), what="args", bytes_max=ARGS_BYTES_MAX))
    except (StepFailed, TypeError, ValueError) as error:
        text = error.message if isinstance(error, StepFailed) else str(error)
        raise Refused("plan.args", f"node {name!r}: {text}", hint="JSON-able values; secrets belong into params") from error
