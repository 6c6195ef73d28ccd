"""``/openapi.json``: one description of every API of an agent, put together from what each says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oboe import __version__

__all__ = ["together"]


def together(*parts: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.1. Each part has ``paths`` and ``components``; no name may be in two of them."""
    paths: dict[str, Any] = {}
    components: dict[str, dict[str, Any]] = {}
    for part in parts:
        _add(paths, part["paths"])
        for kind, members in part["components"].items():
            _add(components.setdefault(kind, {}), members)
    title = "OBShell's and OCP's APIs, as oboe speaks them"
    return {"openapi": "3.1.0", "info": {"title": title, "version": __version__}, "paths": paths, "components": components}


def _add(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    twice = known.keys() & more.keys()
    if twice:
        raise ValueError(f"described twice: {', '.join(sorted(twice))}")
    known.update(more)
