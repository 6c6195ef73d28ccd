"""One turn of a scheduler: what came in, gathered dag by dag, and what it makes of each dag. Decides; carries nothing out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from oboe.domain import events
from oboe.domain.errors import Refused
from oboe.domain.machine import advance
from oboe.domain.messages import Level, LogLine, Phase, Report, Verdict
from oboe.domain.model import Dag
from oboe.domain.values import Address
from oboe.engine.ports import AttemptLine

__all__ = ["Asked", "Born", "Case", "Item", "Named", "Told", "Woken", "gather", "key_of"]

_WAKE = events.Wake()
_PLAIN_CODES = frozenset({"sub_task.timeout"})
"""Notes that OBShell's wire shows as they are, not as errors (`obshell-wire.md` §2.1.3)."""


@dataclass(frozen=True, slots=True)
class Told:
    """A report that somebody waits to have heard."""

    report: Report
    heard: Future[Verdict]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request; the future gets the dag once it is durable, or the refusal."""

    key: str
    event: events.Event
    granted: Future[Dag]


@dataclass(frozen=True, slots=True)
class Born:
    """A dag that was just created, or read from its home."""

    dag: Dag


@dataclass(frozen=True, slots=True)
class Woken:
    """Look at that dag."""

    key: str


@dataclass(frozen=True, slots=True)
class Named:
    """All that an agent knows of that dag, in answer to a recall; the future hears when it is durable."""

    key: str
    facts: events.Facts
    heard: Future[Verdict]


Item = Report | Told | Asked | Born | Woken | Named


class Case:
    """One dag in one turn."""

    __slots__ = (
        "after",
        "asked",
        "before",
        "born",
        "buried",
        "effects",
        "held",
        "items",
        "key",
        "lines",
        "named",
        "overdue",
        "refusals",
        "resumed",
        "started",
        "told",
        "wake",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.items: list[Item] = []
        self.told: list[tuple[Report, Future[Verdict] | None]] = []
        self.asked: list[Asked] = []
        self.named: list[Named] = []
        self.overdue: tuple[events.Event, ...] = ()
        """What the store's having gone back makes happen before anything else."""
        self.wake = False
        self.held = False
        """Its time to start has come, and another dag holds its maintenance lock: it is not woken in this turn."""
        self.born: Dag | None = None
        self.before: Dag | None = None
        self.after: Dag | None = None
        self.effects: list[events.Effect] = []
        self.lines: list[AttemptLine] = []
        self.refusals: dict[int, Refused] = {}
        """By the identity of the future that it answers."""
        self.started: list[int] = []
        """Sub-tasks for which a worker is reserved."""
        self.resumed: list[int] = []
        """Likewise, begun by an earlier life of this agent."""
        self.buried: list[int] = []
        """Begun by an earlier life, and not to go on."""

    def take(self, item: Item) -> None:
        """Put it where it belongs."""
        self.items.append(item)
        if isinstance(item, Report):
            self.told.append((item, None))
        elif isinstance(item, Told):
            self.told.append((item.report, item.heard))
        elif isinstance(item, Asked):
            self.asked.append(item)
        elif isinstance(item, Named):
            self.named.append(item)
        else:
            self.wake = True
            if isinstance(item, Born):
                self.born = item.dag

    @property
    def asks_cancel(self) -> bool:
        """Whether somebody asks to cancel the whole dag."""
        return any(isinstance(asked.event, events.Cancel) and asked.event.sub_task is None for asked in self.asked)

    def open(self, dag: Dag) -> None:
        """Begin with this value, forgetting what an earlier try made of another."""
        self.before = self.after = dag
        self.effects, self.lines = [], []
        self.started, self.resumed, self.buried = [], [], []
        self.refusals = {}

    def decide(self, *, now: int, here: Address, epoch: int) -> None:
        """Reports and wakes together, then each request alone, then a wake for what was asked."""
        dag = self.before
        assert dag is not None
        happened: list[events.Event] = [*self.overdue, *(named.facts for named in self.named)]
        happened += [_event_of(report) for report, _ in self.told]
        if self.wake and not self.held:
            happened.append(_WAKE)
        if happened:
            dag, effects = advance(dag, happened, now=now, here=here, epoch=epoch)
            self.effects.extend(effects)
        granted = False
        for asked in self.asked:
            if asked.granted.done():
                continue
            try:
                dag, effects = advance(dag, (asked.event,), now=now, here=here, epoch=epoch)
            except Refused as refusal:
                self.refusals[id(asked.granted)] = refusal
            else:
                granted = True
                self.effects.extend(effects)
        if granted and not self.held:
            dag, effects = advance(dag, (_WAKE,), now=now, here=here, epoch=epoch)
            self.effects.extend(effects)
        self.after = dag
        self.lines = [*_lines(dag, self.told), *_notes(dag, self.effects, now)]

    def begin(self, indices: Sequence[int], *, now: int, here: Address, epoch: int) -> None:
        """Workers of this very process take these sub-tasks: they are RUNNING in the same transaction."""
        dag = self.after
        assert dag is not None
        begun = [events.Started(index, dag.sub_tasks[index].epoch, dag.sub_tasks[index].attempt, now) for index in indices]
        self.after, effects = advance(dag, begun, now=now, here=here, epoch=epoch)
        self.effects.extend(effects)
        self.started.extend(indices)

    def verdict(self, report: Report) -> Verdict:
        """What that report is answered."""
        fence = report.fence
        stop = events.StopVerdict(fence.sub_task, fence.epoch, fence.attempt)
        return Verdict.STOP if stop in self.effects else Verdict.HEARD


def gather(items: Iterable[Item]) -> dict[str, Case]:
    """By dag, in order of arrival."""
    cases: dict[str, Case] = {}
    for item in items:
        key = key_of(item)
        case = cases.get(key)
        if case is None:
            case = cases[key] = Case(key)
        case.take(item)
    return cases


def key_of(item: Item) -> str:
    if isinstance(item, Report):
        return item.fence.dag_key
    if isinstance(item, Told):
        return item.report.fence.dag_key
    if isinstance(item, Born):
        return item.dag.key
    return item.key


def _event_of(report: Report) -> events.Report:
    fence = report.fence
    if report.phase is Phase.ENDED:
        return events.Ended(
            fence.sub_task,
            fence.epoch,
            fence.attempt,
            report.at,
            report.ok,
            report.operator,
            report.result,
            report.additional,
            report.leftover,
        )
    if report.phase is Phase.STARTED:
        return events.Started(fence.sub_task, fence.epoch, fence.attempt, report.at)
    return events.Shown(fence.sub_task, fence.epoch, fence.attempt, report.additional)


def _lines(dag: Dag, told: Iterable[tuple[Report, object]]) -> list[AttemptLine]:
    return [
        AttemptLine(dag.id, report.fence.sub_task, report.fence.attempt, line)
        for report, _ in told
        if report.lines and 0 <= report.fence.sub_task < dag.plan.size
        for line in report.lines
    ]


def _notes(dag: Dag, effects: Iterable[events.Effect], now: int) -> list[AttemptLine]:
    """Lines of the home itself. Their ``seq`` is beyond those of the agent: microseconds."""
    found = []
    for effect in effects:
        if isinstance(effect, events.Noted):
            plain = effect.code in _PLAIN_CODES
            line = LogLine(now // 1000, now, Level.INFO if plain else Level.ERROR, effect.text, "" if plain else effect.code)
            found.append(AttemptLine(dag.id, effect.sub_task, effect.attempt, line))
    return found
