"""The methods of the vendor's client library whose routes oboe has: how a test calls each, and what must come of it.

`tools/conformance_docs.py` makes the second table of ``docs/conformance.md`` from this; `test_methods` calls them all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from obshell.service.client_v1 import ClientV1

__all__ = ["METHODS", "WITHOUT", "Method"]


@dataclass(frozen=True)
class Method:
    """``call`` is given the client and the id of a held dag; ``asked`` is the operation it leads to, or what it shows."""

    name: str
    route: str
    call: Callable[[ClientV1, str], Any]
    asked: str = ""
    shows: Any = None
    waits: bool = False

    @property
    def test(self) -> str:
        return f"test_methods.py::test_a_method_does_what_it_says[{self.name}]"


NAME = "Cluster scale in"
"""Of the dag that the tests hold, and that every operation makes."""


def _dag(found: Any) -> Any:
    return found.name


def _names(found: Any) -> Any:
    return [each.name for each in found]


METHODS = (
    Method("join", "POST /api/v1/agent/join", lambda sdk, _: _dag(sdk.join(sdk.host, sdk.port, "zone1")), "join", NAME, True),
    Method("remove", "POST /api/v1/agent/remove", lambda sdk, _: _dag(sdk.remove("10.0.0.3", 2886)), "remove", NAME, True),
    Method(
        "config_observer",
        "POST /api/v1/observer/config",
        lambda sdk, _: _dag(sdk.config_observer({"mysql_port": 2881}, "SERVER", ["127.0.0.1:2886"])),
        "configure_observer",
        NAME,
        True,
    ),
    Method(
        "config_obcluster",
        "POST /api/v1/obcluster/config",
        lambda sdk, _: _dag(sdk.config_obcluster("one", 7, "pw1")),
        "configure_cluster",
        NAME,
        True,
    ),
    Method("init", "POST /api/v1/ob/init", lambda sdk, _: _dag(sdk.init(True, True, "pp")), "init", NAME, True),
    Method("start", "POST /api/v1/ob/start", lambda sdk, _: _dag(sdk.start("ZONE", ["zone1"])), "start", NAME, True),
    Method("stop", "POST /api/v1/ob/stop", lambda sdk, _: _dag(sdk.stop("SERVER", ["127.0.0.1:2886"], force=True)), "stop", NAME, True),
    Method(
        "scale_out",
        "POST /api/v1/ob/scale_out",
        lambda sdk, _: _dag(sdk.scale_out("10.0.0.3", 2886, "zone3", {"memory_limit": "2G"}, "tp")),
        "scale_out",
        NAME,
        True,
    ),
    Method("scale_in", "POST /api/v1/ob/scale_in", lambda sdk, _: _dag(sdk.scale_in("10.0.0.3", 2886)), "scale_in", NAME, True),
    Method("delete_zone", "DELETE /api/v1/zone/:name", lambda sdk, _: _dag(sdk.delete_zone("zone3")), "delete_zone", NAME, True),
    Method("set_agent_password", "POST /api/v1/agent/password", lambda sdk, _: sdk.set_agent_password("ap"), "set_agent_password"),
    Method("get_dag", "GET /api/v1/task/dag/:id", lambda sdk, dag: _dag(sdk.get_dag(dag)), "", NAME),
    Method("operate_dag", "POST /api/v1/task/dag/:id", lambda sdk, dag: sdk.operate_dag(dag, "RETRY"), "operate", True, True),
    Method("get_node", "GET /api/v1/task/node/:id", lambda sdk, dag: _dag(sdk.get_node(dag[:1] + "90")), "", "the first node"),
    Method("get_sub_task", "GET /api/v1/task/sub_task/:id", lambda sdk, dag: _dag(sdk.get_sub_task(dag[:1] + "95")), "", "the first node"),
    Method(
        "get_agent_last_maintenance_dag",
        "GET /api/v1/task/dag/maintain/agent",
        lambda sdk, _: _dag(sdk.get_agent_last_maintenance_dag()),
        "",
        NAME,
    ),
    Method(
        "get_all_agent_last_maintenance_dag",
        "GET /api/v1/task/dag/maintain/agents",
        lambda sdk, _: _names(sdk.get_all_agent_last_maintenance_dag()),
        "",
        [NAME],
    ),
    Method(
        "get_ob_last_maintenance_dag",
        "GET /api/v1/task/dag/maintain/ob",
        lambda sdk, _: sdk.get_ob_last_maintenance_dag(),
        "newest_cluster_maintenance",
        [],
    ),
    Method("get_unfinished_dags", "GET /api/v1/task/dag/unfinish", lambda sdk, _: _names(sdk.get_unfinished_dags()), "", [NAME, NAME]),
    Method(
        "get_agent_unfinished_dag", "GET /api/v1/task/dag/agent/unfinish", lambda sdk, _: _names(sdk.get_agent_unfinished_dag()), "", [NAME]
    ),
    Method(
        "get_cluster_unfinished_dag",
        "GET /api/v1/task/dag/ob/unfinish",
        lambda sdk, _: _names(sdk.get_cluster_unfinished_dag()),
        "",
        [NAME],
    ),
    Method("get_ob_info", "GET /api/v1/ob/info", lambda sdk, _: sdk.get_ob_info().cluster.cluster_name, "cluster", "one"),
    Method("get_status", "GET /api/v1/status", lambda sdk, _: sdk.get_status().ob_state, "status", 3),
    Method("get_info", "GET /api/v1/info", lambda sdk, _: sdk.get_info().identity, "", "CLUSTER AGENT"),
    Method("wait_dag_succeed", "GET /api/v1/task/dag/:id", lambda sdk, dag: _dag(sdk.wait_dag_succeed(dag)), "", NAME),
    Method("agg_create_cluster", "join, config_*, init", lambda sdk, _: _create(sdk), "init", None),
    Method("agg_clear_uninitialized_agent", "maintain/agent, remove", lambda sdk, _: _clear(sdk), "remove", True),
)


def _create(sdk: ClientV1) -> Any:
    return sdk.agg_create_cluster({f"{sdk.host}:{sdk.port}": {"zone": "zone1", "memory_limit": "2G"}}, "one", 7, "pw1")


def _clear(sdk: ClientV1) -> Any:
    return sdk.agg_clear_uninitialized_agent()


_ALL = [name for name, _ in inspect.getmembers(ClientV1, inspect.isfunction) if not name.startswith("_") and name != "create_request"]
_KNOWN = {each.name for each in METHODS} | {f"{each.name}_sync" for each in METHODS if each.waits}
WITHOUT = [name for name in _ALL if name not in _KNOWN and not name.endswith("_sync")]
