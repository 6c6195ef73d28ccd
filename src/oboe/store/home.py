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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from oboe.domain.errors import Bug, Refused
from oboe.domain.fold import dag_state, holds_lock, settled
from oboe.domain.messages import Level, LogLine
from oboe.domain.model import Dag
from oboe.domain.records import AttemptLine, Change, Draft, Edition, Header, LogRecord, Page, Regress
from oboe.domain.searching import Search
from oboe.domain.values import MaintenanceKind, State
from oboe.store import searching, statements
from oboe.store.database import KEYS_MAX, Database, Row, Session, listed, portions
from oboe.store.encoding import changed_sub_tasks, dag_of, draft_dag, encode_facts, encode_state, encode_sub_task
from oboe.store.locks import GLOBAL_SCOPE, HeldLock, MaintenanceHeld, conflict, lock_of
from oboe.store.regress import begin_recall, end_recall, read_regress
from oboe.store.searching import search_facts, search_row

__all__ = ["Poisoned", "SqlHome", "printable"]

_OWNERS = {"dag": statements.OWNER_OF_DAG, "node": statements.OWNER_OF_NODE, "sub_task": statements.OWNER_OF_SUB_TASK}
_AFTER_ALL = 1 << 62
"""Greater than every id."""


@dataclass(frozen=True, slots=True)
class Poisoned:
    """A dag that cannot be read: set aside, so that it does not stop the others."""

    key: str
    dag_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Prepared:
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
        self.poisoned: list[Poisoned] = []
        """What the last `unsettled` could not read."""

    # Making

    def create(self, draft: Draft) -> Dag:
        made = draft_dag(draft, number=0, node_base=0, sub_task_base=0)
        facts = encode_facts(made)
        return self._database.write(lambda session: self._create(session, made, facts))

    def _create(self, session: Session, made: Dag, facts: str) -> Dag:
        numbers = _lock_counters(session, "dag", "node", "regress", "sub_task")
        known = session.rows(statements.ID_OF_KEY, (made.key,))
        if known:
            return _whole(self._dags(session, [known[0][0]]))
        dag = replace(made, id=numbers["dag"] + 1, node_base=numbers["node"] + 1, sub_task_base=numbers["sub_task"] + 1)
        dag = replace(dag, epoch=numbers.get("regress", 0))  # whatever the store lost before, it did not lose this dag
        if holds_lock(dag):
            _take(session, lock_of(dag, dag.created_at), _locks(session))
        counted = {"dag": 1, "node": len(dag.plan.nodes), "sub_task": dag.plan.size}
        session.many(statements.SET_COUNTER, [(name, numbers[name] + count) for name, count in counted.items()])
        maintained = int(dag.maintenance.kind is not MaintenanceKind.NONE)
        session.run(
            statements.INSERT_DAG,
            (dag.id, dag.key, dag.name, maintained, dag.node_base, dag.sub_task_base, dag.plan.size, dag.created_at, facts),
        )
        session.many(statements.PUT_STATE, [_state_row(dag)])
        session.many(statements.PUT_SEARCH, [search_row(dag)])
        return dag

    # Changing

    def save(self, changes: Sequence[Change], lines: Sequence[AttemptLine] = ()) -> Mapping[str, Literal["stale"] | Refused]:
        prepared = [self._prepare(change) for change in changes]
        return self._database.write(lambda session: self._save(session, prepared, lines))

    def _prepare(self, change: Change) -> _Prepared:
        before, after = change.before, change.after
        held, holds = holds_lock(before), holds_lock(after)
        return _Prepared(
            key=after.key,
            dag_id=after.id,
            version_before=before.version,
            version=after.version,
            state=_state_row(after),
            search=None if search_facts(before) == search_facts(after) else search_row(after),
            sub_tasks=[(after.id, index, encode_sub_task(sub_task)) for index, sub_task in changed_sub_tasks(before, after)],
            wins=lock_of(after, self._clock()) if holds and not held else None,
            releases=held and not holds,
        )

    def _save(self, session: Session, prepared: Sequence[_Prepared], lines: Sequence[AttemptLine]) -> dict[str, Literal["stale"] | Refused]:
        """The guard names each lost race, so nothing has to be rolled back and repeated dag by dag."""
        mutexes = [name for name, needed in (("dag", any(each.wins for each in prepared)), ("log", lines)) if needed]
        numbers = _lock_counters(session, *mutexes) if mutexes else {}
        failed: dict[str, Literal["stale"] | Refused] = {}
        if len(prepared) == 1 and not prepared[0].wins:
            kept = [each for each in prepared if _change_alone(session, each)]
            failed.update((each.key, "stale") for each in prepared if each not in kept)
            _run_listed(session, statements.RELEASE_LOCKS, [each.key for each in kept if each.releases])
        else:
            kept = self._change_together(session, prepared, failed)
        if moved := [each.search for each in kept if each.search is not None]:
            session.many(statements.PUT_SEARCH, moved)
        if changed := [row for each in kept for row in each.sub_tasks]:
            session.many(statements.PUT_SUB_TASK, changed)
        if lines:
            lost = {each.dag_id for each in prepared if each.key in failed}
            _write_lines(session, [line for line in lines if line.dag_id not in lost], numbers["log"])
        return failed

    def _change_together(
        self, session: Session, prepared: Sequence[_Prepared], failed: dict[str, Literal["stale"] | Refused]
    ) -> list[_Prepared]:
        """The states of those that have not lost a race, and the maintenance locks that they win; why not, of the others."""
        current = _guard(session, [each.dag_id for each in prepared])
        kept = []
        for each in prepared:
            if each.key in failed or current.get(each.dag_id) != each.version_before:
                failed[each.key] = "stale"
            else:
                current[each.dag_id] = each.version
                kept.append(each)
        _run_listed(session, statements.RELEASE_LOCKS, [each.key for each in kept if each.releases])
        if any(each.wins for each in kept):
            refused = _win(session, [each.wins for each in kept if each.wins])
            kept = [each for each in kept if each.key not in refused]
            failed.update(refused)
        if kept:
            session.many(statements.PUT_STATE, [each.state for each in kept])
        return kept

    # Reading

    def load(self, key: str) -> Dag | None:
        def work(session: Session) -> Dag | None:
            found = session.rows(statements.ID_OF_KEY, (key,))
            return _whole(self._dags(session, [found[0][0]])) if found else None

        return self._database.read(work)

    def find(self, kind: Literal["dag", "node", "sub_task"], number: int) -> tuple[Dag, int] | None:
        def work(session: Session) -> tuple[Dag, int] | None:
            rows = session.rows(_OWNERS[kind], (number,)) if 0 < number < _AFTER_ALL else []
            if not rows:
                return None
            dag = _whole(self._dags(session, [rows[0][0]]))
            index = number - rows[0][1]
            size = {"dag": 1, "node": len(dag.plan.nodes), "sub_task": dag.plan.size}[kind]
            return (dag, index) if index < size else None

        return self._database.read(work)

    def versions(self, keys: Sequence[str]) -> Mapping[str, int]:
        return dict(self._database.read(lambda session: _rows_listed(session, statements.VERSIONS, keys)))

    def unsettled(self) -> list[Dag]:
        def work(session: Session) -> list[Dag | Poisoned]:
            return self._dags(session, [number for (number,) in session.rows(statements.UNSETTLED)])

        found = self._database.read(work)
        self.poisoned = [one for one in found if isinstance(one, Poisoned)]
        return [one for one in found if isinstance(one, Dag)]

    def newest_maintenance(self) -> Dag | None:
        def work(session: Session) -> Dag | None:
            found = session.rows(statements.NEWEST_MAINTENANCE)
            return _whole(self._dags(session, [found[0][0]])) if found else None

        return self._database.read(work)

    def edition(self, number: int) -> Edition | None:
        rows = self._database.read(lambda session: session.rows(statements.EDITION, (number,)) if number < _AFTER_ALL else [])
        return _edition(rows)

    def newest_maintenance_edition(self) -> Edition | None:
        return _edition(self._database.read(lambda session: session.rows(statements.NEWEST_MAINTENANCE_EDITION)))

    def page(self, page: Page) -> list[Dag]:
        def work(session: Session) -> list[Dag]:
            numbers = _page(session, page)
            found = {one.id: one for one in self._dags(session, numbers) if isinstance(one, Dag)}
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
        found = self._database.read(lambda session: self._dags(session, numbers))
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
        held = self._database.read(lambda session: _locks(session, statements.HELD_LOCKS))
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
        return self._database.write(lambda session: _forget(session, older_than, keep_count, batch))

    # Inside

    def _dags(self, session: Session, numbers: Sequence[int]) -> list[Dag | Poisoned]:
        """By id; those that are not there any more are left out."""
        found: list[Dag | Poisoned] = []
        for portion in portions(sorted(numbers)):
            bodies: dict[int, dict[int, tuple[int, str]]] = {}
            facts = session.rows(*listed(statements.FACTS, portion))
            for dag_id, place, version, body in session.rows(*listed(statements.BODIES, portion, lists=2)):
                bodies.setdefault(dag_id, {})[place] = (version, body)
            found += [_read(row, bodies[row[1]]) for row in facts if row[1] in bodies]
        return found


def _read(row: Row, bodies: dict[int, tuple[int, str]]) -> Dag | Poisoned:
    version, state = bodies.pop(-1, (0, "it has no state"))
    try:
        return dag_of(row, version, state, {index: body for index, (_, body) in bodies.items()})
    except (ValueError, TypeError, LookupError) as error:  # what msgspec says of a text it cannot read is a ValueError
        return Poisoned(row[0], row[1], str(error))


def _whole(found: Sequence[Dag | Poisoned]) -> Dag:
    (one,) = found
    if isinstance(one, Poisoned):
        raise Bug("store.corrupt", f"dag {one.dag_id} ({one.key}) cannot be read: {one.reason}", hint="restore the store from a backup")
    return one


def _edition(rows: Sequence[Row]) -> Edition | None:
    for number, key, version, lines, regress in rows:
        return Edition(number, key, version, lines, regress or 0)
    return None


def _state_row(dag: Dag) -> Row:
    return (dag.id, dag.version, int(dag_state(dag)), int(settled(dag)), encode_state(dag))


def _lock_counters(session: Session, *names: str) -> dict[str, int]:
    """The last numbers given, which nobody else may move before this transaction ends."""
    return dict(session.rows(*listed(statements.LOCK_COUNTERS, names)))


def _guard(session: Session, numbers: Sequence[int]) -> dict[int, int]:
    return dict(_rows_listed(session, statements.GUARD, sorted(numbers)))


def _change_alone(session: Session, change: _Prepared) -> bool:
    """Whether its state was as it thought, and is now as it wants: one round trip."""
    dag_id, *facts = change.state
    return session.run(statements.CHANGE_STATE, (*facts, dag_id, change.version_before)) == 1


def _rows_listed(session: Session, statement: str, keys: Sequence[Any]) -> list[Row]:
    return [row for portion in portions(keys) for row in session.rows(*listed(statement, portion))]


def _run_listed(session: Session, statement: str, keys: Sequence[Any]) -> None:
    for portion in portions(keys):
        session.run(*listed(statement, portion))


def _locks(session: Session, statement: str = statements.LOCKS) -> list[HeldLock]:
    return [HeldLock(scope, key, MaintenanceKind(kind), name, number, at) for scope, key, kind, name, number, at in session.rows(statement)]


def _take(session: Session, lock: HeldLock, held: list[HeldLock]) -> None:
    """Add the lock; `MaintenanceHeld` when another is in its way."""
    in_the_way = conflict(lock, held)
    if in_the_way is not None:
        raise MaintenanceHeld(in_the_way)
    session.run(statements.TAKE_LOCK, (lock.scope, lock.dag_key, int(lock.kind), lock.dag_name, lock.dag_id, lock.taken_at))
    held.append(lock)


def _win(session: Session, wanted: Iterable[HeldLock]) -> dict[str, MaintenanceHeld]:
    """Take each lock that is free; by key, why not for the others."""
    held = _locks(session)
    refused = {}
    for lock in wanted:
        try:
            _take(session, lock, held)
        except MaintenanceHeld as error:
            refused[lock.dag_key] = error
    return refused


def _write_lines(session: Session, lines: Sequence[AttemptLine], last: int) -> None:
    if not lines:
        return
    session.many(
        statements.INSERT_LINE,
        [
            (
                last + place,
                each.dag_id,
                each.sub_task,
                each.attempt,
                each.line.seq,
                each.line.at,
                int(each.line.level),
                each.line.code,
                printable(each.line.text),
            )
            for place, each in enumerate(lines, 1)
        ],
    )
    session.many(statements.SET_COUNTER, [("log", last + len(lines))])


def printable(text: str) -> str:
    """The text without halves of surrogate pairs, which no database keeps: a command may print any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


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


def _forget(session: Session, older_than: int, keep_count: int | None, batch: int) -> list[str]:
    oldest = session.rows(statements.OLDEST_SETTLED, (batch,))
    beyond = 0
    if keep_count is not None:
        kept = session.rows(statements.NTH_NEWEST_SETTLED, (max(keep_count - 1, 0),))
        beyond = kept[0][0] + (not keep_count) if kept else 0
    newest = session.rows(statements.NEWEST_MAINTENANCE)
    spared = newest[0][0] if newest else 0
    gone = [(number, key) for number, key, made in oldest if number != spared and (made < older_than or number < beyond)]
    for statement in statements.FORGET:
        _run_listed(session, statement, [number for number, _ in gone])
    return [key for _, key in gone]
