"""The vendor's own client library, unmodified, against a live server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from obshell import ClientSet
from obshell.auth.password import PasswordAuth
from obshell.service.client_v1 import ClientV1, OBShellHandleError, TaskExecuteFailedError

from oboe.control.views import ClusterView, DagView, Member, ServerView
from oboe.domain import events
from oboe.domain.machine import advance
from oboe.domain.model import Dag
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret

from .fakes import HERE, FakeControl
from .importer import view_of

DATA = Path(__file__).parent.parent / "data"


def client(port: int, password: str = "pw1", **auth: Any) -> ClientV1:
    """With an auth of its own: the library shares the default one between hosts."""
    return ClientSet("127.0.0.1", port, auth=PasswordAuth(password, **auth)).v1


def recorded(name: str, state: str, operator: str = "RUN", *, file: str) -> DagView:
    for line in (DATA / "recordings" / "obshell" / file).read_text().splitlines():
        text = json.loads(line)["response"]["text"]
        data = json.loads(text).get("data") or {} if text else {}
        for wire in data.get("contents") or [data]:
            if (wire.get("name"), wire.get("state"), wire.get("operator")) == (name, state, operator) and wire.get("nodes"):
                return view_of(wire)
    raise LookupError(name)


def hold(control: FakeControl, view: DagView) -> Dag:
    control.held.append((view.dag, view.logs or ()))
    return view.dag


def failed_scale_in() -> DagView:
    return recorded("Cluster scale in", "FAILED", file="42_scale_in_cancel_pass.jsonl")


def test_info_and_status_need_no_password(port: int) -> None:
    info = client(port, "wrong").get_info()
    assert (info.identity, info.ip, info.port, info.secrity) == ("CLUSTER AGENT", "127.0.0.1", 2886, False)
    assert client(port, "wrong").get_status().ob_state == 3


def test_a_dag_its_nodes_and_sub_tasks_are_read(control: FakeControl, port: int) -> None:
    dag = hold(control, recorded("Cluster scale out", "SUCCEED", file="20_scaleout_existing_zone.jsonl"))
    sdk = client(port)
    found = sdk.get_dag(f"1{dag.id}")
    assert (found.name, found.state, found.stage, found.max_stage) == ("Cluster scale out", "SUCCEED", 9, 9)
    assert [node.name for node in found.nodes] == [node.name for node in dag.plan.nodes]
    assert found.nodes[1].sub_tasks[0].task_logs[0].startswith("create local scale out dag success")
    assert sdk.get_dag(f"1{dag.id}", show_detail=False).nodes == []
    assert sdk.get_node(f"1{dag.node_base + 1}").name == dag.plan.nodes[1].name
    assert sdk.get_sub_task(f"1{dag.sub_task_base + 1}").execute_agent.startswith("127.0.0.1:")


def test_every_list_is_read(control: FakeControl, port: int) -> None:
    local = hold(control, recorded("Local scale out", "SUCCEED", file="20_scaleout_existing_zone.jsonl"))
    assert local.home.agent is not None
    control.here = local.home.agent
    hold(control, recorded("Cluster scale out", "SUCCEED", file="20_scaleout_existing_zone.jsonl"))
    sdk = client(port)
    assert sdk.get_agent_last_maintenance_dag().name == "Local scale out"
    assert [dag.name for dag in sdk.get_unfinished_dags()] == ["Local scale out", "Cluster scale out"]
    assert [dag.name for dag in sdk.get_agent_unfinished_dag()] == ["Local scale out"]
    assert [dag.name for dag in sdk.get_cluster_unfinished_dag()] == ["Cluster scale out"]
    assert [dag.name for dag in sdk.get_all_agent_last_maintenance_dag()] == ["Local scale out"]


def test_the_cluster_is_read(control: FakeControl, port: int) -> None:
    member = Member(address=HERE, rpc_port=3886, identity=Identity.CLUSTER_AGENT, zone="zone1", version="0.1.0")
    server = ServerView(
        zone="zone1",
        svr_ip="127.0.0.1",
        svr_port=2882,
        sql_port=2881,
        agent_port=2886,
        with_rootserver=True,
        status="ACTIVE",
        build_version="1.4.0.0",
    )
    control.shown = ClusterView(id=7, name="one", version="1.4.0.0", members=(member,), servers=(server,))
    info = client(port).get_ob_info()
    assert (info.cluster.cluster_name, info.agents[0].zone) == ("one", "zone1")
    assert info.cluster.zone_config["zone1"][0].with_rootserver == "YES"


@pytest.mark.parametrize(
    ("operator", "event", "after"),
    [("RETRY", events.Retry(), "READY"), ("rollback", events.Rollback(), "READY"), ("PASS", events.Pass(), "SUCCEED")],
)
def test_an_operator_has_changed_the_state_when_it_is_answered(
    control: FakeControl, port: int, operator: str, event: events.Event, after: str
) -> None:
    view = failed_scale_in()
    every = tuple(replace(node, flags=replace(node.flags, skippable=True, rollable=True)) for node in view.dag.plan.nodes)
    dag = hold(control, replace(view, dag=replace(view.dag, plan=type(view.dag.plan)(every))))

    def operate(_ref: Any, asked: str) -> None:
        assert asked == operator.upper()
        changed, _ = advance(dag, [event], now=dag.ended_at + 1, here=HERE, epoch=0)
        control.held[0] = (changed, control.held[0][1])

    control.makes["operate"] = operate
    client(port).operate_dag(f"1{dag.id}", operator)
    assert client(port).get_dag(f"1{dag.id}").state == after


def test_a_failed_dag_is_told_with_its_log(control: FakeControl, port: int) -> None:
    dag = hold(control, failed_scale_in())
    with pytest.raises(TaskExecuteFailedError, match="delete observer"):
        client(port).wait_dag_succeed(f"1{dag.id}")


def test_a_wrong_password_is_told_as_such(port: int) -> None:
    with pytest.raises(OBShellHandleError) as failed:
        client(port, "wrong").get_unfinished_dags()
    assert (failed.value.code, failed.value.err_code) == (10008, "Security.Authentication.IncorrectOceanbasePassword")


def test_the_root_password_may_have_been_changed_behind_our_back(control: FakeControl, port: int) -> None:
    control.keys.database_accepts = "pw2"
    assert client(port, "pw2").get_unfinished_dags() == []
    with pytest.raises(OBShellHandleError):
        client(port, "pw1").get_unfinished_dags()


def test_the_agent_password_is_used_where_it_is_set(control: FakeControl, port: int) -> None:
    control.keys.agent = "ap"
    assert client(port, "wrong", agent_password="ap").get_unfinished_dags() == []
    assert client(port, "pw1").get_unfinished_dags() == []


def test_a_single_agent_is_read_with_any_password(control: FakeControl, port: int) -> None:
    control.keys.who, control.keys.root = Identity.SINGLE, None
    assert client(port, "whatever").get_agent_unfinished_dag() == []


def created(control: FakeControl, name: str) -> list[tuple[Any, ...]]:
    """Let that operation make a dag, and keep what it was asked."""
    seen: list[tuple[Any, ...]] = []
    new = recorded("Cluster scale in", "READY", file="42_scale_in_cancel_pass.jsonl").dag

    def make(*values: Any) -> Dag:
        seen.append(values)
        return new

    control.makes[name] = make
    return seen


def test_operations_reach_the_use_cases_with_what_was_given(control: FakeControl, port: int) -> None:
    seen = {name: created(control, name) for name in ("scale_out", "configure_observer", "configure_cluster", "init", "remove", "join")}
    sdk = client(port)
    made = sdk.scale_out("10.0.0.3", 2886, "zone3", {"mysql_port": "2881", "memory_limit": "2G"}, "tp")
    assert (made.state, made.stage, made.nodes) == ("READY", 1, [])
    sdk.config_observer({"mysql_port": "2881"}, "SERVER", ["127.0.0.1:2886"])
    sdk.config_obcluster("one", 7, "pw1")
    sdk.init(create_proxyro_user=True, proxyro_password="pp")
    sdk.remove("10.0.0.3", 2886)
    client(port).join("127.0.0.1", port, "zone1")
    assert {name: calls[0] for name, calls in seen.items()} == {
        "scale_out": (Address("10.0.0.3", 2886), "zone3", {"mysql_port": "2881", "memory_limit": "2G"}, Secret("tp")),
        "configure_observer": ({"mysql_port": "2881"}, "SERVER", ["127.0.0.1:2886"]),
        "configure_cluster": (7, "one", Secret("pw1")),
        "init": (True, Secret("pp"), False),
        "remove": (Address("10.0.0.3", 2886),),
        "join": (Address("127.0.0.1", port), "zone1", Secret("")),
    }


def test_a_removal_with_nothing_to_do_is_none(port: int) -> None:
    assert client(port).remove("10.0.0.3", 2886) is None


def test_an_older_client_may_encrypt_the_new_root_password(control: FakeControl, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from oboe.api.obshell import agents

    monkeypatch.setattr(agents, "agent_version", lambda version: f"4.2.3.0-{version}")
    seen = created(control, "configure_cluster")
    client(port).config_obcluster("one", 7, "new password")
    assert seen[0] == (7, "one", Secret("new password"))


def test_a_failed_post_is_sent_twice_and_answered_twice(control: FakeControl, port: int) -> None:
    """The library sends whatever was answered with 400 or more once more; with a header of its own each time."""
    from oboe.domain.errors import Refused

    control.raises["scale_out"] = Refused("agent.already_member", "10.0.0.3:2886 is a member already")
    with pytest.raises(OBShellHandleError) as failed:
        client(port).scale_out("10.0.0.3", 2886, "zone3", {})
    assert failed.value.err_code == "Agent.AlreadyExists"
    assert [name for name, _ in control.asked].count("scale_out") == 2


def test_the_new_password_is_tried_while_it_is_being_set(control: FakeControl, port: int) -> None:
    """`config_obcluster` makes it the client's candidate; the first refusal switches to it."""
    control.keys.who, control.keys.root = Identity.MASTER, ""
    created(control, "configure_cluster")
    sdk = client(port, "")
    sdk.config_obcluster("one", 7, "pw9")
    control.keys.root = "pw9"
    assert sdk.get_agent_unfinished_dag() == []
