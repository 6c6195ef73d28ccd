"""Opens the header of a request on two processors, while no other request needs one.

RSA is most of what a request costs, and runs outside the interpreter lock. A client that asks one thing after another waits for it, so
a second thread begins with what the answer will need, where something can be begun, and then takes blocks that are left. How long it takes
tells nothing about what is opened: each block is decrypted, whatever came of the others.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from oboe.remote import secrecy
from oboe.remote.secrecy import Opened, PrivateKey

__all__ = ["Ahead", "Opener"]

Ahead = Callable[[], None]
"""Work for an answer that nobody has a right to yet: it changes nothing."""

WAIT_SECONDS = 5.0
"""For the block that the second thread has begun; then it is done here."""
IDLE_SECONDS = 10.0
"""Then the second thread ends; the next request starts another."""
_log = logging.getLogger(__name__)


class _Shared:
    """The blocks of one text, taken one by one by whoever has time."""

    def __init__(self, private_key: PrivateKey, blocks: Sequence[bytes], ahead: Ahead | None) -> None:
        self._private_key = private_key
        self._blocks = blocks
        self._ahead = ahead
        self._left: Iterator[int] = iter(range(len(blocks)))
        self.opened: list[Opened | None] = [None] * len(blocks)
        """None: not yet."""
        self.helped = threading.Lock()
        """Held until the second thread has nothing more to do."""
        self.helped.acquire()

    def work(self) -> None:
        for at in self._left:  # `next` of a range is one step of the interpreter: no place is taken twice
            self.open(at)

    def open(self, at: int) -> None:
        self.opened[at] = secrecy.open_block(self._private_key, self._blocks[at])

    def help(self) -> None:
        """On the second thread."""
        try:
            if self._ahead is not None:
                self._ahead()
            self.work()
        except Exception:  # noqa: BLE001  the thread goes on; whoever asked meets it himself
            _log.exception("work ahead failed unexpectedly")
        finally:
            self.helped.release()


class Opener:
    """Thread-safe. Its second thread is started when it is needed, and ends when it has not been for a while."""

    def __init__(self, processors: int | None = None) -> None:
        self._lock = threading.Lock()
        self._several = (processors or os.cpu_count() or 1) > 1
        self._jobs: SimpleQueue[_Shared] | None = None
        self._busy = False

    def open_blocks(self, private_key: PrivateKey, blocks: Sequence[bytes], ahead: Ahead | None = None) -> list[Opened]:
        """`secrecy.OpenBlocks`. ``ahead`` is carried out if there is a thread for it, and not waited for."""
        shared = _Shared(private_key, blocks, ahead)
        if not self._hand_over(shared):
            return secrecy.open_blocks(private_key, blocks)
        shared.work()
        if None in shared.opened:
            shared.helped.acquire(timeout=WAIT_SECONDS)
            for at, opened in enumerate(shared.opened):
                if opened is None:
                    shared.open(at)
        return [opened for opened in shared.opened if opened is not None]

    def _hand_over(self, shared: _Shared) -> bool:
        """Whether the second thread has taken it; it may still be at another, whose work ahead hangs."""
        with self._lock:
            if self._busy or not self._several:
                return False
            if self._jobs is None:
                self._jobs = SimpleQueue()
                threading.Thread(target=self._help, args=(self._jobs,), name="opener", daemon=True).start()
            self._busy = True
            self._jobs.put(shared)
            return True

    def _help(self, jobs: SimpleQueue[_Shared]) -> None:
        while True:
            try:
                shared = jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if jobs.empty():
                        self._jobs = None
                        return
                continue
            shared.help()
            self._busy = False
            del shared  # a thread that waits keeps no request alive
