"""A playbook's params: read from JSON or from a command line, described as JSON Schema, copied as a dag would keep them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeVar, cast

import msgspec
from msgspec.inspect import (
    AnyType,
    BoolType,
    CustomType,
    DataclassType,
    DictType,
    EnumType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    NoneType,
    SetType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)
from msgspec.inspect import type_info as inspected

from oboe.domain.errors import Refused, StepFailed
from oboe.kit.plain import plain
from oboe.kit.secret import Secret
from oboe.kit.typed import PREPARING, converted, decoder

__all__ = ["copy_params", "example_of", "read_params", "schema_of", "sentences_of", "unit_of"]

T = TypeVar("T")

_SECRET_SCHEMA = {"type": "string", "format": "password", "writeOnly": True}
_VALUE = re.compile(r"(Invalid \w+(?: \w+)?) '.*?'(?= - at|$)", re.DOTALL)
"""Where msgspec quotes what it was given."""
_UNITS = {"seconds": "s", "minutes": "min", "hours": "h", "days": "d", "bytes": "bytes", "percent": "%"}
_MEMBER = "$secret"
_PLAINEST: dict[type[Type], Any] = {BoolType: False, DictType: {}, AnyType: "anything", NoneType: None}
_TEMPLATE = "#/$defs/{name}"


def read_params(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Params as their type, from JSON; texts are read as numbers or truth where the type wants them, as a command line gives them.

    `Refused` ``playbook.params`` names the member, never its value: it may be a secret."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    unknown = [name for name in given if name not in fields]
    if unknown:
        raise Refused("playbook.params", f"there is no param {unknown[0][:80]!r}", hint="params: " + (", ".join(fields) or "none"))
    missing = [name for name, field in fields.items() if field.required and name not in given]
    if missing:
        raise Refused("playbook.params", f"{', '.join(missing)} must be given")
    try:
        plain(dict(given), what="params")
        return converted(dict(given), kind, strict=False, dec_hook=_read_secret)
    except StepFailed as error:
        raise Refused("playbook.params", error.message) from None
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        told = _VALUE.sub(r"\1", str(error))
        raise Refused("playbook.params", f"the params do not fit: {told}") from None


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """JSON Schema of a params type; a `Secret` is a text that is written and never read. Descriptions are the members' docstrings."""
    fields = msgspec.structs.fields(kind)
    try:
        with PREPARING:
            types = [each.type for each in fields]
            schemas, parts = msgspec.json.schema_components(types, schema_hook=_secret_schema, ref_template=_TEMPLATE)
    except (TypeError, NotImplementedError):
        return {"type": "object"}
    sentences = sentences_of(kind)
    described = {}
    for each, schema in zip(fields, schemas, strict=True):
        sentence = sentences.get(each.name)
        described[each.encode_name] = {**schema, **_default(each), **({"description": sentence} if sentence else {})}
    required = [each.encode_name for each in fields if each.required]
    return {"type": "object", "properties": described, "required": required, **({"$defs": parts} if parts else {})}


def _default(field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    """A secret's is never told, only that there is one."""
    if field.required:
        return {}
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    try:
        return {"default": msgspec.to_builtins(value, enc_hook=lambda one: None)}
    except (TypeError, NotImplementedError):
        return {"default": None}


def sentences_of(kind: type[Any]) -> dict[str, str]:
    """Member → the docstring under it, as far as the source can be read."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for member, below in pairwise(body):
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and isinstance(below, ast.Expr):
            text = below.value.value if isinstance(below.value, ast.Constant) else None
            if isinstance(text, str):
                found[member.target.id] = " ".join(text.split())
    return found


def unit_of(name: str) -> str:
    """The unit at the end of a member's name (``timeout_seconds``); empty: none."""
    words = name.split("_")
    return next((_UNITS[word] for word in reversed(words[-2:]) if word in _UNITS), "")


def copy_params(params: T) -> T:
    """As a dag keeps them and its steps read them back. `Refused` ``playbook.params`` for what is not JSON-able."""
    try:
        plain = decoder(object).decode(msgspec.json.encode(params, enc_hook=_written))
        return converted(plain, type(params), dec_hook=_read)
    except (msgspec.ValidationError, TypeError, ValueError) as error:
        raise Refused("playbook.params", f"{type(params).__name__} cannot be kept: {error}") from error


def _read_secret(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"{kind.__name__} cannot be read from a {type(value).__name__}")


def _secret_schema(kind: type[Any]) -> dict[str, Any]:
    if kind is Secret:
        return dict(_SECRET_SCHEMA)
    raise NotImplementedError


def example_of(kind: type[T]) -> T:
    """Params that could be: defaults where there are, else the plainest value of each type; a text is its member's name.

    `Refused` ``playbook.example`` names a type that has none."""
    return cast(T, _plainest(inspected(kind)))


def _plainest(kind: Type, name: str = "text") -> Any:
    """Of one type, as ``msgspec`` describes it."""
    if isinstance(kind, StructType | DataclassType):
        needed = {each.name: _plainest(each.type, each.name) for each in kind.fields if each.required}
        return kind.cls(**needed)
    if isinstance(kind, StrType):
        return name
    if isinstance(kind, UnionType):
        return _plainest(kind.types[0], name)
    if isinstance(kind, LiteralType):
        return kind.values[0]
    if isinstance(kind, EnumType):
        return next(iter(kind.cls))
    if isinstance(kind, ListType | VarTupleType | SetType):
        return [_plainest(kind.item_type, name)]
    if isinstance(kind, IntType | FloatType):
        return kind.ge if kind.ge is not None else kind.gt + 1 if kind.gt is not None else kind.le or 1
    if isinstance(kind, CustomType) and kind.cls is Secret:
        return Secret("secret")
    found = next((value for known, value in _PLAINEST.items() if isinstance(kind, known)), None)
    if found is None:
        raise Refused("playbook.example", f"there is no plain value of {kind}", hint="say example=Params(...) in @playbook")
    return found


def _written(value: Any) -> Any:
    if isinstance(value, Secret):
        return {_MEMBER: value.reveal()}
    raise TypeError(f"{type(value).__name__} is not JSON-able")


def _read(kind: type[Any], value: Any) -> Any:
    if kind is Secret and isinstance(value, dict) and value.keys() == {_MEMBER}:
        return Secret(value[_MEMBER])
    raise TypeError(f"{kind.__name__} cannot be read from this")
