"""How a step leads a dag on another agent: a key that never changes, calls that are tried again, a watch that can be interrupted."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from oboe.domain.errors import StepFailed, TryAgain, Unreachable
from oboe.domain.messages import Fence
from oboe.domain.values import Address
from oboe.engine.patience import Patience
from oboe.engine.ports import Children
from oboe.engine.transcript import Waiting
from oboe.kit.run import Child, ChildStatus

if TYPE_CHECKING:
    from oboe.engine.attempt import Attempt

__all__ = ["REACH_SECONDS", "child_key", "reach", "watch"]

T = TypeVar("T")

REACH_SECONDS = 30.0
"""How long a call to another agent is repeated before the step fails with its reason."""
_PAUSE_SECONDS = 0.5
_POLL_SECONDS = 20.0
"""How long one long-poll lasts."""


def child_key(fence: Fence, name: str) -> str:
    """The key of the dag that this attempt leads under that name: 128 bits, 32 hex digits, the same whenever it is asked."""
    text = f"{fence.dag_key}\0{fence.sub_task}\0{fence.epoch}\0{fence.attempt}\0{name}"
    return hashlib.blake2b(text.encode(), digest_size=16, person=b"oboe led dag").hexdigest()


def reach(
    action: Callable[[], T], *, patience: Patience, pause: Callable[[float], None], trouble: Callable[[str, int], None], agent: Address
) -> T:
    """Do it; while the agent is away or busy, again for a while: ``trouble(why, tries)``. All that is done this way is repeatable."""
    for tries in itertools.count(1):
        try:
            return action()
        except (Unreachable, TryAgain) as error:
            if patience.left() <= 0:
                raise Unreachable(error.code, f"{agent}: {error.message}", hint=error.hint) from error
            trouble(f"an answer from {agent}: {error.message}", tries)
        pause(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


class _Watcher:
    """Long-polls in a thread of its own, so that the step's thread can be interrupted; tells it through its condition."""

    def __init__(self, children: Children, child: Child, changed: threading.Condition) -> None:
        self._children = children
        self._child = child
        self._changed = changed
        self.status: ChildStatus | None = None
        self.failure: Exception | None = None
        self.trouble = ""
        """Why the agent did not answer last time."""
        self.closed = False

    def run(self) -> None:
        known = -1
        while not self.closed:
            try:
                status = self._children.status(self._child, known, _POLL_SECONDS)
            except (Unreachable, TryAgain) as error:
                self._tell(trouble=error.message)
                with self._changed:
                    self._changed.wait_for(lambda: self.closed, _PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - carried over to the step's thread, which raises it
                self._tell(failure=error)
                return
            else:
                if status.version > known:
                    known = status.version
                self._tell(status=status)

    def _tell(self, *, status: ChildStatus | None = None, trouble: str = "", failure: Exception | None = None) -> None:
        with self._changed:
            self.status = status or self.status
            self.trouble, self.failure = trouble, failure
            self._changed.notify_all()


def watch(attempt: Attempt, children: Children, child: Child, until: Callable[[ChildStatus], T | None], *, why: str, timeout: float) -> T:
    """Follow a led dag until ``until`` answers something truthy. Its agent may be away for a while, up to ``timeout``."""
    watcher = _Watcher(children, child, attempt.changed)
    patience = attempt.patience(timeout)
    seen: ChildStatus | None = None
    thread = threading.Thread(target=watcher.run, name=f"watch-{child.dag_key[:8]}", daemon=True)
    thread.start()
    try:
        while True:
            attempt.check()
            if watcher.failure is not None:
                raise watcher.failure
            if watcher.status is not None and watcher.status is not seen:
                seen = watcher.status
                found = until(seen)
                if found:
                    return found
            left = patience.left()
            text = f"{why} ({child.agent} does not answer: {watcher.trouble})" if watcher.trouble else why
            if left <= 0:
                raise StepFailed("wait.timeout", f"gave up after {patience.seconds:g} s: {text}")
            attempt.transcript.waiting = Waiting(text, patience.since, patience.until, 1)
            with attempt.changed:
                if watcher.status is seen and watcher.failure is None and not attempt.told():
                    attempt.changed.wait(left)
    finally:
        attempt.transcript.waiting = None
        with attempt.changed:
            watcher.closed = True
            attempt.changed.notify_all()
