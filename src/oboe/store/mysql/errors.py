"""What a database over the MySQL protocol may answer, in the words of our errors. The numbers are measured facts of seekdb."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pymysql

from oboe.domain.errors import Bug, OboeError, TryAgain, Unreachable

__all__ = ["LOST", "READ_ONLY", "TIMED_OUT", "UNKNOWN_VARIABLE", "error_number", "translated_errors"]

LOST = frozenset({0, 2002, 2003, 2006, 2013, 2014, 2055, 1053, 1927, 5066})
"""The connection is gone, or the server goes down and interrupts its sessions; 0 is the driver's own word for a closed connection."""
READ_ONLY = frozenset({4688, 1290, 1836})
"""A standby, or a primary that is about to become one."""
TIMED_OUT = 4012
"""So a primary answers, too, that is about to become a standby (measured)."""
UNKNOWN_VARIABLE = 1193
_BUSY = frozenset({1205, 1213, 6002, 6235, TIMED_OUT, 1040, 6003, 1317, 5065})
"""Waited for a lock in vain, deadlock, rolled back, not serializable, timed out, too many connections, statement interrupted."""
_ABSENT = frozenset({1049, 1146})
_DENIED = frozenset({1044, 1045, 1142, 1227})


def error_number(error: BaseException) -> int | None:
    """The server's or the driver's number; None when it has none."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def _as_ours(error: pymysql.err.Error) -> OboeError:
    number = error_number(error)
    if number in _BUSY:
        return TryAgain("store.busy", f"the cluster's store is busy: {error}", after_seconds=0.1)
    if number in READ_ONLY:
        return TryAgain("store.read_only", "the cluster's store takes no writes now", hint="its primary is being replaced")
    if number in LOST or isinstance(error, pymysql.err.InterfaceError):
        return TryAgain("store.away", f"the cluster's store does not answer: {error}")
    if number in _ABSENT:
        return TryAgain("store.absent", f"the cluster has no store yet: {error}", after_seconds=2)
    if number in _DENIED:
        return TryAgain("store.denied", f"the cluster's store lets this agent not in: {error}", after_seconds=2)
    return Bug("store.failed", f"the cluster's store: {error}")


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what the driver says as `TryAgain` or `Bug`."""
    try:
        yield
    except pymysql.err.Error as error:
        raise _as_ours(error) from error
    except Unreachable as error:
        raise TryAgain("store.away", error.message, hint=error.hint) from error
