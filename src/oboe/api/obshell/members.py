"""Names of members in a body match whatever their case, as the original's language reads JSON: clients exist that write ``Operator``."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect

from oboe.kit.typed import PREPARING, decoder

__all__ = ["as_named"]

_shapes: dict[type[Any], inspect.Type] = {}
"""As many as there are routes with a body."""


def as_named(body: bytes, kind: type[Any]) -> bytes:
    """``body`` with the names that ``kind`` has; whatever else it is stays. Nothing is ``{}``.

    A later member wins over an earlier one, in whatever case they are written. What is no JSON is given back as it is."""
    if not body:
        return b"{}"
    try:
        value = decoder(Any).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    named = _named(value, _shape(kind))
    return body if named is value else msgspec.json.encode(named)


def _shape(kind: type[Any]) -> inspect.Type:
    shape = _shapes.get(kind)
    if shape is None:
        with PREPARING:
            shape = _shapes[kind] = inspect.type_info(kind)
    return shape


def _named(value: Any, shape: inspect.Type) -> Any:
    """The same object when there is nothing to rename."""
    if isinstance(shape, inspect.Metadata):
        return _named(value, shape.type)
    if isinstance(shape, inspect.UnionType):
        structs = [each for each in shape.types if isinstance(each, inspect.StructType)]
        return _named(value, structs[0]) if len(structs) == 1 else value
    if not isinstance(shape, inspect.StructType) or not isinstance(value, dict):
        return value
    known = {field.encode_name.lower(): field for field in shape.fields}
    changed, members = False, {}
    for name, member in value.items():
        field = known.get(name.lower())
        wanted = field.encode_name if field else name
        inner = _named(member, field.type) if field else member
        changed = changed or wanted != name or inner is not member
        members[wanted] = inner
    return members if changed else value
