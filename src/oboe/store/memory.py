"""A home and an inbox in memory, for tests: the same behaviour, gone with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from oboe.domain.errors import Refused
from oboe.domain.fold import holds_lock, settled
from oboe.domain.messages import Fence, Interrupt, LogLine, Order, Report
from oboe.domain.model import Dag
from oboe.domain.records import AttemptLine, Change, Draft, Edition, Header, InboxEntry, LogRecord, Orphan, Page, Regress, is_clusters
from oboe.domain.searching import Search, among, counted
from oboe.domain.values import MaintenanceKind, State
from oboe.store.encoding import draft_dag
from oboe.store.lines import printable
from oboe.store.locks import GLOBAL_SCOPE, RECALL_SCOPE, HeldLock, MaintenanceHeld, conflict, lock_of, recall_lock
from oboe.store.whole import Poisoned

__all__ = ["MemoryHome", "MemoryInbox"]


class MemoryHome:
    """`oboe.engine.ports.DagStore` in a dict."""

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.poisoned: list[Poisoned] = []
        self._clock = clock
        self._mutex = threading.RLock()
        self._dags: dict[int, Dag] = {}
        self._keys: dict[str, int] = {}
        self._locks: dict[str, HeldLock] = {}
        self._lines: dict[int, dict[tuple[int, int, int], LogRecord]] = {}
        self._last = {"dag": 0, "node": 0, "sub_task": 0, "log": 0}
        self._regress = 0

    def create(self, draft: Draft) -> Dag:
        with self._mutex:
            if draft.key in self._keys:
                return self._dags[self._keys[draft.key]]
            last = self._last
            dag = draft_dag(draft, number=last["dag"] + 1, node_base=last["node"] + 1, sub_task_base=last["sub_task"] + 1)
            dag = replace(dag, epoch=self._regress)
            if holds_lock(dag):
                self._take(lock_of(dag, dag.created_at))
            self._last |= {"dag": dag.id, "node": last["node"] + len(dag.plan.nodes), "sub_task": last["sub_task"] + dag.plan.size}
            self._dags[dag.id] = dag
            self._keys[dag.key] = dag.id
            return dag

    def save(self, changes: Sequence[Change], lines: Sequence[AttemptLine] = ()) -> Mapping[str, Literal["stale"] | Refused]:
        failed: dict[str, Literal["stale"] | Refused] = {}
        with self._mutex:
            kept = []
            for change in changes:
                stored = self._dags.get(change.after.id)
                if change.after.key in failed or stored is None or stored.version != change.before.version:
                    failed[change.after.key] = "stale"
                else:
                    kept.append(change)
            for change in kept:
                if not holds_lock(change.after):
                    self._locks = {scope: lock for scope, lock in self._locks.items() if lock.dag_key != change.after.key}
            for change in kept:
                try:
                    if holds_lock(change.after) and not holds_lock(change.before):
                        self._take(lock_of(change.after, self._clock()))
                    self._dags[change.after.id] = change.after
                except MaintenanceHeld as error:
                    failed[change.after.key] = error
            lost = {change.after.id for change in changes if change.after.key in failed}
            for line in lines:
                if line.dag_id not in lost:
                    self._write(line)
        return failed

    def load(self, key: str) -> Dag | None:
        with self._mutex:
            return self._dags[self._keys[key]] if key in self._keys else None

    def find(self, kind: Literal["dag", "node", "sub_task"], number: int) -> tuple[Dag, int] | None:
        with self._mutex:
            for dag in self._dags.values():
                base, size = {
                    "dag": (dag.id, 1),
                    "node": (dag.node_base, len(dag.plan.nodes)),
                    "sub_task": (dag.sub_task_base, dag.plan.size),
                }[kind]
                if base <= number < base + size:
                    return dag, number - base
        return None

    def versions(self, keys: Sequence[str]) -> Mapping[str, int]:
        with self._mutex:
            return {key: self._dags[self._keys[key]].version for key in keys if key in self._keys}

    def unsettled(self) -> list[Dag]:
        return self.page(Page(limit=len(self._dags), settled=False, oldest_first=True))

    def newest_maintenance(self) -> Dag | None:
        with self._mutex:
            maintained = [dag for dag in self._dags.values() if dag.maintenance.kind is not MaintenanceKind.NONE]
            return max(maintained, key=lambda dag: dag.id, default=None)

    def page(self, page: Page) -> list[Dag]:
        with self._mutex:
            found = [
                dag
                for dag in sorted(self._dags.values(), key=lambda dag: dag.id, reverse=not page.oldest_first)
                if (not page.before_id or (dag.id > page.before_id) is page.oldest_first)
                and dag.id != page.before_id
                and (not page.names or dag.name in page.names)
                and (page.settled is None or settled(dag) is page.settled)
            ]
        return found[: page.limit]

    def search(self, search: Search) -> list[Header]:
        with self._mutex:
            return among(self._dags.values(), search)

    def count(self, search: Search) -> Mapping[State, int]:
        with self._mutex:
            return counted(self._dags.values(), search)

    def edition(self, number: int) -> Edition | None:
        with self._mutex:
            dag = self._dags.get(number)
            return None if dag is None else Edition(dag.id, dag.key, dag.version, self._last["log"], self._regress)

    def newest_maintenance_edition(self) -> Edition | None:
        newest = self.newest_maintenance()
        return None if newest is None else self.edition(newest.id)

    def many(self, numbers: Sequence[int]) -> list[Dag]:
        with self._mutex:
            return [self._dags[number] for number in sorted(set(numbers)) if number in self._dags]

    def logs(self, dag: Dag, sub_tasks: Sequence[int] | None = None, *, after: int = 0) -> list[LogRecord]:
        with self._mutex:
            records = list(self._lines.get(dag.id, {}).values())
        return [record for record in records if record.id > after and (sub_tasks is None or record.sub_task in sub_tasks)]

    def under_maintenance(self) -> bool:
        with self._mutex:
            return GLOBAL_SCOPE in self._locks

    def lock_in_the_way(self, dag: Dag) -> str:
        with self._mutex:
            lock = conflict(lock_of(dag, 0), self._locks.values())
        return "" if lock is None else MaintenanceHeld(lock).message

    def regress(self) -> Regress:
        with self._mutex:
            gate = self._locks.get(RECALL_SCOPE)
            return Regress(self._regress, 0 if gate is None else gate.taken_at)

    def begin_recall(self, epoch: int) -> None:
        with self._mutex:
            self._regress = epoch
            self._locks[RECALL_SCOPE] = recall_lock(self._clock())

    def end_recall(self) -> None:
        with self._mutex:
            self._locks.pop(RECALL_SCOPE, None)

    def forget(self, older_than: int, keep_count: int | None = None, *, batch: int = 500) -> list[str]:
        with self._mutex:
            done = [dag for dag in sorted(self._dags.values(), key=lambda dag: dag.id) if settled(dag)]
            beyond = done[: max(len(done) - keep_count, 0)] if keep_count is not None else []
            spared = self.newest_maintenance()
            gone = [dag for dag in done[:batch] if dag is not spared and (dag.created_at < older_than or dag in beyond)]
            for dag in gone:
                del self._dags[dag.id], self._keys[dag.key]
                self._lines.pop(dag.id, None)
            return [dag.key for dag in gone]

    def _take(self, lock: HeldLock) -> None:
        in_the_way = conflict(lock, self._locks.values())
        if in_the_way is not None:
            raise MaintenanceHeld(in_the_way)
        self._locks[lock.scope] = lock

    def _write(self, each: AttemptLine) -> None:
        line = replace(each.line, text=printable(each.line.text))
        self._last["log"] += 1
        record = LogRecord(self._last["log"], each.sub_task, each.attempt, line)
        self._lines.setdefault(each.dag_id, {}).setdefault((each.sub_task, each.attempt, line.seq), record)


class MemoryInbox:
    """`oboe.engine.ports.InboxStore` in a dict."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._entries: dict[Fence, InboxEntry] = {}
        self._settled: dict[str, int] = {}
        self._epoch = 0
        self._lines: dict[Fence, dict[int, LogLine]] = {}
        self._orphans: dict[str, tuple[Orphan, int]] = {}

    def accept(self, order: Order, *, begin: bool) -> InboxEntry:
        with self._mutex:
            fence = order.fence
            entry = self._entries.get(fence)
            if entry is None:
                highest = self.highest(fence.dag_key, fence.sub_task)
                if highest is not None and highest > fence:
                    return InboxEntry(None, fence, begun=False, ended=None, acknowledged=False)
                entry = InboxEntry(order, fence, begun=False, ended=None, acknowledged=False)
                self._entries[fence] = entry
            if begin:
                self.begin(fence)
            return self._entries[fence]

    def accept_all(self, asked: Sequence[tuple[Order, bool]]) -> list[InboxEntry]:
        with self._mutex:
            return [self.accept(order, begin=begin) for order, begin in asked]

    def begin(self, *fences: Fence) -> None:
        with self._mutex:
            for fence in fences:
                entry = self._entries.get(fence)
                if entry is not None and entry.ended is None:
                    self._entries[fence] = replace(entry, begun=True)

    def end(self, report: Report) -> None:
        with self._mutex:
            fence = report.fence
            entry = self._entries.get(fence) or InboxEntry(None, fence, begun=False, ended=None, acknowledged=False)
            self._entries[fence] = entry if entry.ended else replace(entry, ended=report)

    def refuse(self, interrupt: Interrupt, report: Report) -> None:
        self.end(report)

    def acknowledge(self, *fences: Fence) -> None:
        with self._mutex:
            for fence in fences:
                entry = self._entries.get(fence)
                if entry is not None and entry.ended is not None:
                    self._entries[fence] = replace(entry, acknowledged=True)

    def get(self, fence: Fence) -> InboxEntry | None:
        with self._mutex:
            return self._entries.get(fence)

    def highest(self, dag_key: str, sub_task: int) -> Fence | None:
        with self._mutex:
            return max((fence for fence in self._entries if (fence.dag_key, fence.sub_task) == (dag_key, sub_task)), default=None)

    def open(self) -> list[InboxEntry]:
        with self._mutex:
            return [self._entries[fence] for fence in sorted(self._entries) if not self._entries[fence].acknowledged]

    def settle(self, dag_key: str, at: int) -> None:
        with self._mutex:
            self._settled.setdefault(dag_key, at)

    def unsettled(self) -> list[InboxEntry]:
        with self._mutex:
            over = (entry for entry in self._entries.values() if entry.acknowledged and entry.order is not None)
            return list({entry.fence.dag_key: entry for entry in over if entry.fence.dag_key not in self._settled}.values())

    def keep_lines(self, fence: Fence, lines: Sequence[LogLine]) -> None:
        with self._mutex:
            self._lines.setdefault(fence, {}).update({line.seq: line for line in lines})

    def lines(self, fence: Fence) -> list[LogLine]:
        with self._mutex:
            return [line for _, line in sorted(self._lines.get(fence, {}).items())]

    def recall(self, epoch: int) -> list[InboxEntry]:
        with self._mutex:
            self._epoch = max(epoch, self._epoch)
            found = [entry for entry in self._entries.values() if is_clusters(entry)]
            for entry in found:
                self._settled.pop(entry.fence.dag_key, None)
                if entry.order is not None:
                    self._entries[entry.fence] = replace(entry, acknowledged=False)
            return sorted(found, key=lambda entry: entry.fence)

    def epoch(self) -> int:
        with self._mutex:
            return self._epoch

    def keep_orphans(self, orphans: Sequence[Orphan], at: int) -> None:
        with self._mutex:
            self._orphans |= {orphan.dag_key: (orphan, at) for orphan in orphans}

    def orphans(self) -> list[Orphan]:
        with self._mutex:
            return [orphan for orphan, _ in self._orphans.values()]

    def drop_orphans(self, kept_before: int) -> int:
        with self._mutex:
            gone = [key for key, (_, at) in self._orphans.items() if at < kept_before]
            for key in gone:
                del self._orphans[key]
            return len(gone)

    def forget(self, settled_before: int) -> int:
        with self._mutex:
            gone = [
                fence
                for fence, entry in self._entries.items()
                if 0 < self._settled.get(fence.dag_key, 0) < settled_before and entry.acknowledged
            ]
            for fence in gone:
                del self._entries[fence]
                self._lines.pop(fence, None)
            return len(gone)
