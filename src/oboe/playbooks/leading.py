"""What steps that lead another dag have in common: follow it to its end, copy its lines, fail with its reason."""

from __future__ import annotations

from typing import Any

from oboe.domain.errors import StepFailed
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind
from oboe.kit.naming import Naming
from oboe.kit.run import Child, ChildStatus, Run

__all__ = ["child_from", "child_id", "copy_lines", "follow_node", "lead_to_end", "undo_child"]


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


def lead_to_end(run: Run, agent: Address, playbook: str, params: Any, *, timeout: float) -> ChildStatus:
    """Lead a one-node dag on ``agent`` and wait until it succeeded; its lines are copied, its failure is ours."""
    run.log("retry flag: false")
    child = run.lead(agent, playbook, params, name=playbook)
    run.log(f"remote task {child_id(run, child)} {playbook} running [1/1]")
    status = run.watch(child, _ended, why=f"{playbook} on {agent}", timeout=timeout)
    if status.state == "FAILED":
        # A led dag that an earlier attempt left FAILED keeps its agent's lock; pass nothing, take it back.
        run.ask(child, "ROLLBACK")
        raise StepFailed("child.failed", f"{playbook} failed on {agent}: {_reason(status)}")
    copy_lines(run, playbook, status)
    return status


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

    def over(status: ChildStatus) -> ChildStatus | None:
        return status if status.state == "SUCCEEDED" or (status.operator == "ROLLBACK" and status.state == "FAILED") else None

    status = run.watch(child, over, why=f"the undo on {child.agent}", timeout=timeout)
    if status.state == "FAILED":
        raise StepFailed("child.undo_failed", f"the undo on {child.agent} failed: {_reason(status)}")
    return status.operator == "ROLLBACK"


def _ended(status: ChildStatus) -> ChildStatus | None:
    return status if status.state in ("SUCCEEDED", "FAILED") else None


def _reason(status: ChildStatus) -> str:
    return "; ".join(status.lines[-3:]) or "no reason given"
