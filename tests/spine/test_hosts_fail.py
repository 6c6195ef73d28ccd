"""What goes wrong on the joining host: a FAILED dag whose log says why; RETRY once it is mended; ROLLBACK when it is given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.spine.host import Host
from tests.spine.world import World, lines

Trouble = Callable[[Host], tuple[str, str, Callable[[], None]]]
"""Makes it; says at which node the dag fails, what its log says, and how it is mended."""

DEPLOY, START = "Wait remote deploy finish", "Wait remote start finish"


def port_taken(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.troubles.fail("check_host", code="database.port_taken", text="port 2881 is held by mysqld")
    return DEPLOY, "port 2881 is held by mysqld", lambda: None


def directory_not_empty(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.base.mkdir()
    thesis = host.base / "thesis.txt"
    thesis.write_text("dear")

    def mend() -> None:
        assert thesis.read_text() == "dear", "what was there before was touched"
        thesis.unlink()
        host.base.rmdir()

    return DEPLOY, f"{host.base} is not empty", mend


def disk_full(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.troubles.fail("check_host", code="database.no_disk", text="/data has 12 MB free, 288 MB are needed")
    return DEPLOY, "12 MB free", lambda: None


def binary_missing(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.troubles.fail("start", code="database.unavailable", text="there is no seekdb binary")
    return START, "there is no seekdb binary", lambda: None


def clone_fails(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.troubles.fail("start", code="database.clone_failed", text="cloning failed 4 times")
    return START, "cloning failed 4 times", lambda: None


def configuration_fails(host: Host) -> tuple[str, str, Callable[[], None]]:
    host.troubles.fail("configure", code="config.no_free_port", text="no free port was found")
    return "Integrate server config", "no free port was found", lambda: None


TROUBLES = [port_taken, directory_not_empty, disk_full, binary_missing, clone_fails, configuration_fails]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_it_fails_with_its_reason_is_undone_asked_again_and_retried(cluster: World, joiner: Host, trouble: Trouble) -> None:
    first, second = cluster.hosts[:2]
    before = cluster.members()
    node, why, mend = trouble(joiner)
    dag = cluster.failed(first, cluster.scale_out(first, joiner), at=node, why=why)
    cluster.undone(cluster.operate(second, dag, "ROLLBACK"))
    mend()
    cluster.untouched(joiner)

    node, why, mend = trouble(joiner)
    dag = cluster.failed(second, cluster.scale_out(second, joiner), at=node, why=why)
    assert cluster.members() == before
    mend()
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert cluster.whole()
    assert joiner.identity == "CLUSTER AGENT"


def test_a_retry_of_a_clone_writes_its_certificates_anew(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    node, why, _ = clone_fails(joiner)
    dag = cluster.failed(first, cluster.scale_out(first, joiner), at=node, why=why)
    kept = joiner.base / "wallet" / "ca.pem"
    right = kept.read_text()
    kept.write_text("somebody has been here")
    cluster.good(cluster.operate(first, dag, "RETRY"))
    assert kept.read_text() == right


@pytest.mark.parametrize(("trouble", "through"), [(directory_not_empty, "member"), (clone_fails, "joiner")])
def test_what_is_asked_of_the_twin_is_done_by_its_leader(cluster: World, joiner: Host, trouble: Trouble, through: str) -> None:
    first, second = cluster.hosts[:2]
    node, why, mend = trouble(joiner)
    dag = cluster.failed(first, cluster.scale_out(first, joiner), at=node)
    asked = second if through == "member" else joiner
    twin = cluster.failed(asked, cluster.dag(asked, cluster.twin(first, dag)), why=why)
    assert cluster.dag(asked, dag.id).name == "Cluster scale out"
    mend()
    cluster.operator(asked, twin, "RETRY")
    cluster.good(cluster.over(first, dag))
    assert cluster.whole()


def test_a_rollback_asked_of_the_twin_undoes_the_whole(cluster: World, joiner: Host) -> None:
    first = cluster.hosts[0]
    node, why, _ = clone_fails(joiner)
    dag = cluster.failed(first, cluster.scale_out(first, joiner), at=node, why=why)
    cluster.operator(joiner, cluster.dag(joiner, cluster.twin(first, dag)), "ROLLBACK")
    cluster.undone(cluster.over(first, dag))
    cluster.untouched(joiner)


def test_what_fails_on_a_followers_host_fails_the_init_which_is_retried_and_undone(pair: World) -> None:
    master, follower = pair.hosts
    for call, node in (("deploy", "Create observer workdir"), ("check_host", "Start observer"), ("start", "Cluster boostrap")):
        follower.troubles.fail(call, text=f"no {call} today")
        dag = pair.failed(master, pair.init(master), at=node, why=f"no {call} today")
        follower.troubles.fail(call, text=f"no {call} tomorrow")
        dag = pair.failed(master, pair.operate(master, dag, "RETRY"), at=node, why=f"no {call} tomorrow")
        pair.undone(pair.operate(follower, dag, "ROLLBACK"))
        assert not follower.base.exists()
        assert not master.base.exists()
        assert pair.get(follower, "/task/dag/agent/unfinish") == {"contents": []}


def test_an_init_that_is_cancelled_in_the_middle_stops_and_is_undone(pair: World) -> None:
    master, follower = pair.hosts
    for host, call, node in ((follower, "deploy", "Create observer workdir"), (master, "start", "Start observer")):
        host.troubles.hold(call)
        dag = pair.at(master, pair.init(master), node)
        pair.operator(master, dag, "CANCEL")
        dag = pair.failed(master, dag)
        assert dag.operator == "CANCEL"
        assert "sub task cancelled" in str(lines(dag))
        host.troubles.release(call)
        pair.undone(pair.operate(master, dag, "ROLLBACK"))
        assert not follower.base.exists()
        assert not master.base.exists()
        assert pair.get(follower, "/task/dag/agent/unfinish") == {"contents": []}
