"""procrastinate: 9 jobs in PostgreSQL, each of which defers the next; it has no chains of its own."""

from __future__ import annotations

import asyncio
import threading

import clock
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

_WAIT_SECONDS = 300
_WORKERS = 10


def main() -> None:
    asked = clock.given()
    app = App(connector=PsycopgConnector(conninfo=asked.dsn, min_size=2, max_size=_WORKERS))
    ended = threading.Semaphore(0)

    @app.task(name="step")
    async def step(chain: str, number: int) -> None:
        clock.tick(chain)
        if number + 1 < clock.STEPS:
            await step.defer_async(chain=chain, number=number + 1)
        else:
            ended.release()

    setup = App(connector=SyncPsycopgConnector(conninfo=asked.dsn))
    with setup.open():
        setup.schema_manager.apply_schema()

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=_WORKERS, install_signal_handlers=False, delete_jobs="never")

    threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
    caller = App(connector=SyncPsycopgConnector(conninfo=asked.dsn))
    with caller.open():
        first = caller.configure_task("step")

        def run(names: list[str]) -> None:
            first.batch_defer(*({"chain": name, "number": 0} for name in names))
            for _ in names:
                if not ended.acquire(timeout=_WAIT_SECONDS):
                    raise SystemExit("jobs do not end")

        clock.measure(asked, lambda name: run([name]), run)


if __name__ == "__main__":
    main()
