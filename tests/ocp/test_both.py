"""Every operation asked over one dialect and seen over the other, on dags that run (`ocp-task.md` §5.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from oboe.api.obshell import ids
from oboe.control.views import Ref
from oboe.domain.errors import Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from tests.ocp.site import Going, Site, eventually
from tests.ocp.steps import Node

PAIR = (Node("a"), Node("b", [0]))


def broken(site: Site) -> Going:
    """Its second step fails, and does so until it is told otherwise."""
    return site.run(*PAIR, b="fail").until("FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", "FAILED/EXECUTE")


def busy(site: Site) -> Going:
    return site.run(*PAIR, b="hold").until("RUNNING/EXECUTE", "SUCCESSFUL/EXECUTE", "RUNNING/EXECUTE")


def undo_broken(site: Site) -> Going:
    going = broken(site).act(undo_b="fail")
    site.manager.post(f"{going.path}/rollback")
    return going.until("FAILED/ROLLBACK", "SUCCESSFUL/EXECUTE", "FAILED/ROLLBACK")


def mended(site: Site) -> Going:
    return broken(site).act(b="")


@dataclass(frozen=True)
class Asked:
    """An operation, and what both dialects show once it has come to rest: task and sub-tasks, dag and sub_tasks."""

    of: Callable[[Site], Going]
    ask: Callable[[Site, Going], None]
    task: str
    subtasks: tuple[str, str]
    dag: str
    sub_tasks: tuple[str, str]


def ocp(path: Callable[[Going], str]) -> Callable[[Site, Going], None]:
    def ask(site: Site, going: Going) -> None:
        assert site.manager.post(path(going)).status == 200

    return ask


def obshell(operator: str) -> Callable[[Site, Going], None]:
    return lambda site, going: site.ask_obshell(f"dag/{going.obshell_id}", operator)


def pass_node(site: Site, going: Going) -> None:
    node = site.obshell(f"dag/{going.obshell_id}")["nodes"][1]["id"]
    site.ask_obshell(f"node/{node}", "PASS")


DONE, UNDONE = ("SUCCEED/RUN", "SUCCEED/RUN"), ("SUCCEED/ROLLBACK", "SUCCEED/ROLLBACK")
RETRIED = (mended, "SUCCESSFUL/RETRY", ("SUCCESSFUL/EXECUTE", "SUCCESSFUL/RETRY"), "SUCCEED/RUN", DONE)
ROLLED_BACK = (broken, "SUCCESSFUL/ROLLBACK", ("PENDING/ROLLBACK", "PENDING/ROLLBACK"), "SUCCEED/ROLLBACK", UNDONE)
SKIPPED = ("SUCCESSFUL/EXECUTE", ("SUCCESSFUL/EXECUTE", "SUCCESSFUL/SKIP"), "SUCCEED/RUN", ("SUCCEED/RUN", "SUCCEED/PASS"))
CANCELLED = ("SUCCESSFUL/EXECUTE", "FAILED/CANCEL")


def both(shown: tuple[Callable[[Site], Going], str, tuple[str, str], str, tuple[str, str]], ask: Callable[[Site, Going], None]) -> Asked:
    of, *words = shown
    return Asked(of, ask, *words)  # type: ignore[arg-type]


OPERATIONS = {
    "OCP: retry": both(RETRIED, ocp(lambda going: f"{going.path}/retry")),
    "OBShell: RETRY": both(RETRIED, obshell("RETRY")),
    "OCP: roll back": both(ROLLED_BACK, ocp(lambda going: f"{going.path}/rollback")),
    "OBShell: ROLLBACK": both(ROLLED_BACK, obshell("ROLLBACK")),
    "OCP: retry one": both(
        (mended, "SUCCESSFUL/EXECUTE", ("SUCCESSFUL/EXECUTE", "SUCCESSFUL/RETRY"), "SUCCEED/RUN", DONE),
        ocp(lambda going: f"{going.sub_path(1)}/retry"),
    ),
    "OCP: skip one": both((broken, *SKIPPED), ocp(lambda going: f"{going.sub_path(1)}/skip")),
    "OBShell: PASS of a node": both((broken, *SKIPPED), pass_node),
    "OBShell: PASS of a dag": both(
        (broken, "SUCCESSFUL/SKIP", ("SUCCESSFUL/EXECUTE", "SUCCESSFUL/SKIP"), "SUCCEED/PASS", ("SUCCEED/RUN", "SUCCEED/PASS")),
        obshell("PASS"),
    ),
    "OCP: skip an undo": both(
        (
            undo_broken,
            "SUCCESSFUL/ROLLBACK",
            ("PENDING/ROLLBACK", "PENDING/ROLLBACK_SKIP"),
            "SUCCEED/ROLLBACK",
            ("SUCCEED/ROLLBACK", "SUCCEED/PASS"),
        ),
        ocp(lambda going: f"{going.sub_path(1)}/skip"),
    ),
    "OCP: cancel one": both(
        (busy, "FAILED/EXECUTE", CANCELLED, "FAILED/RUN", ("SUCCEED/RUN", "FAILED/RUN")),
        ocp(lambda going: f"{going.sub_path(1)}/cancel"),
    ),
    "OBShell: CANCEL": both(
        (busy, "FAILED/CANCEL", CANCELLED, "FAILED/CANCEL", ("SUCCEED/RUN", "FAILED/RUN")),
        obshell("CANCEL"),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_asked_over_one_dialect_is_seen_over_both(shared_site: Site, name: str) -> None:
    asked = OPERATIONS[name]
    going = asked.of(shared_site)
    asked.ask(shared_site, going)
    going.until(asked.task, *asked.subtasks)
    wanted = (asked.dag, list(asked.sub_tasks))
    eventually(lambda: going.obshell_words() == wanted)


@pytest.mark.parametrize("agent", [Address("127.0.0.1", 2886), Address("0.0.0.9", 1), Address("fd00::1", 65535), Address("::1", 2886)])
def test_ids_of_obshell_come_back_whatever_the_address(agent: Address) -> None:
    for number in (1, 9, 2**40):
        for kind in ("dag", "node", "sub_task"):
            text = ids.encode(Home(HomeKind.AGENT, agent), number)
            assert ids.decode(kind, text) == Ref(kind, HomeKind.AGENT, agent, number)  # type: ignore[arg-type]
    assert ids.decode("dag", ids.encode(Home(HomeKind.CLUSTER), 7)) == Ref("dag", HomeKind.CLUSTER, None, 7)


def test_ids_of_an_obproxy_are_read_and_name_nothing() -> None:
    """Its forms are those of an agent, with other first digits."""
    for first, address in (("4", f"{2130706433:010d}"), ("5", f"{1:039d}")):
        with pytest.raises(Refused) as refused:
            ids.decode("dag", f"{first}{address}028867")
        assert refused.value.code == "task.not_found"
        assert ids.is_obproxy(f"{first}{address}028867")
