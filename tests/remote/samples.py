"""Every message between agents, and a value of each in which no member has its default."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import inspect

from oboe.control import leadership, operating, reading
from oboe.control.port import ForwardedAnswer, ForwardedRequest
from oboe.control.views import DagView, StatusView
from oboe.domain.messages import Interrupt, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Dag, NodePlan, Plan
from oboe.kit.run import ChildStatus
from oboe.kit.secret import Secret
from oboe.membership import verbs
from oboe.remote import handshake, messages

__all__ = ["MESSAGES", "sample"]

_TYPES: tuple[type[Any], ...] = (
    Order,
    Interrupt,
    Report,
    Verdict,
    RecallAgent,
    Recollection,
    Dag,
    DagView,
    StatusView,
    ChildStatus,
    ForwardedRequest,
    ForwardedAnswer,
    *(
        member
        for module in (verbs, messages, handshake, leadership, operating, reading)
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, msgspec.Struct) and member is not msgspec.Struct
    ),
)
MESSAGES = {kind.__name__: kind for kind in _TYPES}
assert len(MESSAGES) == len(set(_TYPES)), "two messages have one name"


def sample(kind: Any) -> Any:
    """A value of that type, JSON-able builtins and all; the same every time."""
    return _of(inspect.type_info(kind), "sample")


def _of(info: Any, name: str) -> Any:
    """``name`` is the member's, so that texts can be told apart."""
    match info:
        case inspect.CustomType(cls=cls) if cls is Secret:
            return Secret(f"secret {name}")
        case inspect.StructType(cls=cls, fields=fields):
            return cls(**{field.name: _of(field.type, field.name) for field in fields})
        case inspect.DataclassType(cls=cls, fields=fields):
            return _plan() if cls is Plan else cls(**{field.name: _of(field.type, field.name) for field in fields})
        case inspect.EnumType(cls=cls):
            return list(cls)[-1]
        case inspect.LiteralType(values=values):
            return values[-1]
        case inspect.UnionType(types=types):
            return _of(next(each for each in types if not isinstance(each, inspect.NoneType)), name)
        case inspect.DictType(key_type=key, value_type=value):
            return {_of(key, name): _of(value, name)}
        case inspect.ListType(item_type=item):
            return [_of(item, name)]
        case inspect.VarTupleType(item_type=item):
            return (_of(item, name),)
        case inspect.TupleType(item_types=items):
            return tuple(_of(item, f"{name} {at}") for at, item in enumerate(items))
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 2.5
        case inspect.BytesType():
            return name.encode()
        case inspect.StrType():
            return name
        case inspect.AnyType():
            return {"text": name, "numbers": [1, 2.5], "nothing": None}
    raise NotImplementedError(f"{name}: {info}")


def _plan() -> Plan:
    """A plan's nodes name each other, so its sample is drawn by hand."""
    node = sample(NodePlan)
    return Plan((replace(node, upstream=()), replace(node, name="second", upstream=(0,))))
