"""Playbooks of one host, rehearsed: wherever their agent dies, and whenever they are rolled back, the host is what it should be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from oboe.database.fake import FakeDriver
from oboe.database.port import DatabaseState, Driver, Instance
from oboe.domain.values import Identity
from oboe.kit.playbook import Playbook
from oboe.kit.secret import Secret
from oboe.kit.testing import HERE, FakeRun, Killed, Rehearsal, State, killed_everywhere
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.owed import Owed
from oboe.playbooks.agent.join import JoinSelfParams, join_self
from oboe.playbooks.agent.local_observer import LocalObserverParams, StartLocal, start_local_observer, stop_local_observer
from oboe.playbooks.agent.observer import DestroyParams, StartParams, WorkdirParams, create_workdir, destroy_workdir, start_observer
from oboe.playbooks.cluster.config import ObserverConfigParams, update_observer_config
from oboe.remote.authority import check_certificate
from oboe.store.sealing import Sealer
from oboe.store.sqlite import Facts, Sqlite


class Host:
    """One host: what its agent remembers, and its database."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.local = LocalAgent(
            Facts(Sqlite(root / "oboe.db"), Sealer(bytes(32))),
            address=HERE,
            rpc_port=3886,
            home=root,
            public_key="key",
            database_version="1",
        )
        self.driver = FakeDriver(root / "databases")
        owed = Owed(self.local, ClusterLink(self.local, self.driver, announce=lambda: None))
        self.services: dict[type[Any], Any] = {LocalAgent: self.local, Driver: self.driver, Owed: owed}
        self.instance = Instance(base_dir=str(root / "base"), ip=HERE.ip, mysql_port=2881, rpc_port=2882)

    def rehearsal(self, book: Playbook, params: Any) -> Rehearsal:
        return Rehearsal(book, params, services=self.services)

    def done(self, book: Playbook, params: Any) -> None:
        assert self.rehearsal(book, params).run() is State.SUCCEEDED

    def deployed(self, *, runs: bool) -> Host:
        self.done(create_workdir, self.workdir())
        if runs:
            self.done(start_observer, StartParams(self.instance, "primary"))
        return self

    def workdir(self) -> WorkdirParams:
        return WorkdirParams(self.instance, "ca", "certificate", Secret("key"))

    @property
    def runs(self) -> bool:
        return self.driver.observe(self.instance).state is DatabaseState.AVAILABLE


@pytest.fixture
def host(tmp_path: Path) -> Callable[[], Host]:
    numbers = count()
    return lambda: Host(tmp_path / f"host{next(numbers)}")


def everywhere(host: Callable[[], Host], book: Playbook, params: Callable[[Host], Any], *, before: Callable[[Host], object]) -> list[Host]:
    """Hosts on which the agent died somewhere."""
    hosts: list[Host] = []

    def make() -> Rehearsal:
        hosts.append(host())
        before(hosts[-1])
        return hosts[-1].rehearsal(book, params(hosts[-1]))

    assert [dag.story for dag in killed_everywhere(make)]
    return hosts


def test_who_joins_itself_is_master_with_keys_that_fit(host: Callable[[], Host]) -> None:
    for each in everywhere(host, join_self, lambda _: JoinSelfParams("zone1"), before=lambda _: None):
        local = each.local
        key = local.secret("certificate_key")
        assert key is not None
        check_certificate(local.text("certificate"), key, local.text("authority_certificate"), address=HERE)
        assert (local.identity(), local.zone(), [one.address for one in local.members()]) == (Identity.MASTER, "zone1", [HERE])


def test_a_directory_is_made_and_removed(host: Callable[[], Host]) -> None:
    for each in everywhere(host, create_workdir, Host.workdir, before=lambda _: None):
        assert each.local.instance() == each.instance
        assert Path(each.instance.base_dir, "wallet").is_dir()
    for each in everywhere(host, destroy_workdir, lambda one: DestroyParams(one.instance), before=lambda one: one.deployed(runs=True)):
        assert (each.local.instance(), Path(each.instance.base_dir).exists()) == (None, False)


def test_a_database_is_started_and_stopped(host: Callable[[], Host]) -> None:
    def stopped(one: Host) -> None:
        one.deployed(runs=True).done(stop_local_observer, LocalObserverParams())

    for each in everywhere(host, start_local_observer, lambda _: LocalObserverParams(), before=stopped):
        assert each.runs
    for each in everywhere(host, stop_local_observer, lambda _: LocalObserverParams(), before=lambda one: one.deployed(runs=True)):
        assert not each.runs


@pytest.mark.parametrize("ran", [True, False], ids=["ran before", "did not run"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_start_that_is_undone_leaves_the_database_as_it_was_also_when_its_agent_died_in_it(
    host: Callable[[], Host], at: int, ran: bool
) -> None:
    one, first = host().deployed(runs=True), {}
    if not ran:
        one.done(stop_local_observer, LocalObserverParams())

    def die() -> None:
        raise Killed

    killed, again, undo = (FakeRun(LocalObserverParams(), services=one.services, first=first) for _ in range(3))
    killed.at(at, die)
    with pytest.raises(Killed):
        StartLocal().run(killed)
    StartLocal().run(again)
    assert one.runs
    StartLocal().rollback(undo)
    assert one.runs is ran


@pytest.mark.parametrize("at", [None, 1])
def test_configuration_that_is_undone_is_what_it_was(host: Callable[[], Host], at: int | None) -> None:
    one = host()
    one.done(update_observer_config, ObserverConfigParams("GLOBAL", [], {"cpu_count": "4"}))
    before = one.local.value("observer_config", {})
    dag = one.rehearsal(update_observer_config, ObserverConfigParams("GLOBAL", [], {"cpu_count": "8"}, warnings=["w"]))
    dag.kill("Update observer config", at=at)
    dag.fail("Update observer config")
    assert dag.run() is State.FAILED
    assert dag.rollback() is State.SUCCEEDED
    assert one.local.value("observer_config", {}) == before
