"""What a home needs of a database: transactions in which the same statements run, whatever the product."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

__all__ = ["KEYS_MAX", "Database", "Row", "Session", "listed", "portions", "rows_listed", "run_listed"]

T = TypeVar("T")
Row = tuple[Any, ...]

KEYS_MAX = 256
"""The longest list of keys in one statement."""


class Session(Protocol):
    """The inside of one transaction."""

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """How many rows it changed."""

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same statement for many rows, in as few round trips as the product allows."""


class Database(Protocol):
    """A database that homes share. Raises `TryAgain` for what passes: busy, away, read-only."""

    def write(self, work: Callable[[Session], T]) -> T:
        """Run ``work`` in a transaction and return once it is durable. It may run more than once before that; an exception undoes it."""

    def read(self, work: Callable[[Session], T]) -> T:
        """Run queries; each sees one moment."""


def listed(statement: str, keys: Sequence[Any], *, lists: int = 1) -> tuple[str, list[Any]]:
    """Put a list of keys, at most `KEYS_MAX`, in each of the ``{keys}`` of a statement.

    The list is filled up to a power of two with its last key, so that few texts are ever prepared."""
    size = 1 << (len(keys) - 1).bit_length()
    filled = [*keys, *[keys[-1]] * (size - len(keys))]
    return statement.replace("{keys}", ",".join("?" * size)), filled * lists


def portions(keys: Sequence[T], size: int = KEYS_MAX) -> Iterator[Sequence[T]]:
    """Cut a list into pieces that fit one statement."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def rows_listed(session: Session, statement: str, keys: Sequence[Any]) -> list[Row]:
    """All rows of a query on a list of keys, however long."""
    return [row for portion in portions(keys) for row in session.rows(*listed(statement, portion))]


def run_listed(session: Session, statement: str, keys: Sequence[Any]) -> None:
    """Change rows by a list of keys, however long."""
    for portion in portions(keys):
        session.run(*listed(statement, portion))
