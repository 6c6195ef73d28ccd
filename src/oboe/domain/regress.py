"""When the cluster's store went back a few commits: agents may know more than the dag. Part of the machine, kept apart because it is rare.

::

    WentBack        the dag waits: it readies nothing, orders nothing but Recall, takes no operator, shows RUNNING
    Facts           of one agent: what is later than the dag knows is the truth, outcome included, and halts the dag
    all have named  the dag goes on, or is halted for a person to decide
    PatiencePassed  what the silent may have done is *unsure*: FAILED, neither done nor undone, until they name their facts, or
                    until a person says that they are gone (`oboe.domain.gone`)

Only the engine knows that a store may have gone back (a planned move of the lease is none); it says `WentBack` before anything else
in the new epoch. Dags of an agent's own home never go back.
"""

from __future__ import annotations

from typing import Any

from oboe.domain.events import Fact, Noted, PatiencePassed, Recall, WentBack
from oboe.domain.gone import came_back, forsake_unsure, may_know
from oboe.domain.values import Address, HomeKind, Mark, Operator, State, Stopping
from oboe.domain.work import Work

__all__ = ["attempted", "lose_patience", "recall", "take_in", "unwind", "wait_for_facts"]

_REASON = "the store went back"


def wait_for_facts(work: Work, event: WentBack) -> None:
    """Recall every agent that may know of this dag; once for each epoch."""
    dag = work.dag
    if work.settled or dag.home.kind is not HomeKind.CLUSTER or work.epoch <= dag.epoch:
        return
    agents = {sub_task.agent for sub_task in dag.sub_tasks if sub_task.agent} | set(event.agents)
    if agents:
        work.set(recalled=tuple(sorted(agents)), recalled_at=work.now)


def recall(work: Work) -> None:
    """Name again whom it waits for; the silent are recalled for ever."""
    work.effects.extend(Recall(agent) for agent in work.dag.recalled)


def take_in(work: Work, fact: Fact, agent: Address | None) -> None:
    """A fence later than the dag knows (or an equal one that was unsure) is the truth. What still goes is told to stop."""
    sub_task = work.sub_tasks[fact.sub_task]
    later = (fact.epoch, fact.attempt) > (sub_task.epoch, sub_task.attempt)
    at = min(fact.at, work.now) or work.now
    facts: dict[str, Any] = {"state": State.RUNNING, "started_at": at, "stopping": Stopping.ASKED, "stopping_at": work.now}
    if not fact.running:
        state = State.SUCCEEDED if fact.ok else State.FAILED
        facts = {"state": state, "ended_at": at, "stopping": Stopping.NO, "stopping_at": 0, "result": fact.result}
    work.put(
        fact.sub_task,
        operator=attempted(fact.operator),
        epoch=fact.epoch,
        attempt=fact.attempt,
        agent=agent,
        mark=Mark.NO,
        retry_at=0,
        deadline=0,
        unsure=False,
        readied_at=at,
        **facts,
    )
    work.woken = True
    if later:
        _halt(work)


def _halt(work: Work) -> None:
    """As a cancel does: no retry is due any more, and what rests is FAILED. A person decides."""
    if work.dag.halt_reason:
        return
    work.set(halt_reason=_REASON)
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.resting:
            work.put(index, state=State.FAILED, mark=Mark.NO, retry_at=0, stopping=Stopping.ASKED)
        elif sub_task.mark is Mark.DUE and not sub_task.live:
            work.put(index, mark=Mark.NO)


def unwind(work: Work, agent: Address) -> None:
    """That agent has named all it knows: what it did not name it never began, and nothing of it is unsure any more."""
    came_back(work, agent)
    left = tuple(other for other in work.dag.recalled if other != agent)
    if left != work.dag.recalled:
        work.set(recalled=left, recalled_at=work.dag.recalled_at if left else 0)
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.unsure and not any(may_know(work.dag, index, sub_task.agent, other) for other in left):
            if any(may_know(work.dag, index, sub_task.agent, word.agent) for word in work.dag.gone):
                forsake_unsure(work, index)
            else:
                work.put(index, unsure=False, state=State.FAILED if sub_task.attempt else State.PENDING)


def lose_patience(work: Work, event: PatiencePassed) -> None:
    """What the silent may have done is neither done nor undone; the dag is halted. What a person passed or skipped stays."""
    if not work.dag.recalled_at:
        return
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        said = sub_task.state is State.SUCCEEDED and sub_task.operator in (Operator.PASS, Operator.SKIP)
        silent = any(may_know(work.dag, index, sub_task.agent, agent) for agent in work.dag.recalled)
        if silent and not said:
            stop = {"stopping": Stopping.ASKED, "stopping_at": work.now} if sub_task.live else {}
            work.put(index, state=State.FAILED, unsure=True, mark=Mark.NO, retry_at=0, **stop)
            work.effects.append(
                Noted(index, sub_task.attempt, "sub_task.unsure", "the store went back, and its agent has not said what it did")
            )
    work.set(recalled_at=0)
    _halt(work)


def attempted(operator: Operator) -> Operator:
    """An attempt runs or undoes. An agent that refuses one by an Interrupt sent after a pass or a skip may name that instead."""
    return operator if operator is Operator.ROLLBACK else Operator.RUN
