"""Prefect: a flow of 9 tasks whose results are persisted, with a server of its own on SQLite (``PREFECT_API_URL``)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import clock
from prefect import flow, task

_CALLERS = 16


@task(persist_result=True, log_prints=False)
def step(chain: str, number: int) -> int:
    clock.tick(chain)
    return number


@flow(persist_result=True, log_prints=False)
def chain_of_steps(chain: str) -> None:
    for number in range(clock.STEPS):
        step(chain, number)


def crowd(names: list[str]) -> None:
    with ThreadPoolExecutor(_CALLERS) as pool:
        list(pool.map(chain_of_steps, names))


if __name__ == "__main__":
    clock.measure(clock.given(), chain_of_steps, crowd)
