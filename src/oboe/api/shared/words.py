"""What holds a dag, in words that every face shows."""

from __future__ import annotations

from oboe.api.shared.envelope import wire_time
from oboe.control.views import DagView
from oboe.domain.holds import Hold, holds
from oboe.domain.model import Dag

__all__ = ["hold_words", "view_words"]


def view_words(view: DagView) -> list[str]:
    """All that holds a dag, with the lock that its start waits for."""
    words = [hold_words(view.dag, hold) for hold in holds(view.dag)]
    return [*words, f"the maintenance lock: {view.start_waits_for}"] if view.start_waits_for else words


def hold_words(dag: Dag, hold: Hold) -> str:
    """One sentence without its end; times in the zone of this process."""
    if hold.kind == "pause":
        return f"paused by {hold.who}: {hold.why}" + (f" (until {wire_time(hold.until, 0)})" if hold.until else "")
    if hold.kind == "start":
        return f"its start, not before {wire_time(hold.until, 0)}"
    if hold.kind == "facts":
        return f"word from {', '.join(map(str, hold.agents))}: the cluster's store went back, and may have lost what they did"
    assert hold.node is not None
    name = dag.plan.nodes[hold.node].name
    if hold.kind == "approval":
        return f"the approval of {name!r}"
    if hold.tries == 0:  # others were allowed while it rested, and are counted from then: the one it rests for is beside them
        return f"a retry of {name!r} at {wire_time(hold.until, 0)}, before {hold.tries_max} more"
    return f"retry {hold.tries} of {hold.tries_max} of {name!r} at {wire_time(hold.until, 0)}"
