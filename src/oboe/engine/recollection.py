"""What an agent says when the cluster's store may have gone back: facts from the entries of its inbox. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from oboe.domain.events import Fact
from oboe.domain.messages import Recollection
from oboe.domain.records import InboxEntry, Orphan
from oboe.domain.values import Operator

__all__ = ["orphan_words", "orphans_of", "recollect"]


def recollect(entries: Sequence[InboxEntry], *, at: int) -> Recollection:
    """The highest attempt of each sub-task. ``entries`` are in order of their fences."""
    highest = {(entry.fence.dag_key, entry.fence.sub_task): entry for entry in entries}
    dags: dict[str, list[Fact]] = {}
    for (key, _), entry in highest.items():
        dags.setdefault(key, []).append(_fact(entry, at))
    return Recollection({key: tuple(facts) for key, facts in dags.items()})


def _fact(entry: InboxEntry, at: int) -> Fact:
    fence, ended = entry.fence, entry.ended
    said = entry.order or ended
    return Fact(
        sub_task=fence.sub_task,
        epoch=fence.epoch,
        attempt=fence.attempt,
        operator=Operator.RUN if said is None else said.operator,
        at=at if ended is None else ended.at,
        running=ended is None,
        ok=ended is not None and ended.ok,
        result=None if ended is None else ended.result,
    )


def orphans_of(keys: Sequence[str], entries: Sequence[InboxEntry]) -> list[Orphan]:
    """What was begun for these dags; those of which nothing was begun left nothing behind."""
    found: dict[str, Orphan] = {}
    for entry in entries:
        key, order = entry.fence.dag_key, entry.order
        if key not in keys or order is None or not entry.begun:
            continue
        line = f"{order.name}: {order.operator.name}, attempt {entry.fence.attempt}, {_outcome(entry)}"
        before = found[key].did if key in found else ()
        found[key] = Orphan(key, order.dag_id, order.dag_name, (*before, line))
    return list(found.values())


def _outcome(entry: InboxEntry) -> str:
    if entry.ended is None:
        return "told to stop"
    return "SUCCEEDED" if entry.ended.ok else "FAILED"


def orphan_words(orphan: Orphan) -> str:
    """For people."""
    return f"{orphan.name} (dag {orphan.dag_id}) is lost with the cluster's store; here it did: {'; '.join(orphan.did)}"
