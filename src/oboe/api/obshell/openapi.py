"""The interface's description, made from the route tables and the types that the handlers bind and answer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, get_args, get_origin

import msgspec

from oboe import __version__
from oboe.api.obshell.auth import AGENT_HEADER, ROOT_HEADER
from oboe.api.obshell.objects import PreviewObject
from oboe.api.obshell.route import Route, Routes

__all__ = ["describe"]

_TEMPLATE = "#/components/schemas/{name}"
_STATUSES = {
    400: "The request, or what it asks for, is refused.",
    401: "The caller is not known.",
    404: "There is no such thing.",
    500: "It cannot be done now.",
    503: "Too many requests are under way.",
}
_NUMBERS = ("limit", "before_id", "ob_query_timeout")
_TEXTS = ("name",)
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["errCode", "message"],
    "properties": {"code": {"type": "integer"}, "errCode": {"type": "string"}, "message": {"type": "string"}},
}


@lru_cache(maxsize=1)
def describe(routes: Routes) -> bytes:
    """OpenAPI 3.1, as JSON."""
    kinds: list[Any] = [PreviewObject]
    for route in routes.routes:
        kinds += [kind for kind in (route.body, _item(route.answers)) if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
    known = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes.routes:
        path = re.sub(r":(\w+)", r"{\1}", routes.prefix + route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, known)
    document = {
        "openapi": "3.1.0",
        "info": {"title": "OBShell's API, as oboe speaks it", "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _security_schemes()},
    }
    return msgspec.json.encode(document)


def _operation(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.handler.__name__}_{route.method.lower()}_{re.sub(r'[^a-z_]+', '_', route.path)}",
        "summary": (route.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": [_path_value(name) for name in re.findall(r":(\w+)", route.path)] + [_query(name) for name in route.query],
        "responses": _responses(route, known),
    }
    if not route.public:
        operation["security"] = [{"root": []}, {"agent": []}]
    if route.body is not None:
        content = {"application/json": {"schema": known[str(route.body)]}}
        about = "Encrypted on the wire: AES-128-CBC with the header's keys, base64." if not route.public else ""
        operation["requestBody"] = {"description": about, "required": True, "content": content}
    return operation


def _responses(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    data: Any = None
    if route.answers is not None:
        item = known[str(_item(route.answers))]
        data = {"type": "object", "properties": {"contents": {"type": ["array", "null"], "items": item}}} if _is_list(route) else item
        if _is_map(route):
            data = {"type": "object", "additionalProperties": item}
        if "dry_run" in route.query:
            data = {"anyOf": [data, known[str(PreviewObject)]]}
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": _content(_envelope(data, failed=False))}}
    if route.method in ("POST", "PUT", "DELETE") and "dry_run" in route.query:
        responses["204"] = {"description": "There is nothing to do."}
    for status, text in _STATUSES.items():
        responses[str(status)] = {"description": text, "content": _content(_envelope(None, failed=True))}
    return responses


def _envelope(data: Any, *, failed: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "successful": {"type": "boolean"},
        "timestamp": {"type": "string"},
        "duration": {"type": "integer"},
        "status": {"type": "integer"},
        "traceId": {"type": "string"},
    }
    required = [*properties]
    if data is not None:
        properties["data"] = data
    if failed:
        properties["error"] = _ERROR
        required.append("error")
    return {"type": "object", "required": required, "properties": properties}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _item(kind: Any) -> Any:
    """What a list or map holds; of ``X | None``, X."""
    arguments = get_args(kind)
    if get_origin(kind) is list:
        return arguments[0]
    if get_origin(kind) is dict:
        return arguments[1]
    return next((each for each in arguments if each is not type(None)), kind) if type(None) in arguments else kind


def _is_list(route: Route) -> bool:
    return get_origin(route.answers) is list


def _is_map(route: Route) -> bool:
    return get_origin(route.answers) is dict


def _path_value(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query(name: str) -> dict[str, Any]:
    kind = "integer" if name in _NUMBERS else "string" if name in _TEXTS else "boolean"
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}}


def _security_schemes() -> dict[str, Any]:
    about = "JSON of auth, ts, uri and keys, under the agent's RSA key: GET /api/v1/secret."
    return {
        "root": {"type": "apiKey", "in": "header", "name": ROOT_HEADER, "description": f"root's password. {about}"},
        "agent": {"type": "apiKey", "in": "header", "name": AGENT_HEADER, "description": f"The agent password. {about}"},
    }
