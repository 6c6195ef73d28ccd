"""The JSON that stores keep: a dag's static part, its state, its sub-tasks, one by one. Defaults of state are left out.

Because they are left out, the default of a stored field means the same for ever: a new meaning is a new field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter, is_not
from typing import Any

import msgspec

from oboe.domain.messages import Order, Report
from oboe.domain.model import Approval, Dag, GoneAgent, Home, Leader, Maintenance, NodePlan, Pause, Plan, SubTask
from oboe.domain.records import Draft
from oboe.domain.values import Address, Operator
from oboe.kit.typed import decoder

__all__ = [
    "UNREADABLE",
    "DagFacts",
    "changed_sub_tasks",
    "dag_of",
    "decode",
    "draft_dag",
    "encode",
    "encode_dag",
    "encode_facts",
    "encode_state",
    "encode_sub_task",
    "first_sub_tasks",
    "read_dag",
    "read_facts",
    "read_order",
    "read_report",
]

_encoder = msgspec.json.Encoder()
_plain = decoder(object)
_order = decoder(Order)
_report = decoder(Report)
_sub_task = decoder(SubTask)


class DagFacts(msgspec.Struct, omit_defaults=True):
    """What never changes of a dag, beside its ids."""

    name: str
    playbook: str
    nodes: tuple[NodePlan, ...]
    params: dict[str, Any]
    home: Home
    created_at: int
    created_by: Address
    maintenance: Maintenance = Maintenance()
    creator: str = "obshell"
    leader: Leader | None = None
    not_before: int = 0


class _DagState(msgspec.Struct, omit_defaults=True):
    """What changes of a dag, beside its version and its sub-tasks."""

    operator: Operator = Operator.RUN
    cancelled: bool = False
    skipped_undo: bool = False
    asks: int = 0
    started_at: int = 0
    ended_at: int = 0
    signals: dict[str, Any] = {}
    paused: Pause | None = None
    approvals: dict[int, Approval] = {}
    halt_reason: str = ""
    recalled: tuple[Address, ...] = ()
    recalled_at: int = 0
    gone: tuple[GoneAgent, ...] = ()
    epoch: int = 0


_facts = decoder(DagFacts)
_state = decoder(_DagState)
_state_values = attrgetter(*_DagState.__struct_fields__)

_SubTaskRow = msgspec.defstruct(
    "_SubTaskRow",
    [(name, Any, field.default) for name, field in SubTask.__dataclass_fields__.items()],
    omit_defaults=True,
)
"""A `SubTask` that leaves defaults out; it is read back as a `SubTask`."""
_sub_task_values = attrgetter(*SubTask.__dataclass_fields__)


UNREADABLE = (ValueError, TypeError, LookupError, RecursionError)
"""What is raised for a text that cannot be read: msgspec's own errors are a ValueError."""


def encode(value: Any) -> str:
    """Any JSON-able value, dataclasses included."""
    return _encoder.encode(value).decode()


def decode(text: str) -> Any:
    """Plain JSON."""
    return _plain.decode(text)


def read_order(text: str) -> Order:
    return _order.decode(text)


def read_report(text: str) -> Report:
    return _report.decode(text)


def encode_facts(dag: Dag) -> str:
    """The static part of a dag."""
    return encode(
        DagFacts(
            name=dag.name,
            playbook=dag.playbook,
            nodes=dag.plan.nodes,
            params=dict(dag.params),
            home=dag.home,
            created_at=dag.created_at,
            created_by=dag.created_by,
            maintenance=dag.maintenance,
            creator=dag.creator,
            leader=dag.leader,
            not_before=dag.not_before,
        )
    )


def read_facts(text: str) -> DagFacts:
    return _facts.decode(text)


def encode_state(dag: Dag) -> str:
    """The part of a dag that changes."""
    return _encoder.encode(_DagState(*_state_values(dag))).decode()


def encode_sub_task(sub_task: SubTask) -> str:
    return _encoder.encode(_SubTaskRow(*_sub_task_values(sub_task))).decode()


def first_sub_tasks(nodes: Sequence[NodePlan]) -> tuple[SubTask, ...]:
    """The sub-tasks of a dag that was just made. Those that still equal these are not stored."""
    return tuple(SubTask(agent=agent) for node in nodes for agent in node.agents)


def changed_sub_tasks(before: Dag, after: Dag) -> Iterator[tuple[int, SubTask]]:
    """Index and new value of each sub-task that differs; the same object is never looked at twice."""
    old, new = before.sub_tasks, after.sub_tasks
    if old is new:
        return
    for index in compress(range(len(new)), map(is_not, old, new)):
        if old[index] != new[index]:
            yield index, new[index]


def draft_dag(draft: Draft, *, number: int, node_base: int, sub_task_base: int) -> Dag:
    """The dag that a draft becomes once it has numbers."""
    return Dag(
        key=draft.key,
        id=number,
        node_base=node_base,
        sub_task_base=sub_task_base,
        name=draft.name,
        playbook=draft.playbook,
        plan=draft.plan,
        params=draft.params,
        home=draft.home,
        maintenance=draft.maintenance,
        created_at=draft.created_at,
        creator=draft.creator,
        created_by=draft.created_by,
        leader=draft.leader,
        not_before=draft.not_before,
        sub_tasks=first_sub_tasks(draft.plan.nodes),
        version=1,
    )


def dag_of(row: tuple[str, int, int, int, str], version: int, state: str, sub_tasks: Mapping[int, str]) -> Dag:
    """A dag from its rows: ``(key, id, node_base, sub_task_base, facts)``, version, state, and the sub-tasks that are stored.

    Raises `msgspec.DecodeError` (or a `ValueError`) for what cannot be read."""
    key, number, node_base, sub_task_base, text = row
    facts = read_facts(text)
    changed = list(first_sub_tasks(facts.nodes))
    for index, sub_task in sub_tasks.items():
        if not 0 <= index < len(changed):
            raise ValueError(f"sub-task {index} is not in the plan")
        changed[index] = _sub_task.decode(sub_task)
    return Dag(
        key=key,
        id=number,
        node_base=node_base,
        sub_task_base=sub_task_base,
        name=facts.name,
        playbook=facts.playbook,
        plan=Plan(facts.nodes),
        params=facts.params,
        home=facts.home,
        maintenance=facts.maintenance,
        created_at=facts.created_at,
        creator=facts.creator,
        created_by=facts.created_by,
        leader=facts.leader,
        not_before=facts.not_before,
        sub_tasks=tuple(changed),
        version=version,
        **msgspec.structs.asdict(_state.decode(state)),
    )


class _WholeDag(msgspec.Struct):
    key: str
    id: int
    node_base: int
    sub_task_base: int
    version: int
    facts: msgspec.Raw
    state: msgspec.Raw
    sub_tasks: dict[int, msgspec.Raw]


_whole = decoder(_WholeDag)


def encode_dag(dag: Dag) -> str:
    """A whole dag as one text, for copies."""
    changed = {
        index: msgspec.Raw(encode_sub_task(sub_task))
        for index, (first, sub_task) in enumerate(zip(first_sub_tasks(dag.plan.nodes), dag.sub_tasks, strict=True))
        if sub_task != first
    }
    facts, state = msgspec.Raw(encode_facts(dag)), msgspec.Raw(encode_state(dag))
    return encode(_WholeDag(dag.key, dag.id, dag.node_base, dag.sub_task_base, dag.version, facts, state, changed))


def read_dag(text: str) -> Dag:
    """The inverse of `encode_dag`. Raises like `dag_of`."""
    whole = _whole.decode(text)
    sub_tasks = {index: _text(raw) for index, raw in whole.sub_tasks.items()}
    return dag_of(
        (whole.key, whole.id, whole.node_base, whole.sub_task_base, _text(whole.facts)), whole.version, _text(whole.state), sub_tasks
    )


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw).decode()
