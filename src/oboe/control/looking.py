"""Looking on while a dag changes: from whichever agent, without asking again and again.

An agent that serves the dag's home hears of every change and every line. Any other asks that one and waits for its answer; while it cannot
be asked, the home is read instead, with a pause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

import msgspec

from oboe.control.reading import ASK_SECONDS, Reading
from oboe.control.views import DagView, Ref, Seen
from oboe.domain.errors import OboeError
from oboe.domain.values import Address, HomeKind

if TYPE_CHECKING:
    from oboe.remote.client import Peers

__all__ = ["LookAt", "Looking"]

WAIT_SECONDS_MAX = 5.0
_PAUSE_SECONDS = 0.5
"""Between two reads of a home that nobody who serves it can be asked about."""


class LookAt(msgspec.Struct):
    """``dag.look``: a dag of a home that the answerer serves, once it has changed since, or after so many seconds as it stands."""

    home: int
    number: int
    key: str
    version: int
    line: int
    seconds: float


class Homes(Protocol):
    """The engine, as far as looking on needs it."""

    def serves_cluster(self) -> bool: ...
    def watching(self, home: HomeKind, key: str) -> AbstractContextManager[threading.Event]: ...


class Looking:
    """The use case, and what other agents ask for it."""

    def __init__(
        self, here: Address, reading: Reading, engine: Homes, peers: Callable[[], Peers], maintainer: Callable[[], Address | None]
    ) -> None:
        self._here = here
        self._reading = reading
        self._engine = engine
        self._peers = peers
        self._maintainer = maintainer

    def look(self, ref: Ref, seen: Seen, seconds: float) -> DagView:
        """The dag with the lines after ``seen.line``, once anything is new; after ``seconds`` (at most 5) as it stands.

        Raises what `Reading.dag` does. A home that is away is no reason to end: the next look may find it."""
        wanted = LookAt(int(ref.home), ref.number, seen.key, seen.version, seen.line, min(max(seconds, 0.0), WAIT_SECONDS_MAX))
        if ref.home is HomeKind.AGENT and ref.agent != self._here:
            assert ref.agent is not None
            self._reading.check_owner(ref.agent)
            return self._ask(ref.agent, wanted)
        if ref.home is HomeKind.AGENT or self._engine.serves_cluster():
            return self.here(wanted)
        maintainer = self._maintainer() if seen.key else None
        if maintainer is not None and maintainer != self._here:
            try:
                return self._ask(maintainer, wanted)
            except OboeError:
                pass  # it may be gone, and the lease with it; what the home says is as good
        return self._read_until_new(wanted)

    def here(self, wanted: LookAt) -> DagView:
        """Of a home that this agent serves. `Refused` ``agent.not_maintainer``."""
        if not wanted.key:
            return self._read(wanted)
        with self._engine.watching(HomeKind(wanted.home), wanted.key) as told:
            view = self._read(wanted)
            if _is_new(view, wanted) or not told.wait(min(wanted.seconds, WAIT_SECONDS_MAX)):
                return view
            return self._read(wanted)

    def _read(self, wanted: LookAt) -> DagView:
        return self._reading.since(HomeKind(wanted.home), wanted.number, wanted.line)

    def _read_until_new(self, wanted: LookAt) -> DagView:
        deadline = time.monotonic() + wanted.seconds
        while True:
            view = self._read(wanted)
            left = deadline - time.monotonic()
            if _is_new(view, wanted) or left <= 0:
                return view
            time.sleep(min(left, _PAUSE_SECONDS))

    def _ask(self, agent: Address, wanted: LookAt) -> DagView:
        return self._peers().call(agent, "dag.look", wanted, DagView, timeout=wanted.seconds + ASK_SECONDS)


def _is_new(view: DagView, wanted: LookAt) -> bool:
    return view.dag.version != wanted.version or view.dag.key != wanted.key or bool(view.logs)
