"""The HTTP layer: limits, what is not there, what goes wrong inside, and what oboe adds."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import replace
from typing import Any

import pytest

from oboe.api.app import app
from oboe.api.connections import HEADER_BYTES_MAX
from oboe.api.serve import serve
from oboe.api.shared import face
from oboe.api.shared.bounds import Bounds
from oboe.control.views import DagView
from oboe.domain.errors import Bug, Refused, TryAgain, Unreachable
from oboe.domain.records import Page

from .client import get, send, send_raw
from .fakes import FakeControl, served
from .test_sdk import hold, recorded


def test_what_is_not_there_is_told_in_the_envelope(port: int) -> None:
    for method, path in (("GET", "/api/v1/nosuch"), ("DELETE", "/api/v1/info"), ("HEAD", "/api/v1/info"), ("GET", "/rpc/v1/task/log")):
        received = send_raw(port, method, path)
        assert (received.status, received.headers["content-type"]) == (404, "application/json")
        if method != "HEAD":
            assert list(received.envelope) == ["successful", "timestamp", "duration", "status", "traceId", "error"]
            assert received.code == "Common.NotFound"


def test_paths_elsewhere_are_plain(port: int) -> None:
    for path in ("/", "/x/api/v1/info", "/api", "/api/v3/info", "/apis/v1/info"):
        assert send_raw(port, "GET", path).body == b"404 page not found"


def test_more_applications_take_their_prefixes() -> None:
    async def other(scope: face.Scope, _receive: face.Receive, send_: face.Send) -> None:
        await face.send_answer(face.Answer(status=200, body=scope["path"].encode(), content_type="text/plain"), send_)

    api = app(FakeControl(), {"/api/v2": other, "": other})
    serving = serve(api, "127.0.0.1", 0)
    try:
        paths = ("/api/v2/tasks", "/", "/api/v1/info")
        assert [send_raw(serving.port, "GET", path).body[:4] for path in paths] == [b"/api", b"/", b'{"su']
    finally:
        serving.stop(2)
        api.stop()


def test_a_slash_too_many_leads_to_the_path_without_it(port: int) -> None:
    received = send_raw(port, "GET", "/api/v1/task/dag/unfinish/?show_details=false")
    assert (received.status, received.headers["location"]) == (301, "/api/v1/task/dag/unfinish?show_details=false")
    assert send_raw(port, "POST", "/api/v1/ob/init/", body=b"{}").status == 307
    assert send_raw(port, "GET", "/api/v1/nosuch/").status == 404


def test_a_refused_request_body_is_one_code(port: int) -> None:
    wrong: list[tuple[str, Any]] = [
        ("/api/v1/task/dag/11", {}),
        ("/api/v1/task/dag/11", {"operator": ""}),
        ("/api/v1/task/dag/11", {"operator": 5}),
        ("/api/v1/task/dag/11", [1]),
        ("/api/v1/agent/join", {"agentInfo": {"ip": "1.2.3.4"}, "zoneName": "z"}),
        ("/api/v1/agent/join", {"agentInfo": {"ip": "1.2.3.4", "port": "2886"}, "zoneName": "z"}),
        ("/api/v1/agent/join", {"agentInfo": {"ip": "1.2.3.4", "port": 2886}, "zoneName": ""}),
        ("/api/v1/observer/config", {}),
        ("/api/v1/observer/config", {"observerConfig": {"a": [1]}, "scope": {"type": "GLOBAL"}}),
        ("/api/v1/ob/scale_out", {"agentInfo": {"ip": "1.2.3.4", "port": 2886}}),
        ("/api/v1/ob/init", {"import_script": "yes"}),
        ("/api/v1/agent/password", {}),
    ]
    for path, body in wrong:
        received = send(port, "POST", path, body)
        assert (received.status, received.code) == (400, "Common.BindJsonFailed"), (path, body)
        assert "data" not in received.envelope


def test_a_body_that_is_no_json_is_one_code(control: FakeControl, port: int) -> None:
    from oboe.kit.secret import Secret
    from oboe.remote import secrecy

    from .fakes import PAIR

    for body in (b"{", b"\xff", b"[" * 10_000, b"nul", b'{"operator":"RETRY"} x'):
        sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri="/api/v1/task/dag/11", body=body)
        received = send_raw(port, "POST", "/api/v1/task/dag/11", {"X-OCS-Header": sealed.header}, sealed.body)
        assert (received.status, received.code) == (400, "Common.BindJsonFailed")
    assert control.asked == []


def test_unknown_members_are_ignored_and_numbers_are_taken_as_written(control: FakeControl, port: int) -> None:
    body = {"observerConfig": {"a": 7, "b": True, "c": "x"}, "scope": {"type": "global"}, "restart": True, "more": {"x": 1}}
    assert send(port, "PUT", "/api/v1/observer/config", body).status == 204
    assert control.asked == [("configure_observer", ({"a": "7", "b": "true", "c": "x"}, "global", []))]


def test_a_body_may_come_with_a_get_and_a_delete(control: FakeControl, port: int) -> None:
    assert send(port, "GET", "/api/v1/task/dag/unfinish", {"a": 1}).status == 200
    assert send(port, "DELETE", "/api/v1/agent", {"ip": "10.0.0.1", "port": 2886}).status == 204


def test_a_body_too_long_is_refused_before_it_is_read(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/api/v1/ob/init")
    connection.putheader("Content-Length", str(Bounds().body_bytes_max + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]["errCode"]) == (400, "Request.Body.ReadFailed")
    connection.close()


def test_a_chunked_body_too_long_is_refused(control: FakeControl) -> None:
    chunks = iter([b"x" * 600, b"x" * 600])
    with served(control, bounds=Bounds(body_bytes_max=1000)) as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
        connection.request("POST", "/api/v1/ob/init", body=chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
        assert connection.getresponse().status == 400
        connection.close()


def test_a_body_too_slow_is_refused(control: FakeControl) -> None:
    with served(control, bounds=Bounds(body_seconds=0.05)) as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=10)
        connection.putrequest("POST", "/api/v1/ob/init")
        connection.putheader("Content-Length", "10")
        connection.endheaders(b"x")
        assert connection.getresponse().status == 400
        connection.close()


def test_headers_have_an_end(port: int) -> None:
    assert send_raw(port, "GET", "/api/v1/info", {"X-Long": "x" * 40_000}).status == 200
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        stream.sendall(b"GET /api/v1/info HTTP/1.1\r\nX-Long: ")
        try:
            for _ in range(64):
                stream.sendall(b"x" * HEADER_BYTES_MAX)
        except (BrokenPipeError, ConnectionResetError):
            return
        try:
            assert b" 400 " in stream.recv(100)
        except ConnectionResetError:
            return


def test_more_requests_than_the_agent_takes_are_refused_at_once(control: FakeControl) -> None:
    with served(control, bounds=Bounds(in_flight_max=0)) as serving:
        received = send_raw(serving.port, "GET", "/api/v1/info")
    assert (received.status, received.code) == (503, "Common.Unexpected")


def test_a_crash_inside_shows_nothing_of_it(control: FakeControl, port: int, caplog: pytest.LogCaptureFixture) -> None:
    control.raises["unfinished"] = ZeroDivisionError("secret inner state")
    received = get(port, "/api/v1/task/dag/unfinish")
    assert (received.status, received.code, received.envelope["traceId"]) == (500, "Common.Unexpected", "")
    assert b"secret inner state" not in received.body
    assert "secret inner state" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused("no.such_code", "x"), 500, "Common.Unexpected"),
        (Bug("machine.broken", "x"), 500, "Common.Unexpected"),
        (TryAgain("store.busy", "x"), 500, "Task.Engine.Unexpected"),
        (Unreachable("agent.unreachable", "x"), 500, "Common.Unexpected"),
        (Refused("cluster.no_database", "x"), 500, "Agent.OceanBase.NotHold"),
        (Refused("agent.identity_unknown", "x"), 500, "Agent.Identify.Unknown"),
    ],
)
def test_errors_of_the_use_cases_are_translated(control: FakeControl, port: int, error: Exception, status: int, code: str) -> None:
    control.raises["unfinished"] = error
    received = get(port, "/api/v1/task/dag/unfinish")
    assert (received.status, received.code) == (status, code)


def test_a_message_ends_with_the_hint(control: FakeControl, port: int) -> None:
    control.raises["unfinished"] = Refused("agent.unknown", "no such agent", hint="oboe cluster status")
    assert get(port, "/api/v1/task/dag/unfinish").envelope["error"]["message"] == "no such agent (oboe cluster status)"


HELD = Refused("maintenance.held", "dag 'Cluster scale out' holds the lock")
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "scale_out": ("/api/v1/ob/scale_out", {"agentInfo": {"ip": "10.0.0.1", "port": 2886}, "zone": "z"}),
    "configure_observer": ("/api/v1/observer/config", {"observerConfig": {"a": "1"}, "scope": {"type": "GLOBAL"}}),
    "configure_cluster": ("/api/v1/obcluster/config", {"clusterId": 1, "clusterName": "c"}),
    "init": ("/api/v1/ob/init", {}),
    "join": ("/api/v1/agent/join", {"agentInfo": {"ip": "10.0.0.1", "port": 2886}, "zoneName": "z"}),
}


@pytest.mark.parametrize(
    ("name", "error", "code", "with_null"),
    [
        ("scale_out", HELD, "OB.Cluster.UnderMaintenanceWithDag", True),
        ("scale_out", Refused("agent.wrong_identity", "x"), "Agent.Identify.NotSupportOperation", True),
        ("scale_out", Refused("agent.unavailable", "x"), "Agent.RPC.RequestFailed", True),
        ("configure_observer", HELD, "Agent.UnderMaintenance", True),
        ("configure_observer", Refused("config.below_floor", "x"), "Common.IllegalArgument", False),
        ("configure_cluster", HELD, "Agent.UnderMaintenance", True),
        ("configure_cluster", Refused("cluster.id_invalid", "x"), "OB.Cluster.Id.Invalid", False),
        ("init", HELD, "Agent.UnderMaintenance", True),
        ("init", Refused("cluster.already_initialized", "x"), "OB.Cluster.AlreadyInitialized", False),
        ("join", HELD, "Agent.UnderMaintenance", False),
    ],
)
def test_a_null_stands_beside_the_error_where_the_original_has_one(
    control: FakeControl, port: int, name: str, error: Exception, code: str, with_null: bool
) -> None:
    control.raises[name] = error
    path, body = BODIES[name]
    received = send(port, "POST", path, body)
    assert received.code == code
    assert received.envelope.get("data", "absent") == (None if with_null else "absent")


def test_an_operator_that_loses_the_lock_names_its_scope(control: FakeControl, port: int) -> None:
    cluster = hold(control, recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl"))
    local = hold(control, recorded("Local scale out", "FAILED", file="43_rollback_fails_retry.jsonl"))
    control.raises["operate"] = HELD
    from oboe.api.obshell.ids import encode

    codes = [send(port, "POST", f"/api/v1/task/dag/{encode(dag.home, dag.id)}", {"operator": "RETRY"}).code for dag in (cluster, local)]
    assert codes == ["OB.Cluster.UnderMaintenanceWithDag", "Agent.UnderMaintenance"]


# What oboe adds


@pytest.mark.parametrize("name", sorted(BODIES))
def test_a_dry_run_touches_nothing(control: FakeControl, port: int, name: str) -> None:
    control.makes[name] = _fail
    path, body = BODIES[name]
    assert send(port, "POST", path + "?dry_run=true", body).data == {"name": name, "effects": [], "notes": []}


def _fail(*_: Any) -> Any:
    raise AssertionError("it was carried out")


def test_an_operator_is_previewed(control: FakeControl, port: int) -> None:
    received = send(port, "POST", "/api/v1/task/dag/11?dry_run=1", {"operator": "rollback"})
    effects = [{"node": "a node", "agents": ["127.0.0.1:2886"], "action": "undo", "detail": ""}]
    assert received.data == {"name": "ROLLBACK it", "effects": effects, "notes": ["a note"]}
    assert [name for name, _ in control.asked] == ["preview_operator"]


def test_lists_are_paged_and_filtered(control: FakeControl, port: int) -> None:
    route = "/api/v1/task/dags/ob"
    get(port, route)
    get(port, route + "?limit=2&before_id=40&name=a&name=b%20c&settled=false")
    assert [page for name, page in control.asked if name == "cluster_dags"] == [
        Page(limit=1000),
        Page(limit=2, before_id=40, names=("a", "b c"), settled=False),
    ]
    for query in ("limit=0", "limit=x", "limit=-1", "before_id=a", "settled=maybe", "limit=99999"):
        assert get(port, f"{route}?{query}").code == "Request.Query.Param.Illegal"


def test_lists_are_oldest_first_unless_they_are_paged(control: FakeControl, port: int) -> None:
    view = recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl")
    for number in (1, 2, 3):
        control.held.append((replace(view.dag, id=number), ()))

    def order(query: str) -> list[int]:
        return [each["dag_id"] for each in get(port, "/api/v1/task/dags/ob" + query).data["contents"]]

    assert (order(""), order("?limit=3")) == ([1, 2, 3], [3, 2, 1])


def test_the_second_name_of_details_counts_where_the_first_is_not_given(control: FakeControl, port: int) -> None:
    dag = hold(control, recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl"))
    for query, shown in {
        "": True,
        "?show_detail=false": False,
        "?show_details=true&show_detail=false": True,
        "?show_detail=true&show_details=False": False,
        "?show_detail=x&show_details=0": False,
        "?show_details=": False,
    }.items():
        assert (get(port, f"/api/v1/task/dag/1{dag.id}{query}").data["nodes"] is not None) is shown, query
    for query in ("show_detail=x", "show_details=x&show_detail=true", "show_details=x&show_details=true"):
        assert get(port, f"/api/v1/task/dag/1{dag.id}?{query}").code == "Request.Query.Param.Illegal"


def test_an_answer_from_a_copy_says_how_old_it_is(control: FakeControl, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    view = recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl")
    monkeypatch.setattr(control, "unfinished", lambda **_: [DagView(view.dag, view.logs, 0, 12.34)])
    assert get(port, "/api/v1/task/dag/unfinish").headers["x-oboe-stale"] == "12.3"


def test_what_the_agent_waits_for_is_public(port: int) -> None:
    assert send_raw(port, "GET", "/oboe/v1/ready").data == {"ready": False, "waits_for": ["the database"]}
    assert send_raw(port, "GET", "/oboe/v1/nosuch").status == 404


def test_a_port_that_is_taken_is_refused() -> None:
    with served(FakeControl()) as one, pytest.raises(Refused) as refused:
        serve(app(FakeControl()), "127.0.0.1", one.port)
    assert refused.value.code == "agent.port_taken"


def test_a_server_stops_while_a_connection_is_open() -> None:
    with served(FakeControl()) as serving:
        connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=5)
        connection.request("GET", "/api/v1/info")
        connection.getresponse().read()
    assert not serving.alive
    connection.close()


def test_a_target_that_refuses_its_password_does_not_look_like_a_refusal_of_the_caller(control: FakeControl, port: int) -> None:
    """A client takes 10008 for a refusal of its own password. What a MASTER says of a join passes through, as the original has it."""
    expected = {"scale_out": (500, "Agent.RPC.RequestFailed"), "join": (401, "Security.Authentication.IncorrectAgentPassword")}
    for name, (status, code) in expected.items():
        control.raises[name] = Refused("auth.agent_password", "the agent password is wrong")
        path, body = BODIES[name]
        received = send(port, "POST", path, body)
        assert (received.status, received.code, "code" in received.envelope["error"]) == (status, code, status == 401)
