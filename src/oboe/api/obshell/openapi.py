"""The interface's description, made from the route tables and the types that the handlers bind and answer.

What a schema promises is kept: a body that it allows is read, one that it forbids is refused (`tests/api/test_openapi.py` asks).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import msgspec

from oboe import __version__
from oboe.api.obshell.auth import AGENT_HEADER, ROOT_HEADER
from oboe.api.obshell.errors import TABLE, UNEXPECTED
from oboe.api.obshell.objects import TASK_ID, PreviewObject
from oboe.api.obshell.route import FALSE, PASSWORD_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, TRUE, Route, Routes
from oboe.kit.secret import Secret
from oboe.kit.typed import PREPARING

__all__ = ["document"]

_TEMPLATE = "#/components/schemas/{name}"
_STATUSES = {
    400: "The request, or what it asks for, is refused.",
    401: "The caller is not known.",
    404: "There is no such thing.",
    409: "The request with this key is under way, or what came of it is not known.",
    422: "The key was used for another request.",
    500: "It cannot be done now.",
    503: "Too many requests are under way.",
}
_OF_KEYS = (409, 422)
_PUBLIC_STATUSES = (400, 404, 500, 503)
_NO_CONTROL = r"^[^\u0000-\u001f\u007f]*$"
_QUERY: dict[str, dict[str, Any]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "before_id": {"type": "integer", "minimum": 0, "maximum": 2**53},
    "ob_query_timeout": {"type": "integer", "minimum": 1, "maximum": 2**53},
    "name": {"type": "string"},
}
_KEY = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}
_FLAG = {"type": "string", "enum": [*TRUE, *FALSE]}
_HEADERS = {
    "X-Oboe-Stale": "How many seconds old the answer may be: the cluster's home cannot be reached.",
    "X-Oboe-Missing": "Agents, by address, whose part of the answer did not come in time.",
}


def document(*tables: Routes) -> dict[str, Any]:
    """OpenAPI 3.1 of all tables together."""
    routes = [(table.prefix, route) for table in tables for route in table.routes]
    kinds: list[Any] = [PreviewObject]
    for _, route in routes:
        kinds += [kind for kind in (route.body, _item(route.answers)) if kind is not None]
    with PREPARING:
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE, schema_hook=_secret)
    known = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    for kind in {str(route.body) for _, route in routes if route.body is not None}:
        _limit_texts(known[kind], components, set())
    paths: dict[str, dict[str, Any]] = {}
    for prefix, route in routes:
        path = re.sub(r":(\w+)", r"{\1}", prefix + route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(prefix, route, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "OBShell's API, as oboe speaks it", "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "responses": _errors(), "securitySchemes": _security_schemes()},
    }


def _operation(prefix: str, route: Route, known: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z_]+", "_", f"{route.handler.__name__}_{route.method.lower()}_{prefix}{route.path}"),
        "summary": (route.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": [_path_value(route, name) for name in re.findall(r":(\w+)", route.path)]
        + [_query(name) for name in route.query]
        + ([_KEY] if route.once else []),
        "responses": _responses(route, known),
    }
    if not route.public:
        operation["security"] = [{"root": []}, {"agent": []}]
    if route.body is not None:
        schema = known[str(route.body)]
        needed = any(field.required for field in msgspec.structs.fields(route.body))
        about = "Encrypted on the wire: AES-128-CBC with the header's keys, base64." if not route.public else ""
        operation["requestBody"] = {"description": about, "required": needed, "content": {"application/json": {"schema": schema}}}
    return operation


def _responses(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items() if route.method == "GET"}
    content = {"text/event-stream": {"schema": {"type": "string"}}} if route.streams else _content(_envelope(_data(route, known)))
    done = {"description": "Done.", "content": content} | ({"headers": headers} if headers else {})
    responses: dict[str, Any] = {"200": done}
    if route.streams:
        responses["204"] = {"description": "All was told before, and there is no more to come."}
    if route.method in ("POST", "PUT", "PATCH", "DELETE") and "dry_run" in route.query:
        responses["204"] = {"description": "There is nothing to do."}
    for status in (each for each in (_PUBLIC_STATUSES if route.public else _STATUSES) if route.once or each not in _OF_KEYS):
        responses[str(status)] = {"$ref": f"#/components/responses/Error{status}"}
    return responses


def _data(route: Route, known: dict[str, Any]) -> dict[str, Any] | None:
    if route.answers is None:
        return None
    data: dict[str, Any] = known[str(_item(route.answers))]
    if get_origin(route.answers) is list:
        data = {"type": "object", "required": ["contents"], "properties": {"contents": {"type": ["array", "null"], "items": data}}}
    if get_origin(route.answers) is dict:
        data = {"type": "object", "additionalProperties": data}
    return {"anyOf": [data, known[str(PreviewObject)]]} if "dry_run" in route.query else data


def _errors() -> dict[str, Any]:
    """One answer for each status; its codes are those of the table."""
    codes: dict[int, set[str]] = {status: set() for status in _STATUSES}
    for code, status in (*TABLE.values(), UNEXPECTED):
        codes[status].add(code)
    return {
        f"Error{status}": {"description": text, "content": _content(_envelope(None, codes=sorted(codes[status])))}
        for status, text in _STATUSES.items()
    }


def _envelope(data: Any, *, codes: list[str] | None = None) -> dict[str, Any]:
    """``codes``: of an answer that says what is wrong."""
    properties: dict[str, Any] = {
        "successful": {"const": codes is None},
        "timestamp": {"type": "string", "format": "date-time"},
        "duration": {"type": "integer", "minimum": 0},
        "status": {"type": "integer"},
        "traceId": {"type": "string"},
    }
    required = [*properties]
    if data is not None:
        properties["data"] = data
    if codes is not None:
        said = {"code": {"type": "integer"}, "errCode": {"type": "string", "enum": codes}, "message": {"type": "string"}}
        properties["error"] = {"type": "object", "required": ["errCode", "message"], "properties": said}
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


def _secret(kind: type[Any]) -> dict[str, Any]:
    if kind is not Secret:
        raise NotImplementedError
    return {"type": "string", "format": "password", "maxLength": PASSWORD_CHARACTERS_MAX}


def _limit_texts(schema: Any, components: dict[str, Any], seen: set[str]) -> None:
    """No text of a body is long or has control characters (`Call.bind`)."""
    for each in _schemas_in(schema):
        name = str(each.get("$ref", "")).rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            _limit_texts(components[name], components, seen)
        if each.get("type") == "string" and "enum" not in each:
            each.setdefault("maxLength", TEXT_CHARACTERS_MAX)
            each.setdefault("pattern", _NO_CONTROL)
        if each.get("type") == "object" and "additionalProperties" in each:
            each["propertyNames"] = {"pattern": _NO_CONTROL, "maxLength": TEXT_CHARACTERS_MAX}


def _schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for member in list(value.values()):
            yield from _schemas_in(member)
    elif isinstance(value, list):
        for member in value:
            yield from _schemas_in(member)


def _path_value(route: Route, name: str) -> dict[str, Any]:
    """Ids of tasks have a form; names are free."""
    is_task = name == "id" and any(word in route.path for word in ("/dag/", "/dags/", "/node/", "/sub_task/"))
    schema = {"type": "string", "pattern": TASK_ID} if is_task else {"type": "string", "minLength": 1}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": _QUERY.get(name, _FLAG)}


def _security_schemes() -> dict[str, Any]:
    about = "JSON of auth, ts, uri and keys, under the agent's RSA key: GET /api/v1/secret."
    return {
        "root": {"type": "apiKey", "in": "header", "name": ROOT_HEADER, "description": f"root's password. {about}"},
        "agent": {"type": "apiKey", "in": "header", "name": AGENT_HEADER, "description": f"The agent password. {about}"},
    }
