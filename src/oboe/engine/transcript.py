"""What one attempt tells its home while it runs: log lines in order, ``additional``, and what it waits for.

Invariants: ``seq`` grows by one with each line; lines leave in the order in which they were written, each exactly once, because what
takes them hands them on under the same lock. What leaves is masked (lines, ``additional``, what is waited for), and valid UTF-8.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oboe.domain.errors import StepFailed
from oboe.domain.messages import Level, LogLine
from oboe.kit.mask import Mask
from oboe.kit.plain import sayable

__all__ = ["Transcript", "Waiting"]

_NOTES_MAX = 256
"""Members of ``additional``: each report has all of them."""
_ERRORS_MAX = 1000
"""Lines of errors that are kept beyond those of any level."""
_CODE_CHARACTERS_MAX = 128
"""What every store keeps whole; a longer one is not refused, because its line says why a step failed."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a step waits for, since and until when (nanoseconds), and how often it has looked."""

    why: str
    since: int
    until: int
    tries: int


class Transcript:
    """Thread-safe. ``notice`` is called when there is something to tell and nothing was pending before."""

    __slots__ = (
        "_additional",
        "_clock",
        "_dropped",
        "_jot",
        "_lines",
        "_lines_max",
        "_lock",
        "_notice",
        "_pending",
        "_seq",
        "_text_max",
        "_waiting",
        "mask",
    )

    def __init__(
        self,
        clock: Callable[[], int],
        notice: Callable[[], None],
        *,
        jot: Callable[[LogLine], None],
        earlier: Sequence[LogLine] = (),
        seq: int = 0,
        lines_max: int,
        text_max: int,
    ) -> None:
        """``jot`` keeps a line on the disk until it was handed over; ``earlier`` are those that it kept in an earlier life."""
        self._lock = threading.Lock()
        self._clock = clock
        self._notice = notice
        self._jot = jot
        self._lines = list(earlier)
        self._seq = seq
        self._lines_max = seq + lines_max
        self._text_max = text_max
        self._dropped = 0
        self._additional: dict[str, Any] | None = None
        self._pending = False
        self._waiting: Waiting | None = None
        self.mask = Mask()

    @property
    def waiting(self) -> Waiting | None:
        """What the step waits for, if it does."""
        return self._waiting

    @waiting.setter
    def waiting(self, what: Waiting | None) -> None:
        self._waiting = None if what is None else replace(what, why=self._sayable(what.why))

    @property
    def seq(self) -> int:
        """Of the next line."""
        return self._seq

    def write(self, level: Level, text: str, code: str = "", *, last: bool = False) -> None:
        """Add a line; too long a text is cut, and an attempt that writes too much is only counted. ``last`` is kept always."""
        text, code = self._sayable(text), self._sayable(code)[:_CODE_CHARACTERS_MAX]
        if len(text) > self._text_max:
            text = f"{text[: self._text_max]}… ({len(text)} characters)"
        with self._lock:
            if self._seq >= self._lines_max + (_ERRORS_MAX if level is Level.ERROR else 0) and not last:
                self._dropped += 1
                return
            line = LogLine(self._seq, self._clock(), level, text, code)
            self._lines.append(line)
            self._seq += 1
            self._jot(line)
        self._tell()

    def note(self, additional: dict[str, Any]) -> None:
        """Merge into ``additional``. `StepFailed` ``note.too_many``."""
        with self._lock:
            merged = {**(self._additional or {}), **self.mask.hide_in(additional)}
            if len(merged) > _NOTES_MAX:
                raise StepFailed(
                    "note.too_many", f"a step notes {_NOTES_MAX} things at most", hint="note one of them that holds the others"
                )
            self._additional = merged
        self._tell()

    def hand_over(self, take: Callable[[tuple[LogLine, ...], dict[str, Any] | None], None], *, always: bool) -> None:
        """Give ``take`` the lines not handed over yet, and ``additional`` as it stands; nothing to tell: only if ``always``."""
        with self._lock:
            if not self._pending and not always:
                return
            if always and self._dropped:
                text = f"{self._dropped} further lines were not kept"
                self._lines.append(LogLine(self._seq, self._clock(), Level.WARN, text))
                self._seq, self._dropped = self._seq + 1, 0
            lines, self._lines = tuple(self._lines), []
            self._pending = False
            take(lines, self._additional)

    def _sayable(self, said: object) -> str:
        """A step may say anything; what is no text is shown as Python shows it."""
        return sayable(self.mask.hide(said if isinstance(said, str) else repr(said)))

    def _tell(self) -> None:
        if not self._pending:
            self._pending = True
            self._notice()
