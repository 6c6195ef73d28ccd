"""The lease as this agent may try for it: only while the cluster counts it as a member.

An agent that was let go while it was away still knows the way to the cluster's tables. It must not maintain a cluster whose members
do not answer it any more.
"""

from __future__ import annotations

from oboe.domain.errors import Refused
from oboe.domain.values import Address
from oboe.engine.ports import LeaseRow
from oboe.membership.link import ClusterLink
from oboe.membership.owed import Owed

__all__ = ["Candidacy"]


class Candidacy:
    """Implements `oboe.engine.ports.LeaseRow`. Each look that succeeds shows that the tables answer: what is owed to them is paid."""

    def __init__(self, row: LeaseRow, link: ClusterLink, owed: Owed) -> None:
        self._row = row
        self._link = link
        self._owed = owed

    def holder(self) -> tuple[Address, int, float] | None:
        found = self._row.holder()
        self._owed.settle()
        return found

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        """`Refused` ``agent.let_go`` for one that is no member any more."""
        if all(member.address != agent for member in self._link.members()):
            hint = f"clean its home: oboe cluster scale-in {agent}, asked of itself"
            raise Refused("agent.let_go", f"the cluster counts {agent} as a member no more", hint=hint)
        return self._row.take(agent, ttl, went_back=went_back, epoch_min=epoch_min)

    def renew(self, agent: Address, epoch: int, ttl: float) -> bool:
        renewed = self._row.renew(agent, epoch, ttl)
        self._owed.settle()
        return renewed
