"""What is secret is of a type that does not show itself, wherever a value is declared."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import oboe
from oboe.kit.secret import Secret

SECRET = re.compile(r"(?i)(password|passwd|pwd|secret|token|private|(^|_)keys?$|_key$|session_id|csr_key)")
PUBLIC = {
    # Names that sound like it and are none.
    "dag_key": "the name of a dag",
    "leader_key": "the name of a dag",
    "public_key": "known to everybody",
    "host_key": "known to everybody",
    "maintenance_key": "the name of what is locked",
    "cluster_secured": "a fact",
}
NEVER_MADE = {"oboe.api.ocp.objects.Login"}
"""They describe a body to those who read the interface's description; what comes in is read otherwise."""
HARMLESS = {"key", "keys"}
"""Too common: judged by their types, `bytes` or `Secret`."""


def declared() -> Iterator[tuple[str, str, Any, bool]]:
    """Class, field, annotation, and whether it is shown in a ``repr``."""
    for module in pkgutil.walk_packages(oboe.__path__, "oboe."):
        if module.name.endswith("__main__"):
            continue
        loaded = importlib.import_module(module.name)
        for name, kind in inspect.getmembers(loaded, inspect.isclass):
            if kind.__module__ != module.name:
                continue
            own_repr = "__repr__" in vars(kind) and not hasattr(vars(kind)["__repr__"], "__wrapped__")
            if dataclasses.is_dataclass(kind):
                for field in dataclasses.fields(kind):
                    yield f"{module.name}.{name}", field.name, field.type, field.repr and kind.__dataclass_params__.repr  # type: ignore[attr-defined]
            elif issubclass(kind, msgspec.Struct):
                for field in msgspec.structs.fields(kind):
                    yield f"{module.name}.{name}", field.name, field.type, not own_repr


FIELDS = list(declared())


def test_there_is_something_to_look_at() -> None:
    assert len(FIELDS) > 300
    assert sum(1 for _, name, kind, _ in FIELDS if "Secret" in str(kind)) > 20


@pytest.mark.parametrize(("where", "name", "kind"), [(w, n, str(k)) for w, n, k, shown in FIELDS if shown and SECRET.search(n)])
def test_a_field_that_sounds_secret_shows_nothing(where: str, name: str, kind: str) -> None:
    if name in PUBLIC or where in NEVER_MADE or (name in HARMLESS and "bytes" not in kind):
        return
    assert re.search(r"Secret|bool|int\b|float|Callable|Key\b|Keys\b", kind), f"{where}.{name}: {kind}"


def test_a_secret_shows_itself_in_no_way() -> None:
    secret = Secret("hunter2")
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret]), repr({"a": secret})):  # noqa: UP031
        assert "hunter2" not in shown
    with pytest.raises(TypeError):
        msgspec.json.encode({"secret": secret})
