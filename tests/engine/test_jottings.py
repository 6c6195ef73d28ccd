"""Lines of a step on the disk the moment they are written, so that an agent's death takes none."""

from __future__ import annotations

from pathlib import Path

from oboe.domain.messages import Fence, Level, LogLine
from oboe.engine.jottings import Jottings

FENCE, OTHER = Fence("a" * 32, 0, 1, 1), Fence("b" * 32, 3, 1, 2)


def line(seq: int, text: str = "x") -> LogLine:
    return LogLine(seq, 10 + seq, Level.INFO, text)


def test_what_was_written_is_there_in_the_next_life_by_attempt_once(tmp_path: Path) -> None:
    jottings = Jottings(tmp_path / "work")
    for seq in range(3):
        jottings.jot(FENCE, line(seq))
        jottings.jot(OTHER, line(seq, "other\nline"))
    again = Jottings(tmp_path / "work")
    assert again.left(FENCE) == (line(0), line(1), line(2))
    assert [each.text for each in again.left(OTHER)] == ["other\nline"] * 3
    assert again.left(FENCE) == ()
    assert oct((tmp_path / "work" / "lines").stat().st_mode)[-3:] == "600"


def test_the_files_are_bounded_and_the_last_lines_are_in_them(tmp_path: Path) -> None:
    jottings = Jottings(tmp_path, bytes_max=4000)
    for seq in range(1000):
        jottings.jot(FENCE, line(seq, "text " * 10))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 9000
    found = Jottings(tmp_path).left(FENCE)
    assert [each.seq for each in found] == list(range(1000 - len(found), 1000))
    assert len(found) > 20


def test_a_line_that_was_cut_off_and_a_damaged_file_cost_only_themselves(tmp_path: Path) -> None:
    jottings = Jottings(tmp_path)
    jottings.jot(FENCE, line(0))
    jottings.jot(FENCE, line(1))
    whole = (tmp_path / "lines").read_bytes()
    (tmp_path / "lines").write_bytes(whole[:-9])
    (tmp_path / "lines.older").write_bytes(b"\xff\xfe not ours\n{}\n[]\n")
    assert Jottings(tmp_path).left(FENCE) == (line(0),)


def test_a_disk_that_takes_nothing_costs_no_step_its_line(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.write_text("no directory")
    Jottings(root).jot(FENCE, line(0))
