"""Every method of the vendor's own client library whose route oboe has, unmodified, against a live server."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests
from obshell.service.client_v1 import ClientV1, OBShellHandleError

from oboe.api.obshell import app as obshell
from oboe.control.views import ClusterView, Member
from oboe.domain.model import Home
from oboe.domain.values import HomeKind, Identity

from .fakes import HERE, FakeControl, served
from .methods import METHODS, WITHOUT, Method
from .test_sdk import client, recorded

CLUSTER_DAG = recorded("Cluster scale in", "SUCCEED", file="30_scale_in.jsonl").dag


@pytest.fixture
def filled(control: FakeControl) -> FakeControl:
    """An agent with one dag of the cluster and one of its own, both of that name; every operation makes the first."""
    named = replace(
        CLUSTER_DAG,
        id=80,
        node_base=90,
        sub_task_base=95,
        plan=replace(CLUSTER_DAG.plan, nodes=tuple(replace(node, name="the first node") for node in CLUSTER_DAG.plan.nodes)),
    )
    own = replace(named, id=81, home=Home(HomeKind.AGENT, HERE))
    control.held = [(named, ()), (own, ())]
    control.shown = ClusterView(
        id=7,
        name="one",
        version="1.4.0.0",
        members=(Member(address=HERE, rpc_port=3886, identity=Identity.CLUSTER_AGENT, zone="zone1", version="0.1.0"),),
        servers=(),
    )
    makes = ("join", "remove", "configure_observer", "configure_cluster", "init", "scale_out", "scale_in", "start", "stop", "delete_zone")
    control.makes = dict.fromkeys(makes, lambda *_: named)
    return control


@pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])
def test_a_method_does_what_it_says(filled: FakeControl, port: int, method: Method) -> None:
    if method.name == "agg_clear_uninitialized_agent":
        filled.keys.who = Identity.MASTER
    assert method.call(client(port), "180") == method.shows
    if method.asked:
        assert method.asked in {name for name, _ in filled.asked} | set(filled.changed)


SYNC = [method for method in METHODS if method.waits]


@pytest.mark.parametrize("method", SYNC, ids=[method.name for method in SYNC])
def test_its_twin_waits_for_the_dag(filled: FakeControl, port: int, method: Method) -> None:
    assert method.call(_Twins(client(port)), "180") == method.shows  # type: ignore[arg-type]
    assert ("dag", 80) in [(name, getattr(what, "number", None)) for name, what in filled.asked]


class _Twins:
    """A client whose methods are their ``_sync`` twins."""

    def __init__(self, sdk: ClientV1) -> None:
        self._sdk = sdk
        self.host, self.port = sdk.host, sdk.port

    def __getattr__(self, name: str) -> object:
        return getattr(self._sdk, f"{name}_sync")


def test_every_route_with_a_method_is_in_the_table() -> None:
    routes = {f"{route.method} {obshell.PREFIX}{route.path}" for route in obshell.ROUTES}
    assert {method.route for method in METHODS if " /api" in method.route} <= routes
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert not set(WITHOUT) & {method.name for method in METHODS}
    assert len(WITHOUT) > 80


def test_an_agent_that_is_not_there_is_told_as_such() -> None:
    with served(FakeControl()) as serving:
        gone = serving.port
    with pytest.raises(requests.ConnectionError):
        client(gone).get_unfinished_dags()


def test_a_key_that_changed_is_fetched_again(control: FakeControl, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code 1 makes the library ask for the key and send again."""
    from oboe.remote import secrecy

    sdk = client(port)
    assert sdk.get_unfinished_dags() == []
    renewed = secrecy.new_key_pair()
    monkeypatch.setattr(type(control.keys), "private_key_pem", lambda _: renewed.private_pem)
    monkeypatch.setattr(type(control.keys), "public_key", lambda _: renewed.public_key)
    assert sdk.get_unfinished_dags() == []


def test_two_clients_with_a_password_each_do_not_mix(control: FakeControl, port: int) -> None:
    right, wrong = client(port, "pw1"), client(port, "pw2")
    assert right.get_unfinished_dags() == []
    with pytest.raises(OBShellHandleError):
        wrong.get_unfinished_dags()
    assert right.get_unfinished_dags() == []
