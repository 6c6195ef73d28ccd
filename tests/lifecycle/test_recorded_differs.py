"""The comparison with recordings sees whatever differs, but for what a row of the wanted differences exempts."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.differences import ROWS
from tests.lifecycle.recorded import LINES, PLAIN, Cast, compared, dag_of, wanted

DAGS = [
    wanted(dag_of("20_scaleout_existing_zone.jsonl", name="Cluster scale out")),
    wanted(dag_of("20_scaleout_existing_zone.jsonl", name="Local scale out")),
    wanted(dag_of("31_stop_start.jsonl", name="Stop OB")),
    wanted(dag_of("42_scale_in_cancel_pass.jsonl", name="Cluster scale in", operator="PASS")),
]
MASKED = ("id", "dag_id", "node_id", "task_id", "start_time", "end_time", "ip", "port")
OTHER: dict[type, Any] = {int: 77, bool: 77, str: "something else", type(None): [], dict: None, list: None}


def planted(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Copies that differ in one place: another value, a member less or elsewhere, an item less or twice."""
    if isinstance(value, dict):
        for name in value:
            yield (*path, name), {key: each for key, each in value.items() if key != name}
            for at, changed in planted(value[name], (*path, name)):
                yield at, {key: changed if key == name else each for key, each in value.items()}
        if len(value) > 1:
            first = next(iter(value))
            yield (*path, first), {**{key: each for key, each in value.items() if key != first}, first: value[first]}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield (*path, place), value[:place] + value[place + 1 :]
            yield (*path, place), [*value[: place + 1], copy.deepcopy(item), *value[place + 1 :]]
            for at, changed in planted(item, (*path, place)):
                yield at, [*value[:place], changed, *value[place + 1 :]]
    if path:
        yield path, OTHER[type(value)]


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag["name"])
def test_a_planted_difference_is_seen(dag: dict[str, Any]) -> None:
    cast = Cast()
    assert compared(cast, dag, dag) == []
    seen = 0
    for path, changed in planted(dag):
        if path[-1] in MASKED or _exempt(dag, path):
            continue
        assert compared(cast, dag, changed), path
        seen += 1
    assert seen > 100


def _exempt(dag: dict[str, Any], path: tuple[str | int, ...]) -> bool:
    """Of the lines that every host has its own of."""
    if len(path) < 2 or path[-2] != "task_logs":
        return False
    line = dag["nodes"][path[1]]["sub_tasks"][path[3]]["task_logs"][path[-1]]
    return re.match(LINES[0].line, line) is not None


def test_what_is_exempt_in_one_place_is_not_in_another() -> None:
    cast, stop = Cast(), wanted(dag_of("31_stop_start.jsonl", name="Stop observer", max_stage=2))
    more = copy.deepcopy(stop)
    more["nodes"][1]["sub_tasks"][0]["task_logs"] += ["Get observer Pid"]
    assert compared(cast, stop, more)
    assert compared(cast, stop, more, [PLAIN]) == []
    more["nodes"][0]["sub_tasks"][0]["task_logs"] += ["Get observer Pid"]
    assert compared(cast, stop, more, [PLAIN])


def test_every_exempt_line_is_so_by_a_row_of_the_wanted_differences() -> None:
    assert {each.row for each in LINES} <= set(ROWS)
