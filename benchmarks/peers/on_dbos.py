"""DBOS: a workflow of 9 steps, in SQLite or PostgreSQL."""

from __future__ import annotations

import clock
from dbos import DBOS


@DBOS.step()
def step(chain: str) -> None:
    clock.tick(chain)


@DBOS.workflow()
def chain_of_steps(chain: str) -> None:
    for _ in range(clock.STEPS):
        step(chain)


def main() -> None:
    asked = clock.given()
    url = asked.dsn or f"sqlite:///{asked.directory / 'dbos.sqlite'}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()

    def crowd(names: list[str]) -> None:
        for handle in [DBOS.start_workflow(chain_of_steps, name) for name in names]:
            handle.get_result()

    clock.measure(asked, chain_of_steps, crowd)
    DBOS.destroy()


if __name__ == "__main__":
    main()
