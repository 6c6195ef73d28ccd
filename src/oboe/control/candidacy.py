"""The lease as this agent may try for it: while the cluster counts it as a member, and in a new epoch where the store has lost something.

An agent that was let go while it was away still knows the way to the cluster's tables. It must not maintain a cluster whose members
do not answer it any more.

Who takes the lease first compares what it sees with its own mark and those of all members that answer (`oboe.membership.marks`). Who only
looks, and sees what cannot be, tells the maintainer, which then does the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from oboe import __version__
from oboe.control.views import StatusView
from oboe.domain.errors import OboeError, Refused, TryAgain
from oboe.domain.values import Address
from oboe.membership.given_up import GivenUp
from oboe.membership.link import ClusterLink
from oboe.membership.marks import Marks, contradicts
from oboe.membership.owed import Owed
from oboe.membership.verbs import AskStatus, StoreMark

if TYPE_CHECKING:
    from oboe.remote.client import Peers
    from oboe.store.mysql import Lease, MysqlHome, Sight

__all__ = ["Candidacy"]

_ASK_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Candidacy:
    """Implements `oboe.engine.ports.LeaseRow`. Each look that succeeds shows that the tables answer: what is owed to them is paid."""

    def __init__(self, row: Lease, link: ClusterLink, owed: Owed, given_up: GivenUp, marks: Marks, peers: Callable[[], Peers]) -> None:
        self._row = row
        self._link = link
        self._owed = owed
        self._given_up = given_up
        self._marks = marks
        self._peers = peers
        self._seat = ""
        """Of the database in which this agent holds the lease."""

    def holder(self) -> tuple[Address, int, float] | None:
        try:
            sight = self._row.look()
        except TryAgain as error:
            if error.code == "store.older":
                self._bring_up_to_date()
            raise
        self._owed.settle()
        mark = self._mark_of(sight)
        if sight.agent is not None and sight.left > 0 and not self._marks.move(mark) and sight.agent != self._link.here:
            self._warn(sight.agent, mark)
        return None if sight.agent is None else (sight.agent, sight.epoch, sight.left)

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        """`Refused` ``agent.let_go`` for one that is no member any more."""
        members = [member.address for member in self._link.members()]
        if agent not in members:
            hint = f"clean its home: oboe cluster scale-in {agent}, asked of itself"
            raise Refused("agent.let_go", f"the cluster counts {agent} as a member no more", hint=hint)
        # Looked at after it was asked: what the others have seen was there before, so a row that is behind it did go back.
        known = [self._marks.own(), *self._ask(member for member in members if member != agent)]
        mark = self._mark_of(self._row.look())
        lost = [seen for seen in known if contradicts(seen, mark)]
        for seat in {seen.seat for seen in lost} - {mark.seat}:
            _log.warning("the primary is %s now, and was %s: the agents are asked what it may lack", mark.seat, seat)
        for seen in {seen for seen in lost if seen.seat == mark.seat}:
            _log.error("the cluster's store went back: it was at %s, and is at %s", seen, mark)
        self._link.mark_primary(mark.seat)
        beyond = max(epoch_min, *(seen.epoch + 1 for seen in lost)) if lost else epoch_min
        epoch = self._row.take(agent, ttl, went_back=went_back or bool(lost), epoch_min=beyond)
        if epoch is not None:
            self._seat = mark.seat
            self._marks.move(StoreMark(epoch, mark.seat, mark.beat if epoch == mark.epoch else 0))
        return epoch

    def renew(self, agent: Address, epoch: int, ttl: float) -> bool:
        """False also when the primary is another database now, or was put back: then the lease is taken anew, with a look at all marks."""
        if self._link.seat() != self._seat:
            return False
        beat = self._row.renew(agent, epoch, ttl, beat_min=self._marks.own().beat)
        if beat:
            self._marks.move(StoreMark(epoch, self._seat, beat))
        self._owed.settle()
        if beat:
            self._given_up.look()
        return bool(beat)

    def home(self) -> MysqlHome:
        """The dags of the database in which the lease was taken, and of no other: what becomes the primary later may lack commits."""
        return self._link.home_at(self._seat)

    def _bring_up_to_date(self) -> None:
        """The tables are of an earlier release. They are changed when no member that answers still needs them as they are."""
        asked = self._link.fellows()
        answers = self._peers().call_all(asked, "agent.status", AskStatus(0.0), StatusView, timeout=_ASK_SECONDS) if asked else {}
        older = [str(agent) for agent, said in answers.items() if isinstance(said, StatusView) and said.agent.version != __version__]
        if older:
            _log.warning("the cluster's tables stay as they are: %s does not run oboe %s yet", ", ".join(older), __version__)
            return
        self._link.create_schema()
        _log.info("the cluster's tables are those of oboe %s now", __version__)

    def _mark_of(self, sight: Sight) -> StoreMark:
        return StoreMark(sight.epoch, self._link.seat(), sight.beat)

    def _ask(self, members: Iterable[Address]) -> list[StoreMark]:
        """Their marks, of those that answer soon."""
        asked = list(members)
        answers = self._peers().call_all(asked, "store.mark", StoreMark(), StoreMark, timeout=_ASK_SECONDS) if asked else {}
        return [answer for answer in answers.values() if isinstance(answer, StoreMark)]

    def _warn(self, maintainer: Address, mark: StoreMark) -> None:
        _log.error("the cluster's store went back: it was at %s, and is at %s; %s is told", self._marks.own(), mark, maintainer)
        try:
            self._peers().call(maintainer, "store.mark", self._marks.own(), StoreMark, timeout=_ASK_SECONDS)
        except OboeError as error:
            _log.warning("%s could not be told that the store went back: %s", maintainer, error)
