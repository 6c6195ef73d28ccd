"""An order that an agent has taken and that is not over: whether it has begun, and whether its home still wants it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from oboe.domain.messages import Order
from oboe.domain.values import SECOND
from oboe.engine.transcript import Waiting

__all__ = ["Held"]

_PATIENCE_SECONDS = 60.0
"""Of an order that does not say how long its home waits."""


@dataclass(slots=True, eq=False)
class Held:
    """Changed by `oboe.engine.inbox` alone, under the lock of its sub-task."""

    order: Order
    began: bool = False
    resumed: bool = False
    since: float = field(default_factory=time.monotonic)
    """When its home was last known to want it, monotonic seconds; 0: not in this life."""
    asked: bool = False
    """Its home is being asked whether it still wants it."""
    lost_at: float = 0.0
    """When this agent lost the lease under it, monotonic seconds. If it may run again by itself, it is interrupted without an outcome, and
    begins again when its home names it again; 0: that is no more, or never was."""
    lacks: Waiting | None = None
    """Its step is not loaded: it cannot begin in this life of the agent."""

    @property
    def homeless(self) -> bool:
        """Its home has not named it since its lease was lost."""
        return self.since < self.lost_at

    @property
    def doubtful(self) -> bool:
        """Its home may have given it up."""
        patience = self.order.patience / SECOND or _PATIENCE_SECONDS
        return not self.since or time.monotonic() - self.since > patience
