"""A home for dags in tables: `SqlHome` does for every database what `oboe.engine.ports.DagStore` says.

Tables and what holds between them:

- ``dag`` never changes after it was made; ``dag_state`` and ``sub_task`` hold what does. A sub-task that is as it was made has no row.
- ``dag_state.version`` moves in the transaction that moves anything else of the dag; ``state``, ``settled`` are indexes, written with it.
- ``dag_search`` repeats of a dag what searches look at; its row moves in the transaction that moves one of these.
- ``maintenance_lock`` has a row for a dag exactly while `oboe.domain.fold.holds_lock` says so of the stored value.
- ``counter`` holds the last number given, by kind; its row ``regress``, if there is one, the epoch in which the store last went back.
  Its row ``dag`` is also the mutex of whoever takes a maintenance lock.
- Locks on rows are taken in this order: counters by name, states by id, maintenance locks.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from oboe.domain.errors import Bug, OboeError, Refused
from oboe.domain.fold import holds_lock
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag
from oboe.domain.records import AttemptLine, Change, Draft, Edition, Header, LogRecord, Page, Regress
from oboe.domain.searching import Search
from oboe.domain.values import State
from oboe.store import searching, statements
from oboe.store.database import KEYS_MAX, Database, Row, Session, listed, portions, rows_listed, run_listed
from oboe.store.encoding import changed_sub_tasks, encode_sub_task
from oboe.store.forgetting import forget_dags
from oboe.store.lines import write_lines
from oboe.store.locks import GLOBAL_SCOPE, HeldLock, MaintenanceHeld, conflict, lock_of
from oboe.store.making import Prepared, make_dags, prepare
from oboe.store.regress import begin_recall, end_recall, read_regress
from oboe.store.searching import search_facts, search_row
from oboe.store.taking import held_locks, lock_counters, win_locks
from oboe.store.together import Place, Together
from oboe.store.whole import Poisoned, read_dags, state_row, whole

__all__ = ["SqlHome"]

_OWNERS = {"dag": statements.OWNER_OF_DAG, "node": statements.OWNER_OF_NODE, "sub_task": statements.OWNER_OF_SUB_TASK}
_CREATE_MAX = 64
"""Dags made in one transaction."""
_AFTER_ALL = 1 << 62
"""Greater than every id."""


@dataclass(frozen=True, slots=True)
class _Changed:
    """A change, encoded before the transaction begins."""

    key: str
    dag_id: int
    version_before: int
    version: int
    state: Row
    search: Row | None
    sub_tasks: list[Row]
    wins: HeldLock | None
    releases: bool


class SqlHome:
    """Dags in the tables of one database. Thread-safe."""

    def __init__(self, database: Database, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._database = database
        self._clock = clock
        self._together = Together(self._create, batch_max=_CREATE_MAX)
        self.poisoned: list[Poisoned] = []
        """What the last `unsettled` could not read."""

    # Making

    def create(self, draft: Draft) -> Dag:
        return self._together(prepare(draft))

    def _create(self, places: Sequence[Place[Prepared, Dag]]) -> None:
        """In one transaction; one that cannot be made disturbs nobody."""
        try:
            answers = self._database.write(lambda session: make_dags(session, [place.item for place in places]))
        except Bug:
            if len(places) == 1:
                raise
            for place in places:
                try:
                    self._create([place])
                except OboeError as error:
                    place.failure = error
            return
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, Dag):
                place.answer = answer
            else:
                place.failure = answer

    # Changing

    def save(self, changes: Sequence[Change], lines: Sequence[AttemptLine] = ()) -> Mapping[str, Literal["stale"] | Refused]:
        prepared = [self._prepare(change) for change in changes]
        return self._database.write(lambda session: self._save(session, prepared, lines))

    def _prepare(self, change: Change) -> _Changed:
        before, after = change.before, change.after
        held, holds = holds_lock(before), holds_lock(after)
        return _Changed(
            key=after.key,
            dag_id=after.id,
            version_before=before.version,
            version=after.version,
            state=state_row(after),
            search=None if search_facts(before) == search_facts(after) else search_row(after),
            sub_tasks=[(after.id, index, encode_sub_task(sub_task)) for index, sub_task in changed_sub_tasks(before, after)],
            wins=lock_of(after, self._clock()) if holds and not held else None,
            releases=held and not holds,
        )

    def _save(self, session: Session, prepared: Sequence[_Changed], lines: Sequence[AttemptLine]) -> dict[str, Literal["stale"] | Refused]:
        """The guard names each lost race, so nothing has to be rolled back and repeated dag by dag."""
        mutexes = [name for name, needed in (("dag", any(each.wins for each in prepared)), ("log", lines)) if needed]
        numbers = lock_counters(session, *mutexes) if mutexes else {}
        failed: dict[str, Literal["stale"] | Refused] = {}
        if len(prepared) == 1 and not prepared[0].wins:
            kept = [each for each in prepared if _change_alone(session, each)]
            failed.update((each.key, "stale") for each in prepared if each not in kept)
            run_listed(session, statements.RELEASE_LOCKS, [each.key for each in kept if each.releases])
        else:
            kept = self._change_together(session, prepared, failed)
        if moved := [each.search for each in kept if each.search is not None]:
            session.many(statements.PUT_SEARCH, moved)
        if changed := [row for each in kept for row in each.sub_tasks]:
            session.many(statements.PUT_SUB_TASK, changed)
        if lines:
            lost = {each.dag_id for each in prepared if each.key in failed}
            write_lines(session, [line for line in lines if line.dag_id not in lost], numbers["log"])
        return failed

    def _change_together(
        self, session: Session, prepared: Sequence[_Changed], failed: dict[str, Literal["stale"] | Refused]
    ) -> list[_Changed]:
        """The states of those that have not lost a race, and the maintenance locks that they win; why not, of the others."""
        current = _guard(session, [each.dag_id for each in prepared])
        kept = []
        for each in prepared:
            if each.key in failed or current.get(each.dag_id) != each.version_before:
                failed[each.key] = "stale"
            else:
                current[each.dag_id] = each.version
                kept.append(each)
        run_listed(session, statements.RELEASE_LOCKS, [each.key for each in kept if each.releases])
        if any(each.wins for each in kept):
            refused = win_locks(session, [each.wins for each in kept if each.wins])
            kept = [each for each in kept if each.key not in refused]
            failed.update(refused)
        if kept:
            session.many(statements.PUT_STATE, [each.state for each in kept])
        return kept

    # Reading

    def load(self, key: str) -> Dag | None:
        def work(session: Session) -> Dag | None:
            found = session.rows(statements.ID_OF_KEY, (key,))
            return whole(read_dags(session, [found[0][0]])) if found else None

        return self._database.read(work)

    def find(self, kind: Literal["dag", "node", "sub_task"], number: int) -> tuple[Dag, int] | None:
        def work(session: Session) -> tuple[Dag, int] | None:
            rows = session.rows(_OWNERS[kind], (number,)) if 0 < number < _AFTER_ALL else []
            if not rows:
                return None
            dag = whole(read_dags(session, [rows[0][0]]))
            index = number - rows[0][1]
            size = {"dag": 1, "node": len(dag.plan.nodes), "sub_task": dag.plan.size}[kind]
            return (dag, index) if index < size else None

        return self._database.read(work)

    def versions(self, keys: Sequence[str]) -> Mapping[str, int]:
        return dict(self._database.read(lambda session: rows_listed(session, statements.VERSIONS, keys)))

    def unsettled(self) -> list[Dag]:
        def work(session: Session) -> list[Dag | Poisoned]:
            return read_dags(session, [number for (number,) in session.rows(statements.UNSETTLED)])

        found = self._database.read(work)
        self.poisoned = [one for one in found if isinstance(one, Poisoned)]
        return [one for one in found if isinstance(one, Dag)]

    def newest_maintenance(self) -> Dag | None:
        def work(session: Session) -> Dag | None:
            found = session.rows(statements.NEWEST_MAINTENANCE)
            return whole(read_dags(session, [found[0][0]])) if found else None

        return self._database.read(work)

    def edition(self, number: int) -> Edition | None:
        rows = self._database.read(lambda session: session.rows(statements.EDITION, (number,)) if number < _AFTER_ALL else [])
        return _edition(rows)

    def newest_maintenance_edition(self) -> Edition | None:
        return _edition(self._database.read(lambda session: session.rows(statements.NEWEST_MAINTENANCE_EDITION)))

    def page(self, page: Page) -> list[Dag]:
        def work(session: Session) -> list[Dag]:
            numbers = _page(session, page)
            found = {one.id: one for one in read_dags(session, numbers) if isinstance(one, Dag)}
            return [found[number] for number in numbers if number in found]

        return self._database.read(work)

    def search(self, search: Search) -> list[Header]:
        return self._database.read(lambda session: searching.search(session, search))

    def count(self, search: Search) -> Mapping[State, int]:
        return self._database.read(lambda session: searching.count(session, search))

    def many(self, numbers: Sequence[int]) -> list[Dag]:
        """Those dags, by id; what is gone or cannot be read is left out."""
        if not numbers:
            return []
        found = self._database.read(lambda session: read_dags(session, numbers))
        return [one for one in found if isinstance(one, Dag)]

    def logs(self, dag: Dag, sub_tasks: Sequence[int] | None = None, *, after: int = 0) -> list[LogRecord]:
        def work(session: Session) -> list[Row]:
            if sub_tasks is None:
                return session.rows(statements.ALL_LINES, (dag.id, after))
            rows = []
            for portion in portions(sorted(set(sub_tasks))):
                statement, keys = listed(statements.LINES, portion)
                rows += session.rows(statement, (dag.id, after, *keys))
            return sorted(rows) if len(sub_tasks) > KEYS_MAX else rows

        return [
            LogRecord(number, sub_task, attempt, LogLine(seq, at, Level(level), text, code))
            for number, sub_task, attempt, seq, at, level, code, text in self._database.read(work)
        ]

    def under_maintenance(self) -> bool:
        return bool(self._database.read(lambda session: session.rows(statements.HAS_LOCK, (GLOBAL_SCOPE,)))[0][0])

    def lock_in_the_way(self, dag: Dag) -> str:
        """Who holds the lock that this dag, which has none yet, would take; empty: nobody."""
        held = self._database.read(lambda session: held_locks(session, statements.HELD_LOCKS))
        lock = conflict(lock_of(dag, 0), held)
        return "" if lock is None else MaintenanceHeld(lock).message

    # Going back

    def regress(self) -> Regress:
        return self._database.read(read_regress)

    def begin_recall(self, epoch: int) -> None:
        """The store is known to have gone back; ``epoch`` is the new one."""
        at = self._clock()
        self._database.write(lambda session: begin_recall(session, epoch, at))

    def end_recall(self) -> None:
        """Maintenance locks are granted again."""
        self._database.write(end_recall)

    # Forgetting

    def forget(self, older_than: int, keep_count: int | None = None, *, batch: int = 500) -> list[str]:
        """Remove settled dags made before ``older_than`` (nanoseconds), and the oldest beyond the newest ``keep_count``; their keys.

        At most ``batch`` in one call: ask again while the answer is full. The newest maintenance dag stays."""
        return self._database.write(lambda session: forget_dags(session, older_than, keep_count, batch))


def _edition(rows: Sequence[Row]) -> Edition | None:
    for number, key, version, lines, regress in rows:
        return Edition(number, key, version, lines, regress or 0)
    return None


def _guard(session: Session, numbers: Sequence[int]) -> dict[int, int]:
    return dict(rows_listed(session, statements.GUARD, sorted(numbers)))


def _change_alone(session: Session, change: _Changed) -> bool:
    """Whether its state was as it thought, and is now as it wants: one round trip."""
    dag_id, *facts = change.state
    return session.run(statements.CHANGE_STATE, (*facts, dag_id, change.version_before)) == 1


def _page(session: Session, page: Page) -> list[int]:
    """Ids of the page, in order; one query for each name, merged, because an index serves one name at a time."""
    direction = "OLDEST" if page.oldest_first else "NEWEST"
    kind = "PAGE_" + ("" if page.settled is None else "SETTLED_") + ("NAMED_" if page.names else "") + direction
    statement: str = getattr(statements, kind)
    start = page.before_id or (0 if page.oldest_first else _AFTER_ALL)
    fixed = () if page.settled is None else (int(page.settled),)
    wanted: list[tuple[str, ...]] = [(name,) for name in dict.fromkeys(page.names)] or [()]
    found = [[number for (number,) in session.rows(statement, (*fixed, *name, start, page.limit))] for name in wanted]
    return list(heapq.merge(*found, reverse=not page.oldest_first))[: page.limit]
