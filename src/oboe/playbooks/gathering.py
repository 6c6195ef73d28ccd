"""What *Start OB* and *Stop OB* have in common: every agent is held, told to begin, followed, and let go.

The steps run in the asked agent's process and speak of other agents, so they work while the cluster's store is away. An agent that
is only to be held and does not answer is left out; one whose database is meant must answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, NamedTuple

import msgspec

from oboe.domain.errors import OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.kit import Run, Sketch, Step
from oboe.kit.naming import Naming
from oboe.kit.run import Child, ChildStatus
from oboe.membership.verbs import LedBy, LedDags
from oboe.playbooks.agent.together import TogetherParams
from oboe.playbooks.leading import child_from, child_id, let_go
from oboe.remote.client import Peers

__all__ = ["Advance", "End", "GatheringParams", "Inform", "MainStep", "MakeSure", "Steps", "WaitAll", "children_of", "draw"]

_READY_SECONDS = 60.0
_WORK_SECONDS = 1800.0
_END_SECONDS = 60.0
_ASK_SECONDS = 3.0
_LET_GO_SECONDS = 2.0


class GatheringParams(msgspec.Struct):
    agents: list[str]
    """Every agent of the cluster."""
    targets: list[str]
    """Those whose databases are meant."""
    zones: list[str]
    """Zones whose rows change with them."""
    force_pass: list[str]
    """Keys of earlier main dags: what they still hold is let go first."""
    by_word: bool = False
    graceful: bool = False


class MainStep(Step):
    """The catalogue lets most of these be cancelled only; here all of them can be retried, so that a FAILED dag has a way on."""

    resumable = True
    timeout = 2400
    irreversible = "what was started or stopped is stopped or started again"
    informed: ClassVar[str] = ""
    """Name of the node that made the led dags."""
    playbook: ClassVar[str] = ""
    work: ClassVar[str] = ""
    """The last node of a led dag that does something on an agent whose database is meant."""

    def children(self, run: Run) -> list[Child]:
        """Those that were seen to be ready; before that, and in dags of 0.1, those that were made."""
        return children_of(run, MakeSure.name if run.result(MakeSure.name) else self.informed)


def children_of(run: Run, node: str) -> list[Child]:
    """The led dags that a node returned, one for each of its agents that answered."""
    kept = run.result(node)
    found = kept if isinstance(kept, list) else [kept]
    return [child_from(one) for one in found if one is not None]


class Inform(MainStep):
    """Have an agent make its part, which holds it."""

    def run(self, run: Run) -> dict[str, Any] | None:
        params = run.params(GatheringParams)
        run.log(f"Inform {run.agent} to create the task")
        if str(run.agent) not in params.targets and not _answers(run):
            run.warn(f"{run.agent} does not answer; it is left out, because its database is not meant")
            return None
        try:
            child = make_child(run, run.agent, self.playbook, params)
        except OboeError:
            _let_others_go(run, [Address.parse(text) for text in params.agents])
            raise
        run.log(f"create task {child_id(run, child)} successfully")
        run.note(sub_dags={str(run.agent): child_id(run, child)})
        return _kept(child)


class MakeSure(MainStep):
    """Every agent waits for the word to begin; a part that was let go because another could not be made is made anew."""

    name: ClassVar[str] = "Make sure all agents are ready"

    def run(self, run: Run) -> list[dict[str, Any]]:
        params = run.params(GatheringParams)
        run.log("All agents have created the tasks successfully")
        run.log("Check if all agents can be advanced")
        return [_kept(self._ready(run, child, params)) for child in children_of(run, self.informed)]

    def _ready(self, run: Run, child: Child, params: GatheringParams) -> Child:
        status = run.watch(child, _moving, why=f"{child.agent} to be ready", timeout=_READY_SECONDS)
        if status.operator != "RUN":
            child = make_child(run, child.agent, self.playbook, params)
            run.note(sub_dags={str(child.agent): child_id(run, child)})
            status = run.watch(child, _moving, why=f"{child.agent} to be ready", timeout=_READY_SECONDS)
        if status.state == "FAILED":
            raise StepFailed("child.failed", f"{child.agent} is not ready: {'; '.join(status.lines[-3:])}")
        run.log(f"{child.agent} is ready")
        return child


class Advance(MainStep):
    """Give the word."""

    def run(self, run: Run) -> None:
        for child in self.children(run):
            run.log(f"advance {child.agent} to execute the task")
            run.tell(child, "start")


class WaitAll(MainStep):
    """Follow one agent until its work is done. When it fails, those that have nothing to do are let go: nobody waits for a person."""

    def run(self, run: Run) -> dict[str, Any] | None:
        params = run.params(GatheringParams)
        run.log("Wait for task to succeed")
        child = next((one for one in self.children(run) if one.agent == run.agent), None)
        if child is None:
            return None
        last = self.work if self._works(run, params) else "Start preparations"
        if run.attempt > 1:
            child = self._again(run, child, last, params)

        def reached(status: ChildStatus) -> ChildStatus | None:
            return status if last in status.done or status.state in ("FAILED", "SUCCEEDED") else None

        status = run.watch(child, reached, why=f"{last} on {run.agent}", timeout=_WORK_SECONDS)
        if last not in status.done or (status.operator != "RUN" and str(run.agent) in params.targets):
            let_go(run, *(one for one in self.children(run) if str(one.agent) not in params.targets))
            where = status.failed[0] if status.failed else last
            raise StepFailed("child.failed", f"{where} failed on {run.agent}: {'; '.join(status.lines[-3:]) or 'it was given up'}")
        for node, lines in status.node_lines.items():
            for line in lines if node != "Wait for task to end" else ():
                run.log(f"{node}: {line}")
        run.log("Wait for task to end: wait operator to advance")
        run.log(f"{child_id(run, child)} succeed")
        return _kept(child)

    def _works(self, run: Run, params: GatheringParams) -> bool:
        return str(run.agent) in params.targets and not params.by_word

    def _again(self, run: Run, child: Child, last: str, params: GatheringParams) -> Child:
        """A part that failed is retried; one that was given up is made anew."""
        now = run.watch(child, lambda status: status, why=f"word from {child.agent}", timeout=30)
        if now.state == "FAILED" and now.operator == "RUN":
            run.ask(child, "RETRY")
            run.tell(child, "start")
        elif now.operator != "RUN" and str(run.agent) in params.targets:
            child = make_child(run, run.agent, self.playbook, params)
            run.note(sub_dags={str(run.agent): child_id(run, child)})
            run.tell(child, "start")
        return child


class End(MainStep):
    """Let every agent go, and see that it is free."""

    waited: ClassVar[str] = "Wait for all agents to execute tasks successfully"

    def run(self, run: Run) -> None:
        run.log("Check the final result: SUCCEED!")
        run.log("End all tasks")
        children = children_of(run, self.waited)
        for child in children:
            with suppress(Refused):  # it was let go before
                run.tell(child, "end")
            run.log(f"{child.agent} end the task")
        for child in children:
            run.watch(child, _over, why=f"{child.agent} to be free", timeout=_END_SECONDS)


class Steps(NamedTuple):
    """What an operation has of the five that all of them have: a dag knows its steps by class, so each has its own."""

    inform: type[Inform]
    make_sure: type[MakeSure]
    advance: type[Advance]
    wait: type[WaitAll]
    end: type[End]


def draw(
    sketch: Sketch,
    params: GatheringParams,
    steps: Steps,
    *,
    before_word: Sequence[tuple[str, type[Step]]] = (),
    after_work: Sequence[tuple[str, type[Step]]] = (),
) -> None:
    """The plan: everybody is informed and ready, given the word, followed, let go; and what the operation has before and after."""
    everyone = [Address.parse(text) for text in params.agents]
    sketch.stage(steps.inform.informed, steps.inform, agents=everyone, parallel=True, at_home=True)
    sketch.stage(MakeSure.name, steps.make_sure)
    for name, step in before_word:
        sketch.stage(name, step)
    sketch.stage("Advance agents to execute the task", steps.advance)
    sketch.stage(End.waited, steps.wait, agents=everyone, parallel=True, at_home=True)
    for name, step in after_work:
        sketch.stage(name, step)
    sketch.stage("Inform all agents to end the task", steps.end)


def make_child(run: Run, agent: Address, playbook: str, params: GatheringParams) -> Child:
    """Made once by each attempt. What this dag or one of ``force_pass`` left there is let go first."""
    main = run.use(Naming).dag(Home(HomeKind.AGENT, run.here), run.dag_id)
    part, name = TogetherParams(main, str(agent) in params.targets, params.by_word, params.graceful), f"{playbook} {agent}"
    try:
        return run.lead(agent, playbook, part, name=name)
    except Refused as error:
        if error.code != "maintenance.held" or not _release(run, agent, [run.dag_key, *params.force_pass]):
            raise
    return run.lead(agent, playbook, part, name=name)


def _let_others_go(run: Run, everyone: Sequence[Address]) -> None:
    """What is held for an operation that does not begin. The others are being held at this moment, so they are looked at for a while."""
    left = [agent for agent in everyone if agent != run.agent]

    def gone() -> bool:
        for agent in tuple(left):
            try:
                found = _release(run, agent, [run.dag_key])
            except OboeError:  # it does not answer: it holds itself until it does, and the next attempt finds it
                found = True
            if found:
                left.remove(agent)
        return not left

    with suppress(StepFailed):
        run.wait_until(gone, why="the others to be let go", timeout=_LET_GO_SECONDS)


def _release(run: Run, agent: Address, leaders: list[str]) -> bool:
    found = False
    for key in leaders:
        for child in run.use(Peers).call(agent, "dag.led_by", LedBy(key), LedDags, timeout=_ASK_SECONDS).children:
            found = True
            run.log(f"pass task {child_id(run, child)}")
            run.ask(child, "RELEASE")
            run.watch(child, _over, why=f"the end of {child_id(run, child)}", timeout=_END_SECONDS)
    return found


def _answers(run: Run) -> bool:
    try:
        run.use(Peers).call(run.agent, "dag.led_by", LedBy(run.dag_key), LedDags, timeout=_ASK_SECONDS)
    except (Unreachable, TryAgain):
        return False
    return True


def _kept(child: Child) -> dict[str, Any]:
    return {"agent": str(child.agent), "dag_key": child.dag_key, "dag_id": child.dag_id}


def _moving(status: ChildStatus) -> ChildStatus | None:
    return status if status.state != "READY" else None


def _over(status: ChildStatus) -> ChildStatus | None:
    return status if status.state in ("SUCCEEDED", "FAILED") else None
