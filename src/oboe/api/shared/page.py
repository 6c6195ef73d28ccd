"""``/docs``: the interface's description as one page for people, without scripts and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["page"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2.5rem; border-bottom: 1px solid #d5dde5 }
details { border: 1px solid #d5dde5; border-radius: 6px; margin: .4rem 0; padding: .35rem .8rem }
summary { cursor: pointer } code, .m { font: 13px ui-monospace, monospace } .m { font-weight: 700; display: inline-block; width: 4.5rem }
.get { color: #1763b8 } .post { color: #1d7a46 } .put, .patch { color: #8a5a00 } .delete { color: #b3261e } .q { color: #5b6b7a }
table { border-collapse: collapse; margin: .5rem 0 } td, th { text-align: left; padding: .15rem .9rem .15rem 0; vertical-align: top }
@media (prefers-color-scheme: dark) { body { background: #12181f; color: #dbe4ec } h2, details { border-color: #33414f }
.get { color: #7db7f5 } .post { color: #74cf9b } .put, .patch { color: #e0b35a } .delete { color: #f2a49e } .q { color: #92a3b3 } }
"""
_DEPTH_MAX = 4


def page(document: Mapping[str, Any]) -> str:
    """The whole page, as HTML."""
    paths: Mapping[str, Mapping[str, Any]] = document["paths"]
    groups: dict[str, list[str]] = {}
    for path, operations in paths.items():
        for method, operation in operations.items():
            groups.setdefault(_group(path), []).append(_operation(document, method, path, operation))
    title = escape(document["info"]["title"])
    body = "".join(f"<h2>{escape(group)}</h2>{''.join(operations)}" for group, operations in groups.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p>Release {escape(document["info"]["version"])}. For programs: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<h2>Who may ask</h2>{_schemes(document)}{body}<h2>What goes wrong</h2>{_errors(document)}</body></html>"
    )


def _group(path: str) -> str:
    return "/".join(path.split("/")[:4])


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    door = "" if "security" in operation else ' <span class="q">public</span>'
    rows = [
        (each["name"], f"{each['in']}: {_shape(document, each['schema'])}", "needed" if each["required"] else "")
        for each in operation["parameters"]
    ]
    body = operation.get("requestBody")
    if body:
        rows += list(_members(document, body["content"]["application/json"]["schema"]))
    table = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(note)}</td></tr>" for name, kind, note in rows
    )
    answers = ", ".join(status for status in operation["responses"])
    return (
        f'<details><summary><span class="m {method}">{method.upper()}</span> <code>{escape(path)}</code>{door}<br>'
        f"{escape(operation['summary'])}</summary>"
        f"{f'<table>{table}</table>' if table else ''}"
        f"<p class=q>Data: {escape(_answer(document, operation))}. Statuses: {answers}.</p></details>"
    )


def _answer(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    content = operation["responses"]["200"]["content"]
    if "application/json" not in content:
        return ", ".join(content)
    envelope = content["application/json"]["schema"]
    return _shape(document, envelope["properties"]["data"]) if "data" in envelope["properties"] else "none"


def _members(document: Mapping[str, Any], schema: Mapping[str, Any], at: str = "", depth: int = 0) -> Iterator[tuple[str, str, str]]:
    """Rows for the members of a body, those of its members included."""
    schema = _resolved(document, schema)
    for name, member in schema.get("properties", {}).items():
        needed = "needed" if name in schema.get("required", ()) else ""
        yield f"{at}{name}", f"body: {_shape(document, member)}", needed
        if depth < _DEPTH_MAX:
            yield from _members(document, member, f"{at}{name}.", depth + 1)


def _shape(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, filter(None, schema["enum"])))
    if "properties" in schema and "contents" in schema["properties"]:
        return f"contents: list of {_shape(document, schema['properties']['contents']['items'])}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"map of {_shape(document, schema['additionalProperties'])}"
    if schema.get("type") == "array":
        return f"list of {_shape(document, schema.get('items', {}))}"
    if "anyOf" in schema and "type" not in schema:
        return " | ".join(dict.fromkeys(_shape(document, each) for each in schema["anyOf"]))
    kind = schema.get("type", "any")
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _schemes(document: Mapping[str, Any]) -> str:
    schemes = document["components"]["securitySchemes"].values()
    named = ((each.get("name", "Authorization: Basic"), each["description"]) for each in schemes)
    rows = (f"<tr><td><code>{escape(name)}</code></td><td>{escape(about)}</td></tr>" for name, about in named)
    return f"<table>{''.join(rows)}</table>"


def _errors(document: Mapping[str, Any]) -> str:
    parts = []
    for name, answer in document["components"]["responses"].items():
        members = answer["content"]["application/json"]["schema"]["properties"]["error"]["properties"]
        codes = members["errCode" if "errCode" in members else "code"]["enum"]
        listed = " ".join(f"<code>{escape(str(code))}</code>" for code in codes)
        parts.append(f"<tr><th>{escape(name.replace('Error', ' '))}</th><td>{escape(answer['description'])}<br>{listed}</td></tr>")
    return f"<table>{''.join(parts)}</table>"
