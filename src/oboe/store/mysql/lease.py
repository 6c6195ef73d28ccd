"""The lease row: which agent maintains the cluster, until when by the database's clock, in which epoch.

Invariants: the end of the lease never falls in one epoch. The epoch grows at every change of holder, in the transaction in which the
cluster's counters jump, so that numbers given by a holder that the store has forgotten are never given again; one agent has an epoch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from oboe.domain.values import Address
from oboe.store.database import Session
from oboe.store.mysql.connection import Connect, Mysql
from oboe.store.regress import begin_recall
from oboe.store.statements import ADD_TO_COUNTERS

__all__ = ["ID_JUMP", "Lease", "Sight"]

ID_JUMP = 1000

_NOW = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
_HOLD = "SELECT ip, port, epoch, expires_at, {now} FROM lease WHERE id = 1 FOR UPDATE".replace("{now}", _NOW)
_LOOK = "SELECT ip, port, epoch, expires_at, {now} FROM lease WHERE id = 1".replace("{now}", _NOW)
_TAKE = "UPDATE lease SET ip = ?, port = ?, epoch = ?, expires_at = ? WHERE id = 1"
_RESERVE = "UPDATE lease SET ip = ?, port = ?, expires_at = {now} + ? WHERE id = 1 AND epoch = 0".replace("{now}", _NOW)
_RENEW = (
    "UPDATE lease SET expires_at = LAST_INSERT_ID(GREATEST({now} + ?, expires_at + 1)) "
    "WHERE id = 1 AND ip = ? AND port = ? AND epoch = ? AND expires_at >= ?"
).replace("{now}", _NOW)
_RELEASE = "UPDATE lease SET ip = '', port = 0 WHERE id = 1 AND ip = ? AND port = ? AND epoch = ?"


@dataclass(frozen=True, slots=True)
class Sight:
    """The row as it stands: who holds it, in which epoch, for how many seconds more, until when by the database's clock (microseconds)."""

    agent: Address | None
    epoch: int
    left: float
    beat: int


class Lease:
    """`oboe.engine.ports.LeaseRow`. `TryAgain` when the database is away or busy."""

    def __init__(self, source: Connect | Mysql) -> None:
        self._database = Mysql.of(source)

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        """The epoch held, if the lease was free, expired, or this agent's already (then the epoch stays); None while another has it.

        Every new epoch but the first moves the ids on: the first leaves them dense from 1.

        ``epoch_min`` is beyond what anybody knows of: a store that ``went_back`` must not give an epoch again."""

        def work(session: Session) -> int | None:
            ((ip, port, epoch, end, now),) = session.rows(_HOLD)
            mine = (ip, port) == (agent.ip, agent.port)
            if ip and not mine and end > now:
                return None
            taken = max(epoch if mine and epoch and not went_back else epoch + 1, epoch_min)
            until = int(now) + int(ttl * 1e6)
            if went_back:
                begin_recall(session, taken, time.time_ns())
            session.run(_TAKE, (agent.ip, agent.port, taken, max(until, int(end) + 1) if taken == epoch else until))
            if epoch and taken != epoch:
                session.run(ADD_TO_COUNTERS, (ID_JUMP,))
            return int(taken)

        return self._database.write(work)

    def reserve(self, agent: Address, ttl: float) -> None:
        """Before the first epoch: for so long nobody but this agent begins it."""
        self._database.write(lambda session: session.run(_RESERVE, (agent.ip, agent.port, int(ttl * 1e6))))

    def renew(self, agent: Address, epoch: int, ttl: float, *, beat_min: int = 0) -> int:
        """The new end; 0 when another agent or epoch has it, or when it ended before ``beat_min``: then the store was put back.

        One that ran out, and that nobody took, is renewed. This is all that an idle cluster's store is asked, so it is one statement."""
        return self._database.change(_RENEW, (int(ttl * 1e6), agent.ip, agent.port, epoch, beat_min))

    def look(self) -> Sight:
        ((ip, port, epoch, end, now),) = self._database.read(lambda session: session.rows(_LOOK))
        return Sight(Address(ip, port) if ip else None, int(epoch), (end - now) / 1e6, int(end))

    def holder(self) -> tuple[Address, int, float] | None:
        """Who holds it, in which epoch, for how many seconds more (negative: expired)."""
        sight = self.look()
        return (sight.agent, sight.epoch, sight.left) if sight.agent is not None else None

    def release(self, agent: Address, epoch: int) -> None:
        """Let go of it, so that another need not wait; nothing when it is not held."""
        self._database.write(lambda session: session.run(_RELEASE, (agent.ip, agent.port, epoch)))
