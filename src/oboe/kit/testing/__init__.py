"""How the writer of a playbook tests it: in memory, at once, on a clock that only waits move.

::

    plan_of          the plan for some params, checked as an agent checks it
    FakeRun          one step, from the inside: what it ran, said and waited for; what commands and other dags answer it
    Rehearsal        a whole dag over the real state machine: fail, kill or cancel an attempt, retry, roll back, see what was run
    killed_everywhere  the same dag again and again, its agent killed at every point where it can be

Nothing sleeps, and no process is started: commands answer what the test says (`FakeRun.answer`, `Rehearsal.answer`).
"""

from oboe.domain.errors import Refused, StepFailed
from oboe.domain.values import Address, State
from oboe.kit.run import Child, ChildStatus, Completed
from oboe.kit.testing.clock import Clock
from oboe.kit.testing.plans import plan_of
from oboe.kit.testing.record import Call, Led, Progress, Wait
from oboe.kit.testing.rehearsal import Did, Rehearsal, killed_everywhere
from oboe.kit.testing.run import HERE, FakeRun, Killed
from oboe.kit.testing.script import Script

__all__ = [
    "HERE",
    "Address",
    "Call",
    "Child",
    "ChildStatus",
    "Clock",
    "Completed",
    "Did",
    "FakeRun",
    "Killed",
    "Led",
    "Progress",
    "Refused",
    "Rehearsal",
    "Script",
    "State",
    "StepFailed",
    "Wait",
    "killed_everywhere",
    "plan_of",
]
