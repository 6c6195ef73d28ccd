"""The recorded exchanges, sorted: what each is, which test compares it, and whether oboe answers the same.

`tools/conformance_docs.py` makes the first table of ``docs/conformance.md`` from this. Reasons for what is exempt are rows of
``docs/differences.md``, the one list of wanted differences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .comparing import exempt, normal
from .differences import ROWS

__all__ = ["EMPTY", "FILES", "RECORDINGS", "Exchange", "Verdict", "exchanges", "read", "verdict"]

RECORDINGS = Path(__file__).parent.parent / "data" / "recordings" / "obshell"
FILES = sorted(path.name for path in RECORDINGS.glob("*.jsonl"))
ERRORS_FILE = "50_http_errors.jsonl"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. ``envelope`` is empty when the answer has none."""

    file: str
    agent: str
    note: str
    method: str
    uri: str
    body: Any
    status: int
    envelope: Mapping[str, Any]

    @property
    def route(self) -> str:
        path = self.uri.partition("?")[0]
        return re.sub(r"/(?=[^/]*\d{2})[\d+%B-]+(?=/|$)", "/:id", path)

    @property
    def code(self) -> str:
        return str((self.envelope.get("error") or {}).get("errCode", ""))

    @property
    def dags(self) -> list[Mapping[str, Any]]:
        data = self.envelope.get("data")
        found = (data.get("contents") or [data]) if isinstance(data, dict) else []
        return [each for each in found if isinstance(each, dict) and "max_stage" in each]


@dataclass(frozen=True)
class Verdict:
    """``test`` compares it; ``difference`` names the row that exempts it, if one does."""

    test: str
    difference: str = ""


def read(name: str) -> Iterator[Exchange]:
    for line in (RECORDINGS / name).read_text().splitlines():
        exchange = json.loads(line)
        request, response = exchange["request"], exchange["response"]
        text = response["text"]
        yield Exchange(
            file=name,
            agent=exchange["agent"],
            note=exchange["note"],
            method=request["method"],
            uri=request["uri"],
            body=request.get("body"),
            status=response["status"],
            envelope=json.loads(text) if text.startswith("{") else {},
        )


@cache
def exchanges(name: str) -> tuple[Exchange, ...]:
    """Repeats of one poll count once."""
    found: dict[tuple[str, ...], Exchange] = {}
    for each in read(name):
        data = normal(each.envelope.get("data")) if "data" in each.envelope else ""
        key = (each.agent, each.method, each.uri, str(each.body), str(each.status), each.code, data)
        found.setdefault(key if name != ERRORS_FILE else (*key, each.note), each)
    return tuple(found.values())


def verdict(exchange: Exchange) -> Verdict:
    if exchange.file == ERRORS_FILE:
        from .test_http_errors import difference_of

        return Verdict("test_http_errors.py::test_a_wrong_request_is_answered_as_recorded", difference_of(exchange))
    return _of_operator(exchange) or _of_tasks(exchange) or _of_the_rest(exchange)


def _of_operator(exchange: Exchange) -> Verdict | None:
    if exchange.method != "POST" or not re.fullmatch("/api/v1/task/(dag|node)/:id", exchange.route):
        return None
    from .test_conformance import operator_difference

    return Verdict("test_conformance.py::test_an_operator_is_answered_as_recorded", operator_difference(exchange))


def _of_tasks(exchange: Exchange) -> Verdict | None:
    if exchange.status != 200:
        return None
    reasons = [exempt(dag) for dag in exchange.dags]
    if reasons:
        rows = [row for row in reasons if row]
        return Verdict("test_recordings.py::test_every_recorded_dag_is_rendered_the_same", rows[0] if rows else "")
    for word, test in (("/logs", "log_record"), ("/sub_task/", "sub_task"), ("/node/", "node")):
        if word in exchange.route:
            return Verdict(f"test_recordings.py::test_every_recorded_{test}_is_rendered_the_same")
    return None


_DIFFER = {
    ("GET", "/api/v1/task/dags/ob", "Common.Unexpected"): "`dags/ob`, `dag/ob/unfinish` outside a cluster",
    ("GET", "/api/v1/task/dag/ob/unfinish", "Common.Unexpected"): "`dags/ob`, `dag/ob/unfinish` outside a cluster",
    ("GET", "/api/v1/task/dag/maintain/agents", "Common.Unexpected"): "`maintain/agents` without an own dag, `main_dags`",
    ("GET", "/api/v1/task/dag/agent/main_dags", "Common.Unexpected"): "`maintain/agents` without an own dag, `main_dags`",
    ("POST", "/api/v1/agent/password", "Common.Unexpected"): "`agent/password` of a MASTER or FOLLOWER without one",
    ("GET", "/api/v1/ob/info", "Common.Unexpected"): "`ob/info`, `ob/agents` while the cluster cannot be asked",
    ("GET", "/api/v1/ob/agents", "Common.Unexpected"): "`ob/info`, `ob/agents` while the cluster cannot be asked",
    ("GET", "/api/v1/task/dag/maintain/ob", "OB.Server.Process.NotExist"): "reads while the own database is down",
    ("GET", "/api/v1/task/dag/ob/unfinish", "OB.Server.Process.NotExist"): "reads while the own database is down",
    ("GET", "/api/v1/task/dags/ob", "OB.Server.Process.NotExist"): "reads while the own database is down",
}
assert set(_DIFFER.values()) <= set(ROWS)
EMPTY = "test_conformance.py::test_an_empty_answer_is_as_empty_as_recorded"
"""Lists of nothing or of addresses, setters, and what has nothing to do."""


def _of_the_rest(exchange: Exchange) -> Verdict:
    if exchange.envelope.get("data") == {"contents": None} and exchange.route == "/api/v1/ob/agents":
        return Verdict(EMPTY, "*Try to inform to kill observer*")
    if exchange.code:
        row = _DIFFER.get((exchange.method, exchange.route, exchange.code), "")
        return Verdict("test_conformance.py::test_a_refusal_is_one_that_oboe_makes", row)
    if exchange.envelope.get("data") is not None and "contents" not in exchange.envelope["data"]:
        return Verdict("test_conformance.py::test_what_is_no_task_has_the_members_that_were_recorded")
    return Verdict(EMPTY)
