"""Keys of requests, on every kind of store."""

from __future__ import annotations

from oboe.store.database import Database
from oboe.store.request_keys import KeyRow, RequestKeys


def test_a_key_is_written_down_once_and_keeps_what_was_answered(database: Database) -> None:
    keys = RequestKeys(database)
    assert keys.begin("a", "first", 10) is None
    assert keys.begin("a", "second", 20) == KeyRow("first", 10, 0, "")
    keys.end("a", 200, "done")
    assert RequestKeys(database).begin("a", "first", 30) == KeyRow("first", 10, 200, "done")
    keys.drop("a")
    assert keys.begin("a", "second", 40) is None


def test_keys_are_forgotten_by_age_and_by_number(database: Database) -> None:
    keys = RequestKeys(database, keep=3, keep_nanoseconds=100)
    for at in (1, 2, 3, 4):
        assert keys.begin(f"key {at}", "x", at) is None
    assert keys.begin("key 2", "x", 5) is not None
    assert keys.begin("key 1", "x", 6) is None, "the oldest beyond three is gone"
    assert keys.begin("key 4", "x", 105) is None, "it is too old"
