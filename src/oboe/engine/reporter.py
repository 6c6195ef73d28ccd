"""Reports of this agent on their way home, until they are acknowledged.

What is told of one attempt is gathered: a report carries all lines that its home has not acknowledged. Invariants: lines leave in the
order of their ``seq``; nothing is forgotten before a home has answered for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from oboe.domain.errors import TryAgain
from oboe.domain.messages import Fence, LogLine, Phase, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from oboe.engine.ports import Courier

__all__ = ["Reporter"]

_LINES_MAX = 1000
"""In one report."""


class _Outgoing:
    """What a home has not acknowledged of one attempt."""

    __slots__ = ("ended", "home", "lines", "maintainer", "shown", "started")

    def __init__(self, home: Home, maintainer: Address) -> None:
        self.home = home
        self.maintainer = maintainer
        self.started: Report | None = None
        self.shown: Report | None = None
        self.ended: Report | None = None
        self.lines: list[LogLine] = []

    def next_report(self) -> Report | None:
        """Started first, because only it tells when; then what it shows; its end with the last lines."""
        lines = tuple(self.lines[:_LINES_MAX])
        if self.started is not None:
            return replace(self.started, lines=lines)
        if self.ended is not None and len(self.lines) <= _LINES_MAX:
            return replace(self.ended, lines=lines)
        last = self.shown or self.ended
        if last is None or (self.shown is None and not lines):
            return None
        return replace(last, phase=Phase.SHOWN, ok=True, result=None, lines=lines)

    def acknowledge(self, report: Report) -> None:
        """The home has heard that."""
        if report.lines:
            last = report.lines[-1].seq
            self.lines = [line for line in self.lines if line.seq > last]
        if report.phase is Phase.STARTED:
            self.started = None
        elif self.shown is not None and self.shown.at <= report.at:
            self.shown = None


class Reporter:
    """Thread-safe. ``over`` hears of every end that a home has acknowledged, ``stop`` of every attempt that it wants ended."""

    def __init__(self, courier: Courier, limits: Limits, *, over: Callable[[Fence], None], stop: Callable[[Fence], None]) -> None:
        self._courier = courier
        self._over = over
        self._stop = stop
        self._lock = threading.Lock()
        self._outgoing: dict[Fence, _Outgoing] = {}
        self._lanes = Lanes("report", limits)

    def tell(self, home: Home, maintainer: Address, report: Report) -> None:
        """Have it reported, sooner or later."""
        with self._lock:
            outgoing = self._outgoing.get(report.fence)
            if outgoing is None:
                outgoing = self._outgoing[report.fence] = _Outgoing(home, maintainer)
            outgoing.home, outgoing.maintainer = home, maintainer
            known = {line.seq for line in outgoing.lines}
            outgoing.lines.extend(line for line in report.lines if line.seq not in known)
            if report.phase is Phase.STARTED:
                outgoing.started = report
            elif report.phase is Phase.SHOWN:
                outgoing.shown = report
            else:
                outgoing.ended, outgoing.started = report, None
        self._put(report.fence, home, maintainer)

    def whole(self, report: Report) -> Report:
        """The same, with the lines told before that no home has acknowledged."""
        with self._lock:
            outgoing = self._outgoing.get(report.fence)
            if outgoing is None or not outgoing.lines:
                return report
            known = {line.seq for line in report.lines}
            earlier = tuple(line for line in outgoing.lines if line.seq not in known)
            return replace(report, lines=(*earlier, *report.lines))

    def redirect(self, fence: Fence, maintainer: Address) -> None:
        """Another agent maintains its home now."""
        with self._lock:
            outgoing = self._outgoing.get(fence)
            if outgoing is None or outgoing.maintainer == maintainer:
                return
            self._lanes.drop((outgoing.home, outgoing.maintainer), fence)
            outgoing.maintainer = maintainer
            home = outgoing.home
        self._put(fence, home, maintainer)

    def ask(self, home: Home, maintainer: Address, report: Report, answered: Callable[[Verdict], None]) -> None:
        """Tell it, and hear what its home makes of it, sooner or later."""

        def send() -> None:
            verdict = self._courier.report(home, maintainer, report)
            if verdict is Verdict.NOT_MINE:
                raise TryAgain("report.no_home", f"nobody serves the home of dag {report.fence.dag_key} now")
            answered(verdict)

        self._lanes.put((home, maintainer), ("ask", report.fence), send)

    def tell_again(self, home: Home, maintainer: Address, report: Report) -> None:
        """Once, now, what its home has acknowledged long ago. `Unreachable`, `TryAgain`."""
        self._courier.report(home, maintainer, replace(report, lines=()))

    def heard_of(self, maintainer: Address) -> None:
        """It answers again."""
        with self._lock:
            lanes = {(each.home, each.maintainer) for each in self._outgoing.values() if each.maintainer == maintainer}
        for lane in lanes:
            self._lanes.hurry(lane)

    @property
    def troubles(self) -> Mapping[str, str]:
        """Maintainers that cannot be told, with the reason."""
        return {str(lane): text for lane, text in self._lanes.troubles().items()}

    @property
    def pending(self) -> int:
        return len(self._outgoing)

    def stop(self) -> None:
        self._lanes.stop()

    def _put(self, fence: Fence, home: Home, maintainer: Address) -> None:
        self._lanes.put((home, maintainer), fence, lambda: self._send(fence))

    def _send(self, fence: Fence) -> None:
        """All that there is to say of one attempt."""
        while True:
            with self._lock:
                outgoing = self._outgoing.get(fence)
                report = None if outgoing is None else outgoing.next_report()
                if outgoing is None or report is None:
                    return
                home, maintainer = outgoing.home, outgoing.maintainer
            verdict = self._courier.report(home, maintainer, report)
            if verdict is Verdict.NOT_MINE:
                raise TryAgain("report.no_home", f"nobody serves the home of dag {fence.dag_key} now")
            if verdict is Verdict.STOP and report.phase is not Phase.ENDED:
                self._forget(fence, unless_ended=True)
                self._stop(fence)
                continue
            with self._lock:
                outgoing.acknowledge(report)
                over = report.phase is Phase.ENDED
            if over:
                self._over(fence)
                self._forget(fence, unless_ended=False)
                return

    def _forget(self, fence: Fence, *, unless_ended: bool) -> None:
        with self._lock:
            outgoing = self._outgoing.get(fence)
            if outgoing is None:
                return
            if unless_ended and outgoing.ended is not None:
                outgoing.started = outgoing.shown = None
            else:
                del self._outgoing[fence]
