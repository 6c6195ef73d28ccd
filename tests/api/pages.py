"""The public reference pages, and what it means that an answer has all that a page shows."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from oboe.api.shared import envelope

__all__ = ["assert_subset", "digits", "page", "shanghai", "times"]

PAGES = Path(__file__).parent.parent / "data" / "seeds"
_FRACTION = re.compile(r"\.(\d+)[+Z-]")
_EDITED = ("id", "node_id", "task_id", "dag_id")
"""The pages' ids do not fit each other: they were edited."""
_WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?\+08:00"


@contextmanager
def shanghai() -> Iterator[None]:
    """The pages were written there."""
    with mock.patch.dict("os.environ", TZ="Asia/Shanghai"):
        time.tzset()
        envelope._second.cache_clear()
        yield
    time.tzset()
    envelope._second.cache_clear()


def page(name: str) -> dict[str, Any]:
    text = (PAGES / f"{name}.json").read_text()
    return json.loads(re.sub(r'"xxx[x.]*"', '"10.10.10.1"', text))  # type: ignore[no-any-return]


def assert_subset(shown: Any, expected: Any, path: str = "", *, live: bool = False) -> None:
    """Every member of the page is there, of the same type, in the page's order; what is no time and no edited id is equal.

    A live answer is of another cluster: its addresses differ, and it may have more log lines, but those of the page in their order.
    """
    name = path.rpartition(".")[2]
    assert type(shown) is type(expected), path
    if live and name == "task_logs" and expected is not None:
        assert_in_order([_masked(line) for line in shown], [_masked(line) for line in expected], path)
    elif isinstance(expected, dict):
        assert [each for each in shown if each in expected] == list(expected), path
        for each in expected:
            assert_subset(shown[each], expected[each], f"{path}.{each}", live=live)
    elif isinstance(expected, list):
        assert len(shown) == len(expected), path
        for one, other in zip(shown, expected, strict=True):
            assert_subset(one, other, path, live=live)
    elif name.endswith("time") or name == "timestamp":
        assert re.fullmatch(_WHEN, shown), path
    elif name not in (*_EDITED, "traceId", "duration", *(("ip", "port") if live else ())):
        assert shown == (expected.replace("  ", " ") if live and name == "name" else expected), path


def assert_in_order(shown: list[str], expected: list[str], path: str) -> None:
    """All that is expected, in its order; there may be more in between."""
    left = iter(shown)
    missing = [line for line in expected if line not in left]
    assert not missing, (path, missing, shown)


def _masked(line: str) -> str:
    return re.sub(r"\d{8,}", "<id>", line)


def times(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("start_time", "end_time"):
                yield each
            else:
                yield from times(each)
    elif isinstance(value, list):
        for each in value:
            yield from times(each)


def digits(value: Any) -> int:
    """The most that any of its times has after the point."""
    return max(len(match[1]) for text in times(value) if (match := _FRACTION.search(text)))
