"""What the other tests of recordings leave: operators, refusals, and what is no task; and the tables of ``docs/conformance.md``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from oboe.api.obshell.errors import TABLE, UNEXPECTED, translate
from oboe.control.operating import event_of
from oboe.control.views import ClusterView, Member, Ref, ServerView
from oboe.domain.errors import OboeError
from oboe.domain.machine import advance
from oboe.domain.model import Dag, Flags
from oboe.domain.values import Address, Identity
from tools.conformance_docs import PATH, render

from .client import Received, get, send
from .differences import ROWS, row
from .exchanges import EMPTY, FILES, Exchange, Verdict, exchanges, read, verdict
from .fakes import HERE, FakeControl, served
from .importer import view_of

SHAPES = ("/info", "/status", "/agents/status", "/ob/info", "/observer/info")

# Operators

FLAGS: Mapping[str, Flags] = {
    "Cluster scale out": Flags(rollable=True),
    "Cluster scale in": Flags(rollable=True, skippable=True),
    "Join to master": Flags(),
}
"""What the catalogue lets be done; *Join to master* has an operator more than the original's, a wanted difference."""
JOIN = row("*Join self*, *Join to master*, *Remove …*")


def operator_difference(exchange: Exchange) -> str:
    """The row that exempts it; empty when it must be the same."""
    return JOIN if exchange.note == "RETRY on failed Join to master" else ""


@cache
def operators() -> tuple[tuple[Exchange, Mapping[str, Any], tuple[str, ...]], ...]:
    """Every operator that was recorded, the dag as it was shown last before it, and what was granted since."""
    found = []
    for name in FILES:
        if name.startswith("50"):
            continue
        last: dict[str, Mapping[str, Any]] = {}
        granted: dict[str, tuple[str, ...]] = {}
        for each in read(name):
            if each.method == "POST" and re.fullmatch("/api/v1/task/(dag|node)/:id", each.route):
                wire = _named(last, each.uri.rpartition("/")[2])
                if wire is not None:
                    found.append((each, wire, granted.get(wire["id"], ())))
                    if each.status == 200 and "/dag/" in each.uri:
                        granted[wire["id"]] = (*granted.get(wire["id"], ()), each.body["operator"].upper())
            for wire in each.dags:
                if wire["nodes"]:
                    last[wire["id"]] = wire
                    granted.pop(wire["id"], None)
    return tuple(found)


def _named(last: Mapping[str, Mapping[str, Any]], text: str) -> Mapping[str, Any] | None:
    """A dag by its id or by that of one of its nodes; the node's is never the dag's where both were recorded."""
    return last.get(text) or next((wire for wire in last.values() if any(node["id"] == text for node in wire["nodes"])), None)


def _held(wire: Mapping[str, Any], granted: tuple[str, ...]) -> Dag:
    dag = view_of(wire).dag
    nodes = tuple(replace(node, flags=FLAGS[dag.name]) for node in dag.plan.nodes)
    dag = replace(dag, plan=replace(dag.plan, nodes=nodes))
    for operator in granted:
        dag = _operated(dag, "dag", 0, operator)
    return dag


def _operated(dag: Dag, kind: str, index: int, operator: str) -> Dag:
    """As the engine does it: the machine decides."""
    return advance(dag, [event_of(operator, kind, index)], now=dag.created_at + 1, here=HERE, epoch=1)[0]


def _operate(control: FakeControl, ref: Ref, operator: str) -> None:
    view = control.dag(ref, details=False)
    _operated(view.dag, ref.kind, view.index, operator)


ALL_OPERATORS = [pytest.param(*each, id=f"{each[0].file[:2]} {each[0].note}") for each in operators()]


@pytest.mark.parametrize(("exchange", "wire", "granted"), ALL_OPERATORS)
def test_an_operator_is_answered_as_recorded(
    control: FakeControl, port: int, exchange: Exchange, wire: Mapping[str, Any], granted: tuple[str, ...]
) -> None:
    dag = _held(wire, granted)
    control.here = dag.home.agent or control.here
    control.held.append((dag, ()))
    control.makes["operate"] = lambda ref, operator: _operate(control, ref, operator)
    received = send(port, "POST", exchange.uri, exchange.body)
    if operator_difference(exchange):
        assert received.status == 200
        return
    assert (received.status, _code(received)) == (exchange.status, exchange.code)
    assert list(received.envelope) == list(exchange.envelope)


def test_most_recorded_operators_are_compared() -> None:
    recorded = [each for name in FILES if not name.startswith("50") for each in exchanges(name) if _is_operator(each)]
    assert len(operators()) >= 40
    assert len(recorded) - len(operators()) <= 1


def _is_operator(exchange: Exchange) -> bool:
    return exchange.method == "POST" and re.fullmatch("/api/v1/task/(dag|node)/:id", exchange.route) is not None


def _code(received: Received) -> str:
    return received.code if received.status >= 400 else ""


# Refusals


def test_a_refusal_is_one_that_oboe_makes() -> None:
    """Its code is in the table with the status that was recorded, and the legacy number that goes with it."""
    made = {*TABLE.values(), UNEXPECTED}
    legacy = {translate(OboeError(neutral, "x")).err_code: translate(OboeError(neutral, "x")).code for neutral in TABLE}
    for name in FILES:
        for each in exchanges(name):
            found = verdict(each)
            if each.code and not found.difference:
                assert (each.code, each.status) in made, (name, each.note, each.uri)
                assert legacy.get(each.code, 0) == each.envelope["error"].get("code", 0)


# What is no task


MEMBER = Member(address=HERE, rpc_port=3886, identity=Identity.CLUSTER_AGENT, zone="zone1", version="0.1.0")
SERVER = ServerView(
    zone="zone1",
    svr_ip=HERE.ip,
    svr_port=2882,
    sql_port=2881,
    agent_port=HERE.port,
    with_rootserver=True,
    status="ACTIVE",
    build_version="1.4.0.0",
)
CLUSTER = ClusterView(id=7, name="one", version="1.4.0.0", members=(MEMBER,), servers=(SERVER,))


def _shape(value: Any) -> Any:
    """Members, in order, and types; of a map by addresses or zones, the shape of its values; of a list, of its first item."""
    if isinstance(value, Mapping):
        if value and all(re.fullmatch(r"zone\d|[\d.]+:\d+", name) for name in value):
            return {"*": _shape(next(iter(value.values())))}
        return {name: _shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def test_what_is_no_task_has_the_members_that_were_recorded() -> None:
    """At agents whose server runs; others leave members out, which the original's documentation lets them."""
    control = FakeControl(shown=CLUSTER)
    compared = 0
    with served(control) as serving:
        shown = {path: _shape(get(serving.port, f"/api/v1{path}").data) for path in SHAPES}
    for name in FILES:
        for each in exchanges(name):
            path = each.uri.removeprefix("/api/v1")
            if path not in SHAPES or each.status != 200 or name.startswith("50"):
                continue
            recorded = _shape(each.envelope["data"])
            missing = _missing(recorded, shown[path])
            assert not missing, (name, each.note, path, missing)
            compared += 1
    assert compared > 10


def _missing(recorded: Any, shown: Any, at: str = "") -> list[str]:
    """Members that were recorded and are not shown, or of another type, or in another order."""
    if isinstance(recorded, dict) and isinstance(shown, dict):
        found = [f"{at}.{name}" for name in recorded if name not in shown]
        kept = [name for name in shown if name in recorded]
        if not found and kept != list(recorded):
            found.append(f"{at}: order {kept}")
        for name in kept:
            found += _missing(recorded[name], shown[name], f"{at}.{name}")
        return found
    if isinstance(recorded, list) and isinstance(shown, list):
        return _missing(recorded[0], shown[0], f"{at}[]") if recorded and shown else []
    if "NoneType" in (recorded, shown) or recorded == shown:
        return []
    return [f"{at}: {recorded}, shown {shown}"]


EMPTIES = [each for name in FILES for each in exchanges(name) if verdict(each) == Verdict(EMPTY)]


@pytest.mark.parametrize("exchange", EMPTIES, ids=lambda each: f"{each.file[:2]} {each.note}")
def test_an_empty_answer_is_as_empty_as_recorded(control: FakeControl, port: int, exchange: Exchange) -> None:
    """Setters, what has nothing to do, lists of nothing: null in a cluster where every agent was asked, else empty; lists of addresses."""
    data = exchange.envelope.get("data")
    if exchange.route == "/api/v1/task/dag/unfinish" and data == {"contents": []}:
        control.keys.who = Identity.SINGLE
    if exchange.route == "/api/v1/ob/agents":
        found = [Address(each["ip"], each["port"]) for each in data["contents"]]
        control.shown = replace(CLUSTER, members=tuple(replace(MEMBER, address=address) for address in found), servers=())
    received = send(port, exchange.method, exchange.uri, exchange.body)
    assert received.status == exchange.status
    if exchange.envelope:
        assert list(received.envelope) == list(exchange.envelope)
        assert received.envelope.get("data") == data
    else:
        assert received.body == b""


def test_many_empty_answers_are_compared() -> None:
    assert len(EMPTIES) > 60


# The tables


def test_the_page_is_that_of_these_recordings_and_tests() -> None:
    assert PATH.read_text(encoding="utf-8") == render(), "run: python -m tools.conformance_docs"


def test_what_is_exempt_is_exempt_by_a_row_of_the_wanted_differences() -> None:
    exempted = {verdict(each).difference for name in FILES for each in exchanges(name)}
    assert len(exempted) > 10
    assert exempted - {""} <= set(ROWS)
