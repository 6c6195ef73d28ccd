"""huey: a pipeline of 9 tasks in SQLite with ``fsync``, and a consumer in the same process."""

from __future__ import annotations

import threading
from functools import reduce
from typing import Any

import clock
from huey import SqliteHuey
from huey.signals import SIGNAL_COMPLETE

_WAIT_SECONDS = 300
_WORKERS = 4


def main() -> None:
    asked = clock.given()
    queue = SqliteHuey(filename=str(asked.directory / "huey.db"), fsync=True, results=False)
    ended = threading.Semaphore(0)

    @queue.task()
    def step(chain: str, number: int) -> None:
        clock.tick(chain)

    @queue.signal(SIGNAL_COMPLETE)
    def complete(signal: str, task: Any, *_: Any) -> None:
        if task.args[1] == clock.STEPS - 1:
            ended.release()

    def run(names: list[str]) -> None:
        for name in names:
            first, *others = [step.s(name, number) for number in range(clock.STEPS)]
            queue.enqueue(reduce(lambda last, task: last.then(task), others, first))
        for _ in names:
            if not ended.acquire(timeout=_WAIT_SECONDS):
                raise SystemExit("pipelines do not end")

    consumer = queue.create_consumer(workers=_WORKERS, periodic=False, initial_delay=0.001, backoff=1.0, max_delay=0.001)
    consumer.start()
    clock.measure(asked, lambda name: run([name]), run)
    consumer.stop(graceful=True)


if __name__ == "__main__":
    main()
