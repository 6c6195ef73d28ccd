"""The leader of a dag is found wherever the lease has gone, and nothing is done behind its back."""

from __future__ import annotations

import pytest

from oboe.control.leader import ask_maintainer, not_maintainer
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import Address
from oboe.remote.messages import decode_error, encode_error

A, B, C, D = (Address("10.0.0.1", port) for port in range(1, 5))


class Agents:
    """What each of them answers: an error, or nothing, which is what the maintainer answers."""

    def __init__(self, **answers: OboeError | None) -> None:
        self.asked: list[Address] = []
        self._answers = {Address("10.0.0.1", ord(name) - 96): answer for name, answer in answers.items()}

    def ask(self, agent: Address) -> str:
        self.asked.append(agent)
        answer = self._answers.get(agent, Unreachable("agent.unreachable", "nobody answers"))
        if answer is not None:
            raise decode_error(encode_error(answer))
        return str(agent)


def test_an_agent_that_knows_the_maintainer_leads_to_it() -> None:
    agents = Agents(a=not_maintainer(A, D), d=None)
    assert ask_maintainer(agents.ask, [A, B, C]) == str(D)
    assert agents.asked == [A, D]


def test_the_dead_and_those_that_do_not_answer_a_stranger_are_passed_over() -> None:
    agents = Agents(b=TryAgain("agent.starting", "not yet"), c=None)
    assert ask_maintainer(agents.ask, [A, B, A, C]) == str(C)


def test_a_lease_that_is_on_its_way_is_waited_for_and_nothing_is_done_behind_it() -> None:
    agents = Agents(a=not_maintainer(A, B), b=not_maintainer(B, A))
    with pytest.raises(TryAgain) as moving:
        ask_maintainer(agents.ask, [A])
    assert (moving.value.code, agents.asked) == ("leader.moving", [A, B])


def test_nobody_is_the_leader_when_no_agent_knows_of_one() -> None:
    agents = Agents(a=not_maintainer(A, None))
    with pytest.raises(Unreachable) as nobody:
        ask_maintainer(agents.ask, [A, B])
    assert nobody.value.code == "leader.unreachable"


def test_what_the_leader_itself_refuses_is_its_answer() -> None:
    agents = Agents(a=Refused("rollback.not_allowed", "it does not allow that"))
    with pytest.raises(Refused, match="does not allow"):
        ask_maintainer(agents.ask, [A, B])
