"""OCP's ids: one number for one thing, whoever is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oboe.api.ocp.ids import decode, encode
from oboe.control.views import Landmarks, Ref
from oboe.domain.errors import Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind, Identity
from oboe.membership.member import Member, numbered

V4, V6, HERE = Address("10.0.0.1", 2886), Address("fd00::1", 2886), Address("10.0.0.3", 2886)
KNOWN = Landmarks(here=HERE, numbers={V4: 1, V6: 2, HERE: 3}, cluster_id=7, cluster_name="c")
ALONE = Landmarks(here=HERE, numbers={HERE: 0}, cluster_id=0, cluster_name="")


@given(agent=st.sampled_from([V4, V6, HERE]), number=st.integers(1, 2**32 - 1))
def test_an_agents_own_dags_come_back_from_their_ids(agent: Address, number: int) -> None:
    text = str(encode(Home(HomeKind.AGENT, agent), number, KNOWN))
    assert int(text) < 2**53
    assert decode("dag", text, KNOWN) == Ref("dag", HomeKind.AGENT, agent, number)


@given(number=st.integers(1, 2**52 - 1))
def test_the_clusters_dags_have_their_own_numbers(number: int) -> None:
    assert encode(Home(HomeKind.CLUSTER), number, KNOWN) == number
    assert decode("sub_task", str(number), KNOWN) == Ref("sub_task", HomeKind.CLUSTER, None, number)


def test_an_agent_without_a_cluster_is_number_0() -> None:
    text = str(encode(Home(HomeKind.AGENT, HERE), 5, ALONE))
    assert text == str(2**52 + 5)
    assert decode("dag", text, ALONE).agent == HERE


def test_an_id_from_before_the_cluster_is_not_taken_for_another_agents() -> None:
    with pytest.raises(Refused) as refused:
        decode("dag", str(2**52 + 5), KNOWN)
    assert refused.value.code == "task.not_found"
    assert str(2**52 + 3 * 2**32 + 5) in refused.value.hint


@pytest.mark.parametrize("text", ["0", "-1", str(2**52), str(2**53), "9" * 19, str(2**52 + 9 * 2**32 + 1)])
def test_numbers_that_nobody_gives_out_name_nothing(text: str) -> None:
    with pytest.raises(Refused) as refused:
        decode("dag", text, KNOWN)
    assert refused.value.code == "task.not_found"


@pytest.mark.parametrize("text", ["", "x", "1.5", "1e3", "+1", " 1", "\u0661", "9" * 20])
def test_what_is_no_number_is_no_id(text: str) -> None:
    with pytest.raises(Refused) as refused:
        decode("dag", text, KNOWN)
    assert refused.value.code == "request.query"


# The numbers of agents


def member(port: int, key: str, number: int = 0) -> Member:
    return Member(
        address=Address("10.0.0.1", port),
        rpc_port=port + 1,
        identity=Identity.FOLLOWER,
        zone="z",
        version="1",
        public_key=key,
        number=number,
    )


def test_a_number_is_given_once_and_never_again() -> None:
    first, given_numbers = numbered(member(1, "a"), {})
    second, given_numbers = numbered(member(2, "b"), given_numbers)
    again, given_numbers = numbered(member(1, "a"), given_numbers)
    assert (first.number, second.number, again.number) == (1, 2, 1)
    anew, given_numbers = numbered(member(2, "another key pair"), given_numbers)
    assert anew.number == 3, "a home that was made anew counts its dags anew"


def test_numbers_given_before_the_cluster_began_stay() -> None:
    kept, given_numbers = numbered(member(5, "e", number=2), {})
    assert kept.number == 2
    other, _ = numbered(member(6, "f", number=2), given_numbers)
    assert other.number == 3, "two cannot have one"
