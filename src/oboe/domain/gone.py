"""When an agent is gone for good, by a person's word. Part of the machine, kept apart because it is rare.

::

    Gone            what the agent has under way, and what it may have done (the store went back, and it is silent), is FAILED and
                    unconfirmed: neither done nor undone, its Interrupt an open order. A person passes it, skips its undo, or rolls back
    it is heard of  the word falls: it was not gone

The word changes no other agent's sub-tasks, and takes nothing back that is done and sure.
"""

from __future__ import annotations

from oboe.domain.events import Interrupt, Noted
from oboe.domain.model import Dag, GoneAgent, SubTask
from oboe.domain.state import bound_to_maintainer, executor
from oboe.domain.values import Address, Mark, State, Stopping
from oboe.domain.work import Work

__all__ = ["came_back", "forsake", "forsake_unsure", "may_know"]


def forsake(work: Work, agent: Address, *, who: str, why: str) -> None:
    """Take the word down, and wait for that agent no longer."""
    others = tuple(word for word in work.dag.gone if word.agent != agent)
    work.set(gone=(*others, GoneAgent(agent, who, why, work.now)))
    left = tuple(other for other in work.dag.recalled if other != agent)
    if left != work.dag.recalled:
        work.set(recalled=left)
    for index, sub_task in enumerate(tuple(work.sub_tasks)):
        if sub_task.unsure:
            if not any(may_know(work.dag, index, sub_task.agent, other) for other in left):
                forsake_unsure(work, index)
        elif executor(work.dag, index) == agent:
            _give_up(work, index, sub_task)


def _give_up(work: Work, index: int, sub_task: SubTask) -> None:
    """What is under way there."""
    if sub_task.resting:
        work.put(index, state=State.FAILED, mark=Mark.NO, retry_at=0, stopping=Stopping.ASKED)
    elif sub_task.live:
        cause, since = sub_task.stopping or Stopping.ASKED, sub_task.stopping_at or work.now
        work.put(index, state=State.FAILED, mark=Mark.NO, ended_at=work.now, stopping=cause, stopping_at=since)
        _note(work, index, work.dag.gone[-1])


def forsake_unsure(work: Work, index: int) -> None:
    """Only agents that are gone may know what became of it. It counts as begun: one that was never begun would count as undone."""
    sub_task = work.sub_tasks[index]
    word = next(word for word in reversed(work.dag.gone) if may_know(work.dag, index, sub_task.agent, word.agent))
    begun = {} if sub_task.attempt else {"attempt": 1, "epoch": work.epoch, "readied_at": work.now}
    work.put(index, unsure=False, agent=word.agent, stopping=Stopping.ASKED, stopping_at=work.now, ended_at=work.now, **begun)
    _note(work, index, word)


def _note(work: Work, index: int, word: GoneAgent) -> None:
    sub_task = work.sub_tasks[index]
    work.effects.append(
        Noted(index, sub_task.attempt, "sub_task.agent_gone", f"{word.agent} is gone, says {word.who}: {word.why}; it may have run")
    )
    work.effects.append(Interrupt(index, sub_task.stopping))


def came_back(work: Work, agent: Address | None) -> None:
    """That agent was heard of this dag."""
    if any(word.agent == agent for word in work.dag.gone):
        work.set(gone=tuple(word for word in work.dag.gone if word.agent != agent))


def may_know(dag: Dag, index: int, owner: Address | None, agent: Address) -> bool:
    """It was that agent's; or the maintainer's, and every agent may have been the maintainer."""
    return owner == agent or bound_to_maintainer(dag, index)
