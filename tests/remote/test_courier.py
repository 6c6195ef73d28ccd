"""What holds for the engine's messages on their way between agents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from oboe.domain.errors import Refused, TryAgain, Unreachable
from oboe.domain.messages import Interrupt, Order, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.remote.authority import Authority
from oboe.remote.courier import RpcCourier, register_courier
from tests.remote.agents import Agent, cluster
from tests.remote.samples import sample

CLUSTER = Home(HomeKind.CLUSTER)


class Engine:
    """What an agent's engine would hear; ``verdict`` is its answer, or what it raises."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.verdict: Verdict | Exception = Verdict.HEARD

    def order(self, order: Order) -> None:
        self.heard.append(order)

    def interrupt(self, interrupt: Interrupt) -> None:
        self.heard.append(interrupt)

    def settled(self, dag_key: str) -> None:
        self.heard.append(dag_key)

    def report(self, home: Home, report: Report) -> Verdict:
        self.heard.append((home, report))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


@pytest.fixture
def agents() -> Iterator[list[tuple[Agent, Engine]]]:
    with cluster(3, Authority.make("oboe test")) as found:
        both = [(agent, Engine()) for agent in found]
        for agent, engine in both:
            register_courier(agent.server, engine)
        yield both


def _courier(agent: Agent, maintainer: Address | None) -> RpcCourier:
    return RpcCourier(agent.peers, lambda: maintainer, timeout=2.0)


def test_orders_interrupts_and_ends_reach_the_agent_they_name(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, engine), _ = agents
    courier = _courier(one, None)
    courier.order(two.address, sample(Order))
    courier.interrupt(two.address, sample(Interrupt))
    courier.settled(two.address, "ab")
    assert engine.heard == [sample(Order), sample(Interrupt), "ab"]


def test_a_report_goes_to_the_maintainer_named_and_brings_its_verdict(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, engine), (three, other) = agents
    engine.verdict = Verdict.STOP
    assert _courier(one, three.address).report(CLUSTER, two.address, sample(Report)) is Verdict.STOP
    assert (engine.heard, other.heard) == ([(CLUSTER, sample(Report))], [])


@pytest.mark.parametrize("verdict", [Verdict.NOT_MINE, TryAgain("store.busy", "busy")], ids=str)
def test_a_report_that_its_maintainer_does_not_take_goes_to_who_serves_the_home_now(
    agents: list[tuple[Agent, Engine]], verdict: Verdict | Exception
) -> None:
    (one, _), (two, engine), (three, other) = agents
    engine.verdict = verdict
    assert _courier(one, three.address).report(CLUSTER, two.address, sample(Report)) is Verdict.HEARD
    assert other.heard == [(CLUSTER, sample(Report))]


def test_a_report_whose_maintainer_is_gone_goes_to_who_serves_the_home_now(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, _), (three, other) = agents
    two.server.stop()
    assert _courier(one, three.address).report(CLUSTER, two.address, sample(Report)) is Verdict.HEARD
    assert other.heard == [(CLUSTER, sample(Report))]


@pytest.mark.parametrize("known", [True, False], ids=["still the same", "nobody"])
def test_a_report_that_nobody_takes_stays_with_its_agent(agents: list[tuple[Agent, Engine]], known: bool) -> None:
    (one, _), (two, engine), (_, other) = agents
    courier = _courier(one, two.address if known else None)
    engine.verdict = Verdict.NOT_MINE
    assert courier.report(CLUSTER, two.address, sample(Report)) is Verdict.NOT_MINE
    assert len(engine.heard) == 1
    two.server.stop()
    with pytest.raises(Unreachable, match=str(two.address)):
        courier.report(CLUSTER, two.address, sample(Report))
    assert other.heard == []


def test_a_report_that_is_refused_is_not_taken_elsewhere(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, engine), (three, other) = agents
    engine.verdict = Refused("report.bad", "no")
    with pytest.raises(Refused):
        _courier(one, three.address).report(CLUSTER, two.address, sample(Report))
    assert other.heard == []


def test_params_of_an_agents_own_dag_are_wrapped_on_the_way(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, engine), _ = agents
    courier = RpcCourier(one.peers, lambda: None, wrap=lambda params: {"wrapped": dict(params)}, timeout=2.0)
    order = sample(Order)
    courier.order(two.address, replace(order, home=Home(HomeKind.AGENT, one.address)))
    courier.order(two.address, replace(order, home=CLUSTER))
    assert [each.params for each in engine.heard] == [{"wrapped": order.params}, order.params]


def test_a_report_for_an_agents_home_goes_to_that_agent_alone(agents: list[tuple[Agent, Engine]]) -> None:
    (one, _), (two, engine), (three, other) = agents
    home = Home(HomeKind.AGENT, three.address)
    engine.verdict = Verdict.NOT_MINE
    assert _courier(one, one.address).report(home, two.address, sample(Report)) is Verdict.HEARD
    assert other.heard == [(home, sample(Report))]
