"""What steps that lead another dag have in common: follow it to its end, copy its lines, fail with its reason."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, TypeVar

from oboe.domain.errors import Interrupted, OboeError, Refused, StepFailed, TryAgain, Unreachable
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.kit.naming import Naming
from oboe.kit.run import Child, ChildStatus, Run
from oboe.membership.verbs import LedBy, LedDags
from oboe.remote.client import Peers

__all__ = [
    "child_from",
    "child_id",
    "copy_lines",
    "end_of",
    "ended",
    "follow_node",
    "lead",
    "lead_to_end",
    "let_go",
    "reach",
    "release_strays",
    "undo_child",
]

T = TypeVar("T")

_ASK_SECONDS = 10.0
_REACH_SECONDS = 30.0
"""How long an agent may be away before a step that needs its word fails."""
_RELEASE_SECONDS = 600.0


def child_id(run: Run, child: Child) -> str:
    """The led dag's id, as log lines show it."""
    return run.use(Naming).dag(Home(HomeKind.AGENT, child.agent), child.dag_id)


def child_from(kept: Any) -> Child:
    """A led dag remembered in a step's result."""
    return Child(Address.parse(kept["agent"]), kept["dag_key"], kept["dag_id"])


def copy_lines(run: Run, title: str, status: ChildStatus) -> None:
    """Repeat a node's lines as OBShell does for work on another agent: ``task <node>: <line>``."""
    for line in status.node_lines.get(title, ()):
        run.log(f"task {title}: {line}")


def lead(run: Run, agent: Address, playbook: str, params: Any, *, name: str) -> Child:
    """Lead a dag there; one that an earlier attempt of this dag left in its way is released first."""
    try:
        return run.lead(agent, playbook, params, name=name)
    except Refused as error:
        if error.code != "maintenance.held" or not release_strays(run, agent):
            raise
    return run.lead(agent, playbook, params, name=name)


def lead_to_end(run: Run, agent: Address, playbook: str, params: Any, *, timeout: float) -> None:
    """Lead a one-node dag on ``agent`` and wait until it succeeded, as `end_of` does; its lines are copied."""
    run.log("retry flag: false")
    child = lead(run, agent, playbook, params, name=playbook)
    run.log(f"remote task {child_id(run, child)} {playbook} running [1/1]")
    copy_lines(run, playbook, end_of(run, child, playbook, timeout=timeout))


def end_of(run: Run, child: Child, title: str, *, timeout: float, hint: str = "") -> ChildStatus:
    """Wait until a led dag succeeded. One that does not is let go, and its failure is ours."""
    try:
        status = run.watch(child, ended, why=f"{title} on {child.agent}", timeout=timeout)
        if status.state == "FAILED" or status.operator == "ROLLBACK":
            raise StepFailed("child.failed", f"{title} failed on {child.agent}: {_reason(status)}", hint=hint)
    except (StepFailed, Interrupted):
        let_go(run, child)
        raise
    return status


def let_go(run: Run, *children: Child) -> None:
    """Have them come to rest, because the step that leads them ends badly. What cannot be told now is found by the next attempt."""
    for child in children:
        with suppress(OboeError, Interrupted):
            run.ask(child, "RELEASE")


def reach(run: Run, agent: Address, verb: str, request: Any, answer: type[T], *, timeout: float = _ASK_SECONDS) -> T:
    """Ask something repeatable of an agent; one that is away is asked again for a while."""
    trouble = [""]

    def asked() -> list[T] | None:
        try:
            return [run.use(Peers).call(agent, verb, request, answer, timeout=timeout)]
        except (Unreachable, TryAgain) as error:
            trouble[0] = error.message
            return None

    return run.wait_until(asked, why=lambda: f"an answer from {agent}: {trouble[0]}", timeout=_REACH_SECONDS)[0]


def release_strays(run: Run, agent: Address) -> bool:
    """Have come to rest, and wait for, whatever of this dag still stands open on ``agent``. False: nothing did."""
    found = reach(run, agent, "dag.led_by", LedBy(run.dag_key), LedDags)
    for child in found.children:
        run.ask(child, "RELEASE")
        run.watch(child, _at_rest, why=f"what an earlier attempt left on {agent}", timeout=_RELEASE_SECONDS)
    return bool(found.children)


def follow_node(run: Run, child: Child, node: str, *, timeout: float, retry: bool) -> ChildStatus:
    """Wait until ``node`` of a led dag is done; ``retry`` first asks RETRY of a dag that stands FAILED."""

    def reached(status: ChildStatus) -> ChildStatus | None:
        return status if node in status.done or status.state in ("FAILED", "SUCCEEDED") else None

    if retry:
        now = run.watch(child, lambda status: status, why=f"word from {child.agent}", timeout=30)
        if now.state == "FAILED":
            run.ask(child, "RETRY")
    status = run.watch(child, reached, why=f"{node} on {child.agent}", timeout=timeout)
    if status.operator == "ROLLBACK" or (status.state == "FAILED" and node not in status.done):
        raise StepFailed("child.failed", f"{node} failed on {child.agent}: {_reason(status)}")
    return status


def undo_child(run: Run, child: Child, *, timeout: float) -> bool:
    """Have a led dag undone, and wait until it is. False: it had ended well, so there is no dag left to undo."""
    run.ask(child, "ROLLBACK")
    return run.watch(child, _at_rest, why=f"the undo on {child.agent}", timeout=timeout).operator == "ROLLBACK"


def _at_rest(status: ChildStatus) -> ChildStatus | None:
    """A dag that is being undone has settled; `StepFailed` when its undo failed."""
    if status.operator == "ROLLBACK" and status.state == "FAILED":
        raise StepFailed("child.undo_failed", f"its undo failed: {_reason(status)}")
    return status if status.state == "SUCCEEDED" else None


def ended(status: ChildStatus) -> ChildStatus | None:
    """For `Run.watch`: once it has succeeded or failed."""
    return status if status.state in ("SUCCEEDED", "FAILED") else None


def _reason(status: ChildStatus) -> str:
    return "; ".join(status.lines[-3:]) or "no reason given"
