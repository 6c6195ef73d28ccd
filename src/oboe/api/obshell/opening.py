"""Opens the headers of requests, on two processors while there is only one to open.

RSA is most of what a request costs, and runs outside the interpreter lock. A client that asks one thing after another waits for it, so
a second thread takes every other block while nobody else needs that processor. How long it takes tells nothing about what is opened: each
block is decrypted, whatever came of the others.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from queue import SimpleQueue

from oboe.remote import secrecy
from oboe.remote.secrecy import Opened, PrivateKey

__all__ = ["Opener"]

WAIT_SECONDS = 5.0
"""For the block that the second thread has begun; then it is done here."""


class _Shared:
    """The blocks of one text, taken one by one by whoever has time."""

    def __init__(self, private_key: PrivateKey, blocks: Sequence[bytes]) -> None:
        self._private_key = private_key
        self._blocks = blocks
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


class Opener:
    """Thread-safe. Its second thread is started when it is first needed."""

    def __init__(self, processors: int | None = None) -> None:
        self._lock = threading.Lock()
        self._at_work = 0
        self._several = (processors or os.cpu_count() or 1) > 1
        self._jobs: SimpleQueue[_Shared] | None = None

    @property
    def idle(self) -> bool:
        """No header is being opened."""
        return self._at_work == 0

    def open_blocks(self, private_key: PrivateKey, blocks: Sequence[bytes]) -> list[Opened]:
        """`secrecy.OpenBlocks`."""
        with self._lock:
            self._at_work += 1
            alone = self._several and self._at_work == 1 and len(blocks) > 1
        try:
            return self._together(private_key, blocks) if alone else secrecy.open_blocks(private_key, blocks)
        finally:
            with self._lock:
                self._at_work -= 1

    def _together(self, private_key: PrivateKey, blocks: Sequence[bytes]) -> list[Opened]:
        shared = _Shared(private_key, blocks)
        self._second().put(shared)
        shared.work()
        if None in shared.opened:
            shared.helped.acquire(timeout=WAIT_SECONDS)
            for at, opened in enumerate(shared.opened):
                if opened is None:
                    shared.open(at)
        return [opened for opened in shared.opened if opened is not None]

    def _second(self) -> SimpleQueue[_Shared]:
        with self._lock:
            if self._jobs is None:
                self._jobs = SimpleQueue()
                threading.Thread(target=_help, args=(self._jobs,), name="opener", daemon=True).start()
            return self._jobs


def _help(jobs: SimpleQueue[_Shared]) -> None:
    while True:
        shared = jobs.get()
        try:
            shared.work()
        finally:
            shared.helped.release()
        del shared
