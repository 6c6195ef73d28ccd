"""The description of OCP's API is true: what it allows is read, what it forbids is refused, every answer is as it says.

schemathesis asks a real agent with Basic. ``OBOE_FUZZ`` is how many examples of each operation it makes up beyond its list of edge cases.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from oboe.api.description import together
from oboe.api.ocp.app import PREFIX, ROUTES
from oboe.api.ocp.openapi import document
from oboe.api.ocp.route import Routes
from tests.ocp.site import Client, Site
from tests.ocp.steps import Node

EXAMPLES = int(os.environ.get("OBOE_FUZZ", "4"))

EXEMPT: Mapping[str, str] = {
    "unsupported_method": "OCP knows no 405: a path without such a method is not found",
}
"""Checks that hold oboe against another contract than OCP's."""
OF_STATE: Mapping[str, str] = {
    "positive_data_acceptance": "a state that does not allow an operator is 400 by OCP's table, however well it was asked",
}

schema = schemathesis.openapi.from_dict(together(document(Routes(PREFIX, ROUTES))))
CHECKED = [check for check in CHECKS.get_all() if check.__name__ not in EXEMPT]
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)


@pytest.fixture(scope="module")
def base_url(shared_site: Site) -> Iterator[str]:
    """Whoever asks with made-up credentials is answered at once here; `test_users` holds that elsewhere he is not."""
    with (
        mock.patch("oboe.api.shared.throttle.Throttle.failed", return_value=0.0),
        mock.patch("oboe.control.users._TIME_COST", 1),
        mock.patch("oboe.control.users._MEMORY_KIB", 64),
        mock.patch("oboe.control.users._NOBODY", []),
    ):
        yield f"http://127.0.0.1:{shared_site.address.port}"


@pytest.fixture(scope="module")
def ids(shared_site: Site) -> dict[str, int]:
    """Of a task that is over, and of its sub-task."""
    going = shared_site.run(Node("a"), a="fail").until("FAILED/EXECUTE")
    return {"task": going.id, "subtask": going.sub_id(0)}


@schema.parametrize()
@SETTINGS
def test_every_operation_keeps_what_the_description_promises(case: Any, base_url: str) -> None:
    case.call_and_validate(base_url=base_url, headers=Client.basic("manager"), checks=CHECKED)


@schema.include(path_regex="/instances/{").parametrize()
@SETTINGS
def test_so_does_it_of_a_task_that_there_is(case: Any, base_url: str, ids: dict[str, int]) -> None:
    given = case.path_parameters or {}
    case.path_parameters = {name: ids[name] for name in given}
    checked = [check for check in CHECKED if check.__name__ not in OF_STATE and check.__name__ != "negative_data_rejection"]
    case.call_and_validate(base_url=base_url, headers=Client.basic("manager"), checks=checked)


def test_one_description_has_every_route_of_both_dialects(shared_site: Site) -> None:
    described = json.loads(shared_site.client()("GET", "/openapi.json").body)
    shown = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert {(route.method, PREFIX + re.sub(r":(\w+)", r"{\1}", route.path)) for route in ROUTES} <= shown
    assert {("GET", "/api/v1/task/dag/{id}"), ("POST", "/oboe/v1/users")} <= shown
    names = re.findall(r'"#/components/(\w+)/(\w+)"', json.dumps(described))
    assert all(name in described["components"][kind] for kind, name in names)


def test_the_page_for_people_shows_both(shared_site: Site) -> None:
    html = shared_site.client()("GET", "/docs").body.decode()
    for word in ("/api/v2/tasks/instances/{task}/rollback", "/api/v1/task/dag/{id}", "20003", "Task.NotFound", "expectedVersion"):
        assert word in html


def test_a_name_that_two_apis_describe_is_noticed() -> None:
    one = document(Routes(PREFIX, ROUTES))
    with pytest.raises(ValueError, match="described twice"):
        together(one, one)
