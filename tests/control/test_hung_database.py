"""A database that hangs is not asked again by everybody who comes: on call, nobody waits for it at each request."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oboe.database.port import Instance
from oboe.domain.errors import Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.membership import primary
from oboe.membership.link import ClusterLink

HERE = Address("10.0.0.1", 2886)


class Database:
    """Takes its time, and does not answer."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.takes = 2.0
        self.asked = 0

    def monotonic(self) -> float:
        return self.now

    def dial(self, ip: str, port: int, **given: Any) -> Any:
        self.asked += 1
        self.now += self.takes
        raise Unreachable("database.unreachable", f"the database at {ip}:{port} does not answer")

    connect = dial


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> tuple[Database, ClusterLink]:
    database = Database()
    monkeypatch.setattr(primary, "time", SimpleNamespace(monotonic=database.monotonic))
    local: Any = SimpleNamespace(
        address=HERE,
        secret=lambda name: Secret("pw"),
        members=list,
        instance=lambda: Instance(ip=HERE.ip, mysql_port=2881, rpc_port=2882, base_dir="/nowhere"),
    )
    return database, ClusterLink(local, database)  # type: ignore[arg-type]


def unreachable(link: ClusterLink) -> None:
    with pytest.raises(Unreachable, match=r"10\.0\.0\.1:2881"):
        link.primary()
    with pytest.raises(Unreachable), link.replica():
        pytest.fail("it hangs")


def test_a_database_that_hangs_is_asked_once_in_a_while(hung: tuple[Database, ClusterLink]) -> None:
    database, link = hung
    for _ in range(5):
        unreachable(link)
    assert database.asked == 1
    database.now += 60
    unreachable(link)
    assert database.asked == 2


def test_a_database_that_is_down_is_asked_each_time(hung: tuple[Database, ClusterLink]) -> None:
    database, link = hung
    database.takes = 0.0
    for _ in range(5):
        with pytest.raises(Unreachable):
            link.primary()
    assert database.asked == 5
