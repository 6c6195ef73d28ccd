"""Names, order and flags of the catalogue (`obshell-wire.md` §5.6.3, §5.6.5). What oboe adds to the flags is a row of the differences."""

from __future__ import annotations

from typing import Any

import pytest

from oboe.domain.model import Flags
from oboe.kit.playbook import Playbook
from oboe.kit.testing import plan_of
from oboe.playbooks.agent.kill_observer import KillObserverParams, RestartParams, kill_observer, start_for_rollback
from oboe.playbooks.agent.local_observer import LocalObserverParams, start_local_observer, stop_local_observer
from oboe.playbooks.agent.together import TogetherParams, start_together, stop_together
from oboe.playbooks.cluster.delete_zone import DeleteZoneParams, delete_zone
from oboe.playbooks.cluster.scale_in import ScaleInParams, cluster_scale_in
from oboe.playbooks.cluster.start import start_ob
from oboe.playbooks.cluster.stop import StopParams, stop_ob
from oboe.playbooks.departing import Departing
from oboe.playbooks.gathering import GatheringParams

AGENTS = ["127.0.0.1:2886", "127.0.0.1:2887"]
SERVER = Departing(agent=AGENTS[1], member={"ip": "127.0.0.1"}, ip="127.0.0.1", rpc_port=2882, sql_port=2881, zone="zone2")
MAIN: dict[str, Any] = {"agents": AGENTS, "targets": AGENTS[1:], "zones": [], "force_pass": []}
ALL = "Ca Co Pa Re Ro"
ONCE = "Ca Co Pa Re"
CASES: list[tuple[Playbook, Any, list[tuple[str, str]]]] = [
    (
        cluster_scale_in,
        ScaleInParams(AGENTS[1], SERVER, False),
        [
            ("Delete observer", ALL + " !"),
            ("Set agent to 'SCALING IN'", ALL),
            ("Wait delete observer success", ALL),
            ("Delete agent", ONCE),
            ("Try to inform to kill observer", ALL),
        ],
    ),
    (
        cluster_scale_in,
        ScaleInParams(AGENTS[1], SERVER, True),
        [
            ("Delete observer", ALL + " !"),
            ("Set agent to 'SCALING IN'", ALL),
            ("Check multi paxos member alive", ALL),
            ("Try to inform to kill observer", ALL),
            ("Wait delete observer success", ALL),
            ("Delete agent", ONCE),
        ],
    ),
    (
        delete_zone,
        DeleteZoneParams("z", [SERVER]),
        [
            ("Set agent to 'SCALING IN'", ALL),
            ("Stop zone z", ALL),
            ("Delete observer", ALL),
            ("Wait delete observer success", ALL),
            ("Delete zone z", ONCE),
            ("Delete agent", ONCE),
            ("Try to inform to kill observers", ONCE),
        ],
    ),
    (delete_zone, DeleteZoneParams("z", []), [("Stop zone z", ALL), ("Delete zone z", ONCE)]),
    (kill_observer, KillObserverParams(), [("Kill observer", ONCE + " !")]),
    (start_for_rollback, RestartParams(AGENTS[0]), [("Start observer for scale in rollback", ONCE + " !")]),
    (
        start_local_observer,
        LocalObserverParams(),
        [("Check ob process and config", "Ca Co Pa"), ("Start observer", ALL), ("Get connection of observer", "Co Pa")],
    ),
    (stop_local_observer, LocalObserverParams(), [("Stop observer", ONCE)]),
    (
        start_together,
        TogetherParams("1", True),
        [
            ("Start preparations", ONCE),
            ("Check ob process and config", "Ca Co Pa"),
            ("Start observer", ALL),
            ("Execute start observer sql", "Ca Co Pa"),
            ("Wait for task to end", "Ca Co Pa"),
        ],
    ),
    (start_together, TogetherParams("1", False), [("Start preparations", ONCE), ("Wait for task to end", "Ca Co Pa")]),
    (
        stop_together,
        TogetherParams("1", True),
        [("Start preparations", ONCE), ("Stop observer", ONCE), ("Wait for task to end", "Ca Co Pa")],
    ),
    (stop_together, TogetherParams("1", True, by_word=True), [("Start preparations", ONCE), ("Wait for task to end", "Ca Co Pa")]),
    (
        start_ob,
        GatheringParams(**{**MAIN, "zones": ["zone2"]}),
        [
            ("Inform all agents to start observer", "Ca"),
            ("Make sure all agents are ready", "Ca"),
            ("Advance agents to execute the task", "Ca"),
            ("Wait for all agents to execute tasks successfully", "Ca Co"),
            ("Start Zone", "Ca Co Re"),
            ("Inform all agents to end the task", "Ca"),
        ],
    ),
    (
        stop_ob,
        StopParams(**MAIN, by_word=True),
        [
            ("Inform all agents to prepare to stop observer", "Ca"),
            ("Make sure all agents are ready", "Ca"),
            ("Advance agents to execute the task", "Ca"),
            ("Wait for all agents to execute tasks successfully", "Ca Co"),
            ("Execute stop sql", "Ca Co"),
            ("Inform all agents to end the task", "Ca"),
        ],
    ),
    (
        stop_ob,
        StopParams(**MAIN, freeze=True, zone_form=True),
        [
            ("Inform all agents to prepare to stop observer", "Ca"),
            ("Make sure all agents are ready", "Ca"),
            ("Execute stop sql", "Ca Co"),
            ("Minor freeze before stop server", ALL),
            ("Advance agents to execute the task", "Ca"),
            ("Wait for all agents to execute tasks successfully", "Ca Co"),
            ("Inform all agents to end the task", "Ca"),
        ],
    ),
]


@pytest.mark.parametrize(("playbook", "params", "catalogue"), CASES, ids=lambda value: value.name if isinstance(value, Playbook) else "")
def test_a_plan_is_the_catalogues(playbook: Playbook, params: Any, catalogue: list[tuple[str, str]]) -> None:
    plan = plan_of(playbook, params)
    assert [node.name for node in plan.nodes] == [name for name, _ in catalogue]
    for node, (name, words) in zip(plan.nodes, catalogue, strict=True):
        missing = set(words.split()) - shown(node.flags)
        added = shown(node.flags) - set(words.split())
        assert not missing, (name, missing)
        assert added <= {"Re", "Co", "!"}, (name, added)


@pytest.mark.parametrize(("playbook", "params", "catalogue"), CASES, ids=lambda value: value.name if isinstance(value, Playbook) else "")
def test_every_node_can_be_retried_so_no_failed_dag_is_stuck(playbook: Playbook, params: Any, catalogue: list[tuple[str, str]]) -> None:
    assert all(node.flags.retryable for node in plan_of(playbook, params).nodes)


def shown(flags: Flags) -> set[str]:
    words = {
        "Ca": flags.cancellable,
        "Co": flags.resumable,
        "Pa": flags.skippable,
        "Re": flags.retryable,
        "Ro": flags.rollable,
        "!": flags.release_on_failure,
    }
    return {word for word, so in words.items() if so}
