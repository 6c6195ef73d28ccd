"""What must be true once a story is over, however often its agents were killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from oboe.domain import fold
from oboe.domain.model import Dag, SubTask
from oboe.domain.values import Operator
from tests.crash.agent import World, open_orders, stored_dag
from tests.crash.steps import Effect, read_effects, read_told
from tests.crash.stories import AGENT, HOME, STORIES

__all__ = ["faults"]

_CLEAN, _DOING, _DONE = "clean", "doing", "done"


def faults(world: World) -> list[str]:
    """Empty when all is well."""
    dag, locks, log = stored_dag(world)
    if dag is None:
        return ["the dag is lost"]
    effects = read_effects(world.effects)
    found = [
        *_of_the_dag(world, dag),
        *_of_the_order(dag, effects),
        *_of_attempts(dag, effects),
        *_of_the_log(effects, read_told(world.effects), log),
    ]
    if locks:
        found.append(f"{locks} maintenance locks are held")
    for agent in (HOME, AGENT):
        found += [f"agent {agent.port} holds {fence} open" for fence in open_orders(world, agent)]
    return found


def _of_the_dag(world: World, dag: Dag) -> Iterator[str]:
    story = STORIES[world.story]
    if not story.over(dag):
        yield f"it ended {fold.dag_state(dag).name} {dag.operator.name}"
    for name, _, sub_task in _places(dag):
        if not (sub_task.undone if story.end is Operator.ROLLBACK else sub_task.done):
            yield f"{name} is {sub_task.state.name} {sub_task.operator.name}"


def _of_the_order(dag: Dag, effects: Sequence[Effect]) -> Iterator[str]:
    """Replays the effects: each begins only when what it stands on stands, and all is as the dag says in the end."""
    now = {name: _CLEAN for name, _, _ in _places(dag)}
    upstream, downstream = _neighbours(dag)
    for effect in effects:
        name = effect.sub_task
        if effect.ended:
            now[name] = _CLEAN if effect.undo else _DONE
            continue
        blocking = downstream[name] if effect.undo else upstream[name]
        wanted = _CLEAN if effect.undo else _DONE
        yield from (f"{effect} began while {other} was {now[other]}" for other in blocking if now[other] != wanted)
        now[name] = _DOING
    for name, _, sub_task in _places(dag):
        if now[name] != (_DONE if sub_task.done else _CLEAN):
            yield f"{name} is {now[name]} in truth, {sub_task.state.name} {sub_task.operator.name} in the dag"


def _of_attempts(dag: Dag, effects: Sequence[Effect]) -> Iterator[str]:
    """Nothing that may not run again is doubled; what may run again needs no second attempt because its agent died."""
    begun = Counter((effect.sub_task, effect.attempt) for effect in effects if not effect.ended)
    again = Counter((effect.sub_task, effect.attempt) for effect in effects if not effect.ended and effect.resumed)
    failing = {name for name, node, _ in _places(dag) if node == "middle"}
    for name, node, sub_task in _places(dag):
        resumable = dag.plan.nodes[_node(dag, node)].flags.resumable
        for attempt in range(1, sub_task.attempt + 1):
            count, resumed = begun[name, attempt], again[name, attempt]
            if count > 1 and not resumable:
                yield f"attempt {attempt} of {name} was begun {count} times"
            if count - resumed > 1:
                yield f"attempt {attempt} of {name} was begun {count} times, and told so {resumed} times"
        if resumable and name not in failing and sub_task.attempt > (2 if dag.operator is Operator.ROLLBACK else 1):
            yield f"{name} may run again by itself, and needed {sub_task.attempt} attempts"
        if sub_task.done and not any(each.ended and not each.undo and _is(each, name, sub_task.attempt) for each in effects):
            yield f"{name} says that attempt {sub_task.attempt} succeeded; it never did"
    beyond = {(effect.sub_task, effect.attempt) for effect in effects} - {
        (name, attempt) for name, _, sub_task in _places(dag) for attempt in range(1, sub_task.attempt + 1)
    }
    if beyond:
        yield f"the dag does not know {sorted(beyond)}"


def _of_the_log(effects: Sequence[Effect], told: Sequence[str], log: Sequence[str]) -> Iterator[str]:
    """Every line that a step has written is there, once for each time that it was written."""
    reached = Counter(effect.text for effect in effects)
    written = Counter(log)
    for text, count in reached.items():
        if written[text] > count:
            yield f"{text!r} is in the log {written[text]} times"
    for text, count in Counter(told).items():
        if written[text] < count:
            yield f"the log lost {text!r}: it was written {count} times, and is there {written[text]} times"


def _is(effect: Effect, name: str, attempt: int) -> bool:
    return (effect.sub_task, effect.attempt) == (name, attempt)


def _places(dag: Dag) -> Iterator[tuple[str, str, SubTask]]:
    """Name as in the effects, node, sub-task."""
    for index, sub_task in enumerate(dag.sub_tasks):
        node = dag.plan.nodes[dag.plan.node_of[index]]
        agent = fold.executor(dag, index) or HOME
        yield f"{node.name}@{agent.port}", node.name, sub_task


def _node(dag: Dag, name: str) -> int:
    return next(index for index, node in enumerate(dag.plan.nodes) if node.name == name)


def _neighbours(dag: Dag) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Sub-tasks directly upstream, and downstream, of each."""
    by_node: dict[str, set[str]] = {}
    for name, node, _ in _places(dag):
        by_node.setdefault(node, set()).add(name)
    upstream: dict[str, set[str]] = {}
    downstream: dict[str, set[str]] = {name: set() for name, _, _ in _places(dag)}
    for name, node, _ in _places(dag):
        parents = dag.plan.nodes[_node(dag, node)].upstream
        upstream[name] = {each for parent in parents for each in by_node[dag.plan.nodes[parent].name]}
        for each in upstream[name]:
            downstream[each].add(name)
    return upstream, downstream
