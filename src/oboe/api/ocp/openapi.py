"""The description of OCP's API, made from its route table and the types of what it answers.

What it promises is kept: `tests/ocp/test_openapi.py` asks.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from oboe.api.ocp.errors import TABLE, UNLISTED
from oboe.api.ocp.names import SUB_TASK_OPERATIONS, TASK_OPERATIONS, TASK_STATES, TASK_TYPES
from oboe.api.ocp.objects import ID_MAX
from oboe.api.ocp.route import NUMBER_MAX, Route, Routes
from oboe.api.ocp.searching import OBJECT_TYPES, SORTS
from oboe.api.ocp.sessions import COOKIE
from oboe.kit.typed import PREPARING

__all__ = ["document"]

_TEMPLATE = "#/components/schemas/{name}"
_STATUSES = {
    400: "The request, or what it asks for, is refused.",
    401: "Who asks is not known.",
    403: "The user may not do this.",
    404: "There is no such thing, or no such route.",
    409: "The task has moved on, or the key is under way.",
    422: "The key was used for another request.",
    429: "Too many requests.",
    500: "This should not happen: the agent's log has the trace id.",
    503: "It cannot be done now.",
}
_OF_CHANGES = (409, 422)
_OF_THE_KNOWN = (401, 403)
_TEXT = {"type": "string"}
_NOTHING = {"type": "string", "maxLength": 0}
"""A parameter without a value is one that was not given."""


def _number(low: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": NUMBER_MAX}


def _words(known: tuple[str, ...]) -> dict[str, Any]:
    """Separated by commas."""
    return {"type": "array", "items": {"type": "string", "enum": list(known)}}


_TIME = {"type": "string", "format": "date-time"}
_QUERY: dict[str, dict[str, Any]] = {
    "page": _number(1),
    "size": _number(1),
    "sort": {"type": "string", "enum": [f"{field}{way}" for field in SORTS for way in ("", ",asc", ",desc")]},
    "status": _words(TASK_STATES),
    "type": _words(TASK_TYPES),
    "operation": _words(TASK_OPERATIONS),
    "objectType": {"type": "string", "enum": list(OBJECT_TYPES)},
    "objectId": _number(0),
    "clusterId": _number(0),
    "tenantId": _number(0),
    "hostId": _number(0),
    "startTimeFrom": _TIME,
    "startTimeTo": _TIME,
    "offset": _number(0),
    "limit": _number(0),
    "runTime": _number(1),
    "follow": {"type": "boolean"},
}
_QUERY_OF_LOGS = {"operation": _words(SUB_TASK_OPERATIONS)}
_REQUEST_HEADERS = {
    "Idempotency-Key": "The same key again gets the same answer, for a day.",
    "If-Match": "The task's version as an ETag: refused when it has another one now.",
}
_ANSWER_HEADERS = {
    "ETag": "The version of the task.",
    "RateLimit-Limit": "What the user may ask in a minute.",
    "RateLimit-Remaining": "What is left of it.",
    "RateLimit-Reset": "Seconds until the next minute begins.",
    "X-Oboe-Missing": "Agents, by address, and cluster, whose part of a list did not come in time.",
    "X-Oboe-Stale": "How many seconds old the answer may be: the cluster's home cannot be reached.",
}


def document(table: Routes) -> dict[str, Any]:
    """OpenAPI 3.1: paths and components; the caller says which document they are part of."""
    kinds = {kind for route in table.routes for kind in (route.answers, route.body) if kind not in (None, bytes)}
    ordered = sorted(kinds, key=lambda kind: str(kind.__name__))
    with PREPARING:
        schemas, components = msgspec.json.schema_components(ordered, ref_template=_TEMPLATE)
    known = dict(zip(ordered, schemas, strict=True))
    for schema in components.values():
        schema["additionalProperties"] = False
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        path = re.sub(r":(\w+)", r"{\1}", table.prefix + route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(table.prefix, route, known)
    return {"paths": paths, "components": {"schemas": components, "responses": _errors(), "securitySchemes": _security_schemes()}}


def _operation(prefix: str, route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r":(\w+)", route.path)
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-zA-Z_]+", "_", f"{route.handler.__name__}_{route.method.lower()}_{prefix}{route.path}"),
        "summary": (route.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": ID_MAX}}
                for name in names
            ),
            *(_query(route, name) for name in route.query),
            *(_header(name, text) for name, text in _REQUEST_HEADERS.items() if route.changes),
            _header("Accept-Language", "Messages are in English or Chinese."),
        ],
        "responses": _responses(route, known),
    }
    if not route.public:
        operation["security"] = [{"basic": []}, {"accessKey": []}, {"session": []}]
    if route.body is not None:
        content = {kind: {"schema": known[route.body]} for kind in ("application/json", "application/x-www-form-urlencoded")}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _query(route: Route, name: str) -> dict[str, Any]:
    of_log = _QUERY_OF_LOGS if route.path.endswith("/log") else {}
    schema = of_log.get(name) or _QUERY.get(name, _TEXT)
    if schema["type"] == "array":
        return {"name": name, "in": "query", "required": False, "style": "form", "explode": False, "schema": schema}
    return {"name": name, "in": "query", "required": False, "schema": schema if schema is _TEXT else {"anyOf": [schema, _NOTHING]}}


def _header(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": about, "schema": _TEXT}


def _responses(route: Route, known: dict[Any, Any]) -> dict[str, Any]:
    headers = {name: {"description": text, "schema": _TEXT} for name, text in _ANSWER_HEADERS.items()}
    if route.answers is bytes:
        content: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "contentMediaType": "application/zip"}}}
    else:
        content = _content(_envelope(known.get(route.answers)))
    responses: dict[str, Any] = {"200": {"description": "Done.", "headers": headers, "content": content}}
    left_out = (() if route.changes else _OF_CHANGES) + (_OF_THE_KNOWN[1:] if route.public else ())
    responses |= {str(status): {"$ref": f"#/components/responses/OcpError{status}"} for status in _STATUSES if status not in left_out}
    return responses


def _errors() -> dict[str, Any]:
    """One answer for each status; its codes are those of the table."""
    codes: dict[int, set[int]] = {status: set() for status in _STATUSES}
    for status, code in (*TABLE.values(), *UNLISTED):
        codes[status].add(code)
    return {
        f"OcpError{status}": {"description": text, "content": _content(_envelope(None, codes=sorted(codes[status])))}
        for status, text in _STATUSES.items()
    }


def _envelope(data: Any, *, codes: list[int] | None = None) -> dict[str, Any]:
    """``codes``: of an answer that says what is wrong."""
    properties: dict[str, Any] = {
        "duration": {"type": "integer", "minimum": 0},
        "server": {"type": "string"},
        "status": {"type": "integer"},
        "successful": {"const": codes is None},
        "timestamp": {"type": "string", "format": "date-time"},
        "traceId": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
    }
    if data is not None:
        properties["data"] = data
    if codes is not None:
        said = {"code": {"type": "integer", "enum": codes}, "message": _TEXT, "debugMessage": _TEXT, "target": _TEXT}
        properties["error"] = {"type": "object", "required": ["code", "message"], "properties": said, "additionalProperties": False}
    return {"type": "object", "required": [*properties], "properties": properties, "additionalProperties": False}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _security_schemes() -> dict[str, Any]:
    signed = "OCP-ACCESS-KEY-HMACSHA1 AK:signature, with Date: docs/ocp.md says how it is made."
    return {
        "basic": {"type": "http", "scheme": "basic", "description": "A user's name and password."},
        "accessKey": {"type": "apiKey", "in": "header", "name": "Authorization", "description": signed},
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "What /api/v2/iam/login sets."},
    }
