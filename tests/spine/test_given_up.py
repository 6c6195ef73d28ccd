"""A joining agent that dies and does not come back holds nobody up; when it does come back, it cleans up after itself."""

from __future__ import annotations

import pytest

from oboe.membership import given_up
from oboe.playbooks.cluster import scale_out
from tests.spine.host import eventually
from tests.spine.plant import planted
from tests.spine.world import World, lines


def test_a_scale_out_whose_joining_agent_is_gone_is_skipped_and_the_agent_is_clean_when_it_is_back(
    cluster: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_out, "GONE_SECONDS", 0.5)
    monkeypatch.setattr(given_up, "_EVERY_SECONDS", 0.5)
    first, second = cluster.hosts[:2]
    joiner = cluster.host(apart=True)
    try:
        with planted(scale_out.PreviousCheck):
            dag = cluster.failed(first, cluster.scale_out(first, joiner), at="Prev check for scale_out")
        joiner.kill()
        dag = cluster.operate(first, dag, "ROLLBACK")
        assert [node.name for node in dag.nodes if node.state == "FAILED"] == ["Create local scale out dag"]
        assert any("SKIP when it is gone for good" in line for line in lines(dag))
        dag = cluster.operate(second, dag, "SKIP")
        assert [node.name for node in dag.nodes if node.state == "FAILED"] == ["Integrate server config"]
        cluster.undone(cluster.operate(second, dag, "SKIP"))
        assert not cluster.store.rows("SELECT * FROM maintenance_lock")

        joiner.begin()
        eventually(lambda: joiner.identity == "SINGLE")
        eventually(lambda: not first.agent.link.sealed_fact("given_up"))
        assert not joiner.base.exists()
        cluster.good(cluster.over(first, cluster.scale_out(first, joiner)))
        assert joiner.identity == "CLUSTER AGENT"
    finally:
        cluster.forget(joiner)


def test_a_joining_agent_that_is_back_in_time_is_undone_as_ever(cluster: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_out, "GONE_SECONDS", 0.5)
    first = cluster.hosts[0]
    joiner = cluster.host(apart=True)
    try:
        with planted(scale_out.PreviousCheck):
            dag = cluster.failed(first, cluster.scale_out(first, joiner), at="Prev check for scale_out")
        joiner.kill()
        dag = cluster.operate(first, dag, "ROLLBACK")
        assert dag.state == "FAILED"
        joiner.begin()
        cluster.undone(cluster.operate(first, dag, "ROLLBACK"))
        assert joiner.identity == "SINGLE"
        assert not first.agent.link.sealed_fact("given_up")
    finally:
        cluster.forget(joiner)
