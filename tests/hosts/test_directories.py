"""oboe removes what it made and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from oboe.domain.errors import StepFailed
from oboe.hosts.directories import MARKER, claim, empty, free_bytes, is_claimed, remove


def test_a_claimed_directory_goes_with_the_parents_made_for_it(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    claim(directory, "me")
    (directory / "store").mkdir()
    (directory / "store" / "file").write_text("x")
    remove(directory, "me")
    remove(directory, "me")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_there_before_stays_empty(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    claim(directory, "me")
    (directory / "file").write_text("x")
    remove(directory, "me")
    assert (directory.is_dir(), list(directory.iterdir())) == (True, [])


def test_parents_that_others_use_stay(tmp_path: Path) -> None:
    claim(tmp_path / "a" / "b", "me")
    (tmp_path / "a" / "theirs").touch()
    remove(tmp_path / "a" / "b", "me")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]


def test_what_others_keep_is_neither_claimed_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    with pytest.raises(StepFailed) as raised:
        claim(tmp_path, "me")
    remove(tmp_path, "me")
    empty(tmp_path, "me")
    assert (raised.value.code, (tmp_path / "theirs").read_text()) == ("directory.not_empty", "x")


def test_claiming_again_is_harmless_and_an_owner_is_respected(tmp_path: Path) -> None:
    claim(tmp_path / "a", "me")
    (tmp_path / "a" / "file").write_text("x")
    claim(tmp_path / "a", "me")
    with pytest.raises(StepFailed) as raised:
        claim(tmp_path / "a", "you")
    remove(tmp_path / "a", "you")
    assert (raised.value.code, is_claimed(tmp_path / "a", "me"), (tmp_path / "a" / "file").exists()) == ("directory.claimed", True, True)


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, code in ((tmp_path / "file", "directory.not_a_directory"), (tmp_path / "file" / "below", "directory.not_made")):
        with pytest.raises(StepFailed) as raised:
            claim(path, "me")
        assert raised.value.code == code


def test_links_are_removed_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    claim(tmp_path / "a", "me")
    (tmp_path / "a" / "link").symlink_to(outside)
    empty(tmp_path / "a", "me", keep=("kept",))
    assert ((outside / "precious").exists(), [path.name for path in (tmp_path / "a").iterdir()]) == (True, [MARKER])


def test_emptying_keeps_what_is_named(tmp_path: Path) -> None:
    claim(tmp_path / "a", "me")
    for name in ("wallet", "store"):
        (tmp_path / "a" / name).mkdir()
    empty(tmp_path / "a", "me", keep=("wallet",))
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [MARKER, "wallet"]


def test_free_space_is_told_for_a_path_that_does_not_exist_yet(tmp_path: Path) -> None:
    assert abs(free_bytes(tmp_path / "x" / "y") - free_bytes(tmp_path)) < 1 << 30
