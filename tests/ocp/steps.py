"""Steps that do what a test says, and the graph that it draws of them."""

from __future__ import annotations

import threading
from collections import defaultdict

import msgspec

from oboe.domain.errors import StepFailed
from oboe.domain.values import HomeKind
from oboe.kit.playbook import Sketch, playbook
from oboe.kit.run import Run
from oboe.kit.step import Step

__all__ = ["ACTS", "DONE", "GATES", "Graph", "Node", "Scripted", "ScriptedForGood", "graph"]

ACTS: dict[str, str] = {}
"""What ``key/node`` and ``key/undo node`` do: ``fail``, ``hold`` until the gate of the same name opens; else they end well."""
GATES: dict[str, threading.Event] = defaultdict(threading.Event)
DONE: dict[str, list[str]] = defaultdict(list)


class Node(msgspec.Struct):
    """``after`` are indices of earlier nodes; ``for_good``: it cannot be undone."""

    name: str
    after: list[int] = []
    width: int = 1
    for_good: bool = False


class Graph(msgspec.Struct):
    key: str
    nodes: list[Node]


def act(run: Run, word: str) -> None:
    key = run.params(Graph).key
    name = f"{key}/{word}{run.args['name']}"
    DONE[key].append(f"{word}{run.args['name']}")
    run.log(f"{word}{run.args['name']}")
    match ACTS.get(name):
        case "fail":
            raise StepFailed("trial.broken", f"{word}{run.args['name']} broke")
        case "hold":
            run.wait_until(GATES[name].is_set, why="the gate", timeout=60, every=0.01)


class ScriptedForGood(Step):
    skippable = True
    irreversible = "the test says so"

    def run(self, run: Run) -> None:
        act(run, "")


class Scripted(ScriptedForGood):
    irreversible = ""

    def rollback(self, run: Run) -> None:
        act(run, "undo ")


@playbook("Trial graph", home=HomeKind.AGENT, params=Graph)
def graph(params: Graph, sketch: Sketch) -> None:
    """Any graph."""
    for node in params.nodes:
        step = ScriptedForGood if node.for_good else Scripted
        sketch.stage(node.name, step, agents=(None,) * node.width, parallel=node.width > 1, after=node.after, args={"name": node.name})
