"""Who maintains the cluster: this agent tries for the lease, renews it, and gives up what hangs on it before anybody else may hold it.

Invariant: between ``gained`` and ``lost`` no other agent holds the lease, by this agent's own monotonic clock: the term counts from before
the request that took or renewed it was sent, and ends a margin early. A guard beside the thread that talks to the database sees to it,
so that a database that hangs cannot stretch the term.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from oboe.domain.errors import OboeError
from oboe.domain.values import Address
from oboe.engine.limits import Limits
from oboe.engine.ports import LeaseRow

__all__ = ["LeaseKeeper", "Maintainer"]

_MARGIN = 0.25
"""Part of the term that is left to the interrupted before it ends for the others."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Maintainer:
    """Who held the lease when last looked, in which epoch, until when (monotonic seconds)."""

    agent: Address
    epoch: int
    until: float


class LeaseKeeper:
    """A thread that looks, and one that guards the term while the lease is held. ``lost`` may be called on either."""

    def __init__(self, row: LeaseRow, *, here: Address, limits: Limits, gained: Callable[[int], None], lost: Callable[[], None]) -> None:
        self._row = row
        self._here = here
        self._limits = limits
        self._gained = gained
        self._lost = lost
        self._changed = threading.Condition()
        self._nudged = False
        self._closed = False
        self._epoch: int | None = None
        self._until = 0.0
        self._seen: Maintainer | None = None
        self._doubt: int | None = None
        """The store went back: it once knew that epoch (0: which is not known). None: it did not, as far as is known."""
        self.trouble = ""
        """Why the lease could not be looked at last time."""
        self._looker = threading.Thread(target=self._look_on, name="lease", daemon=True)
        self._guard = threading.Thread(target=self._guard_on, name="lease-guard", daemon=True)

    def start(self) -> None:
        self._looker.start()
        self._guard.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Let go of it; it runs out by itself."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._let_go("this agent stops")
        self._looker.join(timeout)

    def nudge(self) -> None:
        """Look now."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def distrust(self, epoch: int) -> None:
        """The store is known to have gone back; it once knew that epoch, or 0. Whoever serves it lets go, and a later epoch begins."""
        with self._changed:
            self._doubt = max(self._doubt or 0, epoch)
            self._nudged = True
            self._changed.notify_all()

    @property
    def epoch(self) -> int | None:
        """In which this agent holds the lease; None: it does not."""
        return self._epoch

    def maintainer(self) -> Maintainer | None:
        """Who maintains the cluster, as far as this agent knows; None when the term it saw has ended."""
        seen = self._seen
        return seen if seen is not None and time.monotonic() < seen.until else None

    # The looker

    def _look_on(self) -> None:
        while not self._closed:
            try:
                if self._doubt is not None:
                    self._let_go("its store went back")
                if self._epoch is None:
                    self._try()
                else:
                    self._renew(self._epoch)
                self.trouble = ""
            except OboeError as error:
                self.trouble = error.message
            except Exception as error:  # noqa: BLE001 - whatever the database says, look again
                _log.exception("looking at the lease")
                self.trouble = f"{type(error).__name__}: {error}"
            self._pause()

    def _pause(self) -> None:
        limits = self._limits
        if self._epoch is None:
            seconds = limits.lease_look_seconds * random.uniform(0.9, 1.1)
        else:
            seconds = limits.lease_renew_seconds if not self.trouble else limits.lease_renew_seconds / 6
        with self._changed:
            self._changed.wait_for(lambda: self._nudged or self._closed, seconds)
            self._nudged = False

    def _try(self) -> None:
        """Take it if it is free, or only look who has it."""
        sent, ttl = time.monotonic(), self._limits.lease_seconds
        holder = self._row.holder()
        if holder is not None and holder[2] > 0 and holder[0] != self._here:
            self._seen = Maintainer(holder[0], holder[1], sent + holder[2])
            return
        sent = time.monotonic()
        doubt = self._doubt
        epoch = self._row.take(self._here, ttl, went_back=doubt is not None, epoch_min=0 if doubt is None else doubt + 1)
        if epoch is None:
            return
        with self._changed:
            if self._doubt == doubt:
                self._doubt = None
            if self._closed:
                return
            self._hold(epoch, sent)
            self._epoch = epoch
            self._changed.notify_all()
        _log.info("this agent maintains the cluster, epoch %d", epoch)
        try:
            self._gained(epoch)
        except BaseException:
            # Held, but not served: try again from the start, with the next epoch.
            self._let_go("the cluster's home could not be served")
            raise

    def _renew(self, epoch: int) -> None:
        sent = time.monotonic()
        if not self._row.renew(self._here, epoch, self._limits.lease_seconds):
            self._let_go("another agent holds the lease")
            return
        with self._changed:
            if self._epoch == epoch:
                self._hold(epoch, sent)

    def _hold(self, epoch: int, sent: float) -> None:
        self._until = sent + self._limits.lease_seconds * (1 - _MARGIN)
        self._seen = Maintainer(self._here, epoch, sent + self._limits.lease_seconds)

    # The guard

    def _guard_on(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                left = self._until - time.monotonic() if self._epoch is not None else None
                if left is None or left > 0:
                    self._changed.wait(left)
                    continue
            self._let_go("the lease could not be renewed in time")

    def _let_go(self, why: str) -> None:
        with self._changed:
            if self._epoch is None:
                return
            epoch, self._epoch, self._seen = self._epoch, None, None
        _log.warning("this agent does not maintain the cluster any more (epoch %d): %s", epoch, why)
        self._lost()
