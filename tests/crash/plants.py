"""Faults that can be planted into the agents of a run: what is not durable yet is acknowledged, or a lost answer is taken for one.

Each is noticed by a kill between the two; ``test_crash.py`` says where.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from oboe.domain.errors import Unreachable
from oboe.domain.messages import Phase, Verdict
from oboe.engine.server import Engine
from tests.crash.post import Courier

__all__ = ["PLANTS"]

_LATE_SECONDS = 1.0
"""Long enough for the kill to come first on a busy machine."""

Plant = Callable[[Engine, Courier], None]


def _late(work: Callable[..., Any], *given: Any) -> None:
    timer = threading.Timer(_LATE_SECONDS, work, given)
    timer.daemon = True
    timer.start()


def _orders_are_written_late(engine: Engine, courier: Courier) -> None:
    def order(asked: Any) -> None:
        engine._inbox._check_recovered()
        _late(write, asked)

    write, engine.order = engine.order, order  # type: ignore[method-assign]


def _reports_are_saved_late(engine: Engine, courier: Courier) -> None:
    def report(home: Any, told: Any) -> Verdict:
        if home.agent not in (None, engine._here):
            return Verdict.NOT_MINE
        _late(save, home, told)
        return Verdict.HEARD

    save, engine.report = engine.report, report  # type: ignore[method-assign]


def _ends_are_closed_early(engine: Engine, courier: Courier) -> None:
    def report(home: Any, maintainer: Any, told: Any) -> Verdict:
        if told.phase is Phase.ENDED:
            engine._inbox.acknowledged((told.fence,))
        return send(home, maintainer, told)

    send, courier.report = courier.report, report  # type: ignore[method-assign]


def _orders_are_sent_once(engine: Engine, courier: Courier) -> None:
    def order(agent: Any, asked: Any) -> None:
        try:
            send(agent, asked)
        except Unreachable as error:
            if not isinstance(error.__cause__, EOFError | ConnectionResetError):  # it did not reach anybody
                raise

    send, courier.order = courier.order, order  # type: ignore[method-assign]


PLANTS: Mapping[str, Plant] = {
    "orders are acknowledged before they are written down": _orders_are_written_late,
    "reports are acknowledged before they are saved": _reports_are_saved_late,
    "ends count as acknowledged before they are": _ends_are_closed_early,
    "orders whose answer was lost count as acknowledged": _orders_are_sent_once,
}
