"""The lease row: which agent maintains the cluster, until when by the database's clock, in which epoch.

Invariants: the epoch grows at every change of holder, in the transaction in which the cluster's counters jump, so that numbers given by
a holder that the store has forgotten are never given again; an epoch is had by one agent.
"""

from __future__ import annotations

import time

from oboe.domain.values import Address
from oboe.store.database import Session
from oboe.store.mysql.connection import Connect, Mysql
from oboe.store.regress import begin_recall
from oboe.store.statements import ADD_TO_COUNTERS

__all__ = ["ID_JUMP", "Lease"]

ID_JUMP = 1000

_NOW = "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)"
_HOLD = "SELECT ip, port, epoch, expires_at - {now} FROM lease WHERE id = 1 FOR UPDATE".replace("{now}", _NOW)
_HOLDER = "SELECT ip, port, epoch, expires_at - {now} FROM lease WHERE id = 1".replace("{now}", _NOW)
_TAKE = "UPDATE lease SET ip = ?, port = ?, epoch = ?, expires_at = {now} + ? WHERE id = 1".replace("{now}", _NOW)
_RENEW = "UPDATE lease SET expires_at = {now} + ? WHERE id = 1 AND ip = ? AND port = ? AND epoch = ?".replace("{now}", _NOW)
_RELEASE = "UPDATE lease SET ip = '', port = 0, expires_at = 0 WHERE id = 1 AND ip = ? AND port = ? AND epoch = ?"


class Lease:
    """`oboe.engine.ports.LeaseRow`. `TryAgain` when the database is away or busy."""

    def __init__(self, source: Connect | Mysql) -> None:
        self._database = Mysql.of(source)

    def take(self, agent: Address, ttl: float, *, went_back: bool = False, epoch_min: int = 0) -> int | None:
        """The epoch held, if the lease was free, expired, or this agent's already (then the epoch stays); None while another has it.

        Every new epoch but the first moves the ids on: the first leaves them dense from 1.

        ``epoch_min`` is beyond what anybody knows of: a store that ``went_back`` must not give an epoch again."""

        def work(session: Session) -> int | None:
            ((ip, port, epoch, left),) = session.rows(_HOLD)
            mine = (ip, port) == (agent.ip, agent.port)
            if ip and not mine and left > 0:
                return None
            taken = max(epoch if mine and not went_back else epoch + 1, epoch_min)
            if went_back:
                begin_recall(session, taken, time.time_ns())
            session.run(_TAKE, (agent.ip, agent.port, taken, int(ttl * 1e6)))
            if epoch and taken != epoch:
                session.run(ADD_TO_COUNTERS, (ID_JUMP,))
            return int(taken)

        return self._database.write(work)

    def renew(self, agent: Address, epoch: int, ttl: float) -> bool:
        """False when another agent or epoch has it. One that ran out, and that nobody took, is renewed."""
        values = (int(ttl * 1e6), agent.ip, agent.port, epoch)
        return self._database.write(lambda session: session.run(_RENEW, values)) == 1

    def holder(self) -> tuple[Address, int, float] | None:
        """Who holds it, in which epoch, for how many seconds more (negative: expired)."""
        ((ip, port, epoch, left),) = self._database.read(lambda session: session.rows(_HOLDER))
        return (Address(ip, port), int(epoch), left / 1e6) if ip else None

    def release(self, agent: Address, epoch: int) -> None:
        """Let go of it, so that another need not wait; nothing when it is not held."""
        self._database.write(lambda session: session.run(_RELEASE, (agent.ip, agent.port, epoch)))
