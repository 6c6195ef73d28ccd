"""Errors, classed by what the reader should do next.

::

    OboeError
    ├── Refused       ask something else        (a dialect maps ``code`` to its status)
    ├── TryAgain      the same, after a while   (``after_seconds``)
    ├── StepFailed    a person decides          (ends an attempt FAILED)
    ├── Unreachable   somebody did not answer
    └── Bug           report us
    Stale             a lost race; not an error, one loop handles it
    Interrupted       raised inside a step that was told to stop
"""

from __future__ import annotations

__all__ = ["Bug", "Interrupted", "OboeError", "Refused", "Stale", "StepFailed", "TryAgain", "Unreachable", "crash_text"]


def crash_text(error: BaseException) -> str:
    """What people read of an error that nobody meant: its class, and the first line of what it says."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is has a class all the same
        text = ""
    reason = (text.strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__


class OboeError(Exception):
    """Something a person will read: a stable dotted ``code``, a ``message``, and a ``hint`` of what to do."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class Refused(OboeError):
    """What was asked cannot be done as things stand; asking the same again will not help."""


class TryAgain(OboeError):
    """The same request may succeed after ``after_seconds``."""

    def __init__(self, code: str, message: str, *, hint: str = "", after_seconds: float = 1.0) -> None:
        super().__init__(code, message, hint=hint)
        self.after_seconds = after_seconds


class StepFailed(OboeError):
    """A step gives up; its sub-task is FAILED with this reason in its log.

    ``leftover``, of an undo: what stays behind, because nobody can undo it now.
    A person may then skip the undo, whatever its node allows."""

    def __init__(self, code: str, message: str, *, hint: str = "", leftover: str = "") -> None:
        super().__init__(code, message, hint=hint)
        self.leftover = leftover


class Unreachable(OboeError):
    """An agent, a database or a host did not answer in time."""


class Bug(OboeError):
    """oboe contradicts itself; worth a report."""


class Stale(Exception):
    """A guarded write lost its race: somebody else moved the version. Load and try again."""


class Interrupted(Exception):
    """Raised inside a step at its next wait, call or log line after it was told to stop."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause
