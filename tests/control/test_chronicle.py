"""The agent's log says what became of its dags."""

from __future__ import annotations

import logging

import pytest

from tests.changes.conftest import Place, place
from tests.changes.test_waiting import _id, _over
from tests.spine.host import eventually

__all__ = ["place"]


def test_the_log_tells_when_a_dag_begins_fails_is_asked_again_and_ends(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "oboe.control.chronicle")
    dag = place.start("Flaky trial")
    place.until(dag, _over)
    place.open("well")
    place.cli("task", "retry", _id(dag))
    place.until(dag, lambda now: _over(now) and now.sub_tasks[0].done)
    eventually(lambda: len(caplog.records) >= 4)
    told = [record.getMessage().partition(": ")[::2] for record in caplog.records]
    assert {name for name, _ in told} == {f"dag {_id(dag)} Flaky trial"}
    begins, fails, again, ends = (text for _, text in told)
    assert (begins, fails, again) == ("begins", f"FAILED in 'flaky' ({place.agent.address})", "goes on, RUN")
    assert ends.startswith("SUCCEEDED, RUN, ")
