"""Reports of this agent on their way home, until they are acknowledged.

What is told of one attempt is gathered: a report carries all lines that its home has not acknowledged. Invariants: lines leave in the
order of their ``seq``; nothing is forgotten before a home has answered for it.

A home that this very process serves is not called: it is told, without waiting, so that one turn hears all who end together; it is
called like any other when that comes to nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace

from oboe.domain.errors import TryAgain, Unreachable
from oboe.domain.messages import Fence, LogLine, Phase, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address
from oboe.engine.lanes import Lanes
from oboe.engine.limits import Limits
from oboe.engine.ports import Courier

__all__ = ["Reporter"]

_LINES_MAX = 1000
"""In one report."""
_COMPANY_SECONDS = 0.004
_COMPANY_SECONDS_MAX = 0.1
"""So long, and up to twice as long, a begin waits for company on its way to a home of this process: most often for its own end, which
makes it superfluous. The greater time while a crowd is on its way, because a turn takes longer then."""
_CROWD = 32
"""So many reports on their way at once make a turn take longer."""
_OVER = "acknowledged ends"
_OVER_SECONDS = 0.02
"""So long an acknowledged end waits for company: nobody waits for it, and what comes next must not wait for its commit."""


class _Outgoing:
    """What a home has not acknowledged of one attempt."""

    __slots__ = ("call", "ended", "home", "kept", "lines", "maintainer", "shown", "started", "told")

    def __init__(self, home: Home, maintainer: Address) -> None:
        self.home = home
        self.maintainer = maintainer
        self.started: Report | None = None
        self.shown: Report | None = None
        self.ended: Report | None = None
        self.lines: list[LogLine] = []
        self.kept = -1
        """The last line that is on the disk, because its home did not answer."""
        self.told = False
        """Its home, in this process, has a report of it and has not answered yet."""
        self.call = False
        """Telling came to nothing."""

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
    """Thread-safe. ``over`` hears of every end that a home has acknowledged, ``stop`` of every attempt that it wants ended.

    ``near`` tells a home of this process; None: it serves none such. ``keep`` writes lines down that a home could not be told of."""

    def __init__(
        self,
        courier: Courier,
        limits: Limits,
        *,
        here: Address,
        near: Callable[[Home, Report], Future[Verdict] | None],
        over: Callable[[Sequence[Fence]], None],
        stop: Callable[[Fence], None],
        keep: Callable[[Fence, Sequence[LogLine]], None],
    ) -> None:
        self._courier = courier
        self._here = here
        self._near = near
        self._over = over
        self._stop = stop
        self._keep = keep
        self._lock = threading.Lock()
        self._outgoing: dict[Fence, _Outgoing] = {}
        self._begins: dict[tuple[float, int], list[Fence]] = {}
        """Begun here for a home of this process, by the span of time in which they began."""
        self._ends: list[Fence] = []
        """Acknowledged, and not passed on to ``over`` yet."""
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
        if report.phase is Phase.STARTED and maintainer == self._here:
            self._tell_later(report.fence)
        elif report.phase is not Phase.ENDED or not self._tell_near(report.fence):
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

    def ask(
        self, home: Home, maintainer: Address, report: Report, answered: Callable[[Verdict], None], *, wanted: Callable[[], bool]
    ) -> None:
        """Tell it, and hear what its home makes of it, sooner or later; as long as that is ``wanted``."""

        def send() -> None:
            verdict = self._courier.report(home, maintainer, report)
            if verdict is Verdict.NOT_MINE:
                raise TryAgain("report.no_home", f"nobody serves the home of dag {report.fence.dag_key} now")
            answered(verdict)

        self._lanes.put((home, maintainer), ("ask", report.fence), send, wanted=wanted)

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
        return len(self._outgoing) + len(self._ends)

    def stop(self) -> None:
        self._lanes.stop()

    def _put(self, fence: Fence, home: Home, maintainer: Address) -> None:
        self._lanes.put((home, maintainer), fence, lambda: self._send(fence))

    def _tell_later(self, fence: Fence) -> None:
        """Its begin, if that is still news when those that began about now are told."""
        pause = _COMPANY_SECONDS if len(self._outgoing) < _CROWD else _COMPANY_SECONDS_MAX
        span = (pause, int(time.monotonic() / pause))
        with self._lock:
            fences = self._begins.get(span)
            if fences is not None:
                fences.append(fence)
                return
            self._begins[span] = [fence]
        self._lanes.put(span, span, lambda: self._tell_begins(span), after=2 * pause)

    def _tell_begins(self, span: tuple[float, int]) -> None:
        with self._lock:
            begun = [(fence, self._outgoing.get(fence)) for fence in self._begins.pop(span)]
            news = [(fence, one.home, one.maintainer) for fence, one in begun if one is not None and one.started is not None]
        for fence, home, maintainer in news:
            if not self._tell_near(fence):
                self._put(fence, home, maintainer)

    def _tell_near(self, fence: Fence) -> bool:
        """Whether a home of this process has all that there is to say of that attempt, or will have it once it has answered."""
        with self._lock:
            outgoing = self._outgoing.get(fence)
            if outgoing is None or outgoing.told:
                return True
            report = outgoing.next_report()
            if outgoing.call or outgoing.maintainer != self._here or report is None:
                return False
            outgoing.told = True
        answer = self._near(outgoing.home, report)
        if answer is None:
            outgoing.told = False
            return False
        answer.add_done_callback(lambda answer: self._answered(outgoing, report, answer))
        return True

    def _answered(self, outgoing: _Outgoing, report: Report, answer: Future[Verdict]) -> None:
        """Within the home's turn: take its answer in, leave everything else to the lanes."""
        fence = report.fence
        heard = answer.exception() is None and answer.result() is Verdict.HEARD
        with self._lock:
            outgoing.told, outgoing.call = False, not heard
            if heard:
                outgoing.acknowledge(report)
            if heard and report.phase is Phase.ENDED:
                self._ends.append(fence)
                self._outgoing.pop(fence, None)
            more = self._outgoing.get(fence) is outgoing and outgoing.next_report() is not None
        if heard and report.phase is Phase.ENDED:
            self._lanes.put(_OVER, _OVER, self._pass_ends_on, after=_OVER_SECONDS)
        if more and not self._tell_near(fence):
            self._put(fence, outgoing.home, outgoing.maintainer)

    def _pass_ends_on(self) -> None:
        """All ends that were acknowledged, together."""
        with self._lock:
            ends = tuple(self._ends)
        self._over(ends)
        with self._lock:
            del self._ends[: len(ends)]

    def _send(self, fence: Fence) -> None:
        """All that there is to say of one attempt."""
        if self._tell_near(fence):
            return
        while True:
            with self._lock:
                outgoing = self._outgoing.get(fence)
                report = None if outgoing is None else outgoing.next_report()
                if outgoing is None or report is None:
                    return
                home, maintainer = outgoing.home, outgoing.maintainer
            try:
                verdict = self._courier.report(home, maintainer, report)
                if verdict is Verdict.NOT_MINE:
                    raise TryAgain("report.no_home", f"nobody serves the home of dag {fence.dag_key} now")
            except (TryAgain, Unreachable):
                self._keep_lines(outgoing, report)
                raise
            if verdict is Verdict.STOP and report.phase is not Phase.ENDED:
                self._forget(fence, unless_ended=True)
                self._stop(fence)
                continue
            with self._lock:
                outgoing.acknowledge(report)
                outgoing.call = False
                over = report.phase is Phase.ENDED
            if over:
                self._over((fence,))
                self._forget(fence, unless_ended=False)
                return

    def _keep_lines(self, outgoing: _Outgoing, report: Report) -> None:
        """A home that does not answer may be away for long; what an attempt that goes on has written must outlive this agent."""
        lines = [line for line in report.lines if line.seq > outgoing.kept]
        if lines and report.phase is not Phase.ENDED:  # an end was written down with its lines
            self._keep(report.fence, lines)
            outgoing.kept = lines[-1].seq

    def _forget(self, fence: Fence, *, unless_ended: bool) -> None:
        with self._lock:
            outgoing = self._outgoing.get(fence)
            if outgoing is None:
                return
            if unless_ended and outgoing.ended is not None:
                outgoing.started = outgoing.shown = None
            else:
                del self._outgoing[fence]
