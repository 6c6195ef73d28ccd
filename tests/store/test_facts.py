"""Facts, members, copies of dags, the record of what people did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oboe.domain.errors import Refused
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.store.audit import Audit
from oboe.store.sealing import Sealer
from oboe.store.sqlite import DagCopies, DagCopy, Facts, Sqlite, SqliteHome
from tests.store.samples import chain, draft, finish, line, step


@pytest.fixture
def facts(sqlite: Sqlite, tmp_path: Path) -> Facts:
    return Facts(sqlite, Sealer.at(tmp_path))


def test_facts_are_plain_json_and_a_missing_one_is_the_default(facts: Facts) -> None:
    facts.put(identity=Identity.MASTER, zone="zone1", instance={"ports": [1, 2], "agent": Address("::1", 2886)}, nothing=None)
    assert facts.get("identity") == 2
    assert facts.get("instance") == {"ports": [1, 2], "agent": {"ip": "::1", "port": 2886}}
    assert facts.get("nothing", 7) is None
    assert facts.get("missing") is None
    assert facts.get("missing", 7) == 7
    facts.put(zone="zone2")
    assert facts.get("zone") == "zone2"
    facts.delete("zone", "missing")
    facts.delete()
    assert sorted(facts.all()) == ["identity", "instance", "nothing"]


def test_secrets_come_back_as_secrets_and_are_never_on_the_disk(facts: Facts, sqlite: Sqlite, tmp_path: Path) -> None:
    facts.put(root_password=Secret("hunter2hunter2"), nested={"keys": [Secret("swordfish1"), None]})
    facts.put_member({"ip": "10.0.0.1", "port": 2886, "token": Secret("opensesame")})
    assert facts.get("root_password") == Secret("hunter2hunter2")
    assert facts.get("nested") == {"keys": [Secret("swordfish1"), None]}
    assert facts.members() == [{"ip": "10.0.0.1", "port": 2886, "token": Secret("opensesame")}]
    sqlite.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"root_password" in written
    for secret in (b"hunter2", b"swordfish", b"opensesame"):
        assert secret not in written


def test_several_facts_are_put_at_once_or_not_at_all(facts: Facts) -> None:
    with pytest.raises(TypeError):
        facts.put(fine=1, impossible=object())
    assert facts.get("fine") is None


def test_facts_survive_their_process(facts: Facts, sqlite: Sqlite, tmp_path: Path) -> None:
    facts.put(password=Secret("x"), zone="z")
    sqlite.close()
    again = Sqlite(sqlite.path)
    assert Facts(again, Sealer.at(tmp_path)).all() == {"password": Secret("x"), "zone": "z"}
    again.close()


def test_a_secret_under_another_key_is_refused(facts: Facts, sqlite: Sqlite) -> None:
    facts.put(password=Secret("x"))
    with pytest.raises(Refused) as refusal:
        Facts(sqlite, Sealer(bytes(32))).get("password")
    assert refusal.value.code == "secret.unreadable"


def test_members_are_keyed_by_address(facts: Facts) -> None:
    facts.put_member({"ip": "10.0.0.2", "port": 2886, "zone": "a"})
    facts.put_member({"ip": "10.0.0.1", "port": 2886, "zone": "a"})
    facts.put_member({"ip": "10.0.0.2", "port": 2886, "zone": "b"})
    facts.put_member({"ip": "10.0.0.2", "port": 2887, "zone": "c"})
    assert [(row["ip"], row["port"], row["zone"]) for row in facts.members()] == [
        ("10.0.0.1", 2886, "a"),
        ("10.0.0.2", 2886, "b"),
        ("10.0.0.2", 2887, "c"),
    ]
    facts.remove_member("10.0.0.2", 2886)
    assert len(facts.members()) == 2
    facts.replace_members([{"ip": "10.0.0.9", "port": 1}])
    assert facts.members() == [{"ip": "10.0.0.9", "port": 1}]
    facts.replace_members([])
    assert facts.members() == []


def test_the_newest_copies_are_kept_and_replaced_by_later_ones(sqlite: Sqlite) -> None:
    home = SqliteHome(sqlite)
    copies = DagCopies(sqlite, keep=3, clock=lambda: 42)
    dags = [home.create(draft(str(number), plan=chain(1, 3))) for number in range(5)]
    for dag in dags:
        copies.put(dag, [])
    change = step(dags[4])
    home.save([change], [line(change.after, 0, "a"), line(change.after, 1, "b", sub_task=2)])
    done = finish(home, change.after)
    copies.put(done, home.logs(done))
    expected = [DagCopy(done, tuple(home.logs(done)), 42), DagCopy(dags[3], (), 42), DagCopy(dags[2], (), 42)]
    assert copies.newest(10) == expected
    assert copies.newest(1) == expected[:1]
    copies.clear()
    assert copies.newest(10) == []


def test_the_record_keeps_who_did_what_newest_first(database: Any) -> None:
    times = iter(range(100, 200))
    audit = Audit(database, clock=lambda: next(times))
    for number in range(5):
        audit.append("me", f"thing {number}", {"old": number}, [Address("::1", 1)] if number else None)
    newest = audit.newest(2)
    assert [(one.at, one.who, one.what, one.before, one.after) for one in newest] == [
        (104, "me", "thing 4", {"old": 4}, [{"ip": "::1", "port": 1}]),
        (103, "me", "thing 3", {"old": 3}, [{"ip": "::1", "port": 1}]),
    ]
    rest = audit.newest(before_id=newest[-1].id)
    assert [one.what for one in rest] == ["thing 2", "thing 1", "thing 0"]
    assert rest[-1].after is None
    with pytest.raises(TypeError):
        audit.append("me", "password", Secret("a"), Secret("b"))
    assert len(audit.newest()) == 5
