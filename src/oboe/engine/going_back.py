"""What a scheduler must know of a store that may go back: which dags wait for facts, how long, and how it shows that it went back.

A dag that was last saved in an epoch before the one in which the store went back has not been told. A live dag that the store knows in an
older version, or does not know any more, is the sign that it just did.
"""

from __future__ import annotations

from collections.abc import Callable

from oboe.domain import events
from oboe.domain.errors import TryAgain
from oboe.domain.model import Dag
from oboe.domain.records import Regress
from oboe.domain.values import SECOND, Address

__all__ = ["GoingBack"]


class GoingBack:
    """For the cluster's home, in one epoch."""

    def __init__(
        self,
        regress: Regress,
        *,
        members: Callable[[], tuple[Address, ...]],
        distrust: Callable[[str, int], None],
        patience_seconds: float,
    ) -> None:
        """``distrust`` hears why the store is believed to have gone back, and an epoch that it once knew, or 0."""
        self._epoch = regress.epoch
        self._members = members
        self._distrust = distrust
        self._patience = int(patience_seconds * SECOND)
        self.seen = False
        """It went back while it was served: nothing more may be written in this epoch."""

    def overdue(self, dag: Dag, now: int) -> tuple[events.Event, ...]:
        """What happens to this dag before anything else; nothing, but after the store went back."""
        if dag.epoch < self._epoch:
            return (events.WentBack(self._members()),)
        if dag.recalled_at and now >= self.patience_ends(dag):
            return (events.PatiencePassed(),)
        return ()

    def compare(self, known: Dag, found: Dag | None) -> None:
        """A dag as it was last saved, and as the store has it now. `TryAgain` when the store has lost something."""
        if found is None or found.version < known.version:
            now = "does not know it any more" if found is None else f"has version {found.version}"
            self._saw(f"{known.name} (dag {known.id}) was saved in version {known.version}, and the store {now}", 0)

    def hear(self, epoch: int, mine: int) -> None:
        """An agent speaks of an attempt of that epoch. `TryAgain` when it is later than the one of now."""
        if epoch > mine:
            self._saw(f"an agent knows epoch {epoch}, and the store is in epoch {mine}", epoch)

    def _saw(self, why: str, epoch: int) -> None:
        if not self.seen:
            self.seen = True
            self._distrust(why, epoch)
        raise TryAgain("store.went_back", f"the cluster's store went back: {why}")

    def patience_ends(self, dag: Dag) -> int:
        """When a dag that waits for facts waits no longer."""
        return dag.recalled_at + self._patience
