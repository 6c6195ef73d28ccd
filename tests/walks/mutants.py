"""Planted slips: each is one plausible mistake in the domain, and the walks must notice every one of them.

``right`` must occur exactly once in the module's source, so a mutant cannot rot into a mutant of nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from oboe.domain.errors import OboeError

from .rules import slipped_rules
from .world import World


@dataclass(frozen=True)
class Mutant:
    module: str
    name: str
    right: str
    wrong: str
    regress: bool = False
    """It shows only where the store goes back."""

    @property
    def title(self) -> str:
        return f"{self.module}: {self.name}"


@dataclass(frozen=True)
class Outcome:
    """How a mutant ended: who noticed it, after how many events. ``noticed`` is empty for one that survived."""

    mutant: Mutant
    noticed: str
    events: int
    seconds: float
    seed: int
    """Of the last world that was walked."""


KNOWN = Path(__file__).with_name("noticed.json")
"""Title of a mutant → the seed of the first world that notices it. Only a hint where to look first: whoever changes the worlds
writes it anew with ``python -m tests.walks --mutants --remember``."""


def known_seeds() -> Mapping[str, int]:
    found: dict[str, int] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return found


def try_mutant(mutant: Mutant, *, events_max: int, seed: int = 0, events: int = 400, first: int | None = None) -> Outcome:
    """Walk worlds, that of the seed ``first`` before all others, until one of them notices, or the events are used up. Any error is a
    notice: so would a user."""
    rules = slipped_rules(mutant.module, mutant.right, mutant.wrong)
    walked = 0
    start = time.perf_counter()
    noticed = ""
    for each in _seeds(seed, first):
        world = World(rules, each, regress=mutant.regress)
        try:
            world.run(events)
        except AssertionError as violation:
            noticed = str(violation)
        except (LookupError, NameError, TypeError, ValueError, AttributeError, OboeError) as error:
            noticed = repr(error)
        walked += world.events
        if noticed or walked >= events_max:
            return Outcome(mutant, noticed, walked, time.perf_counter() - start, each)
    raise AssertionError("seeds do not end")


def _seeds(seed: int, first: int | None) -> Iterator[int]:
    if first is not None:
        yield first
    yield from count(seed)


MUTANTS = (
    Mutant("machine", "a report of another attempt is heard", "if fence == mine and sub_task.live:", "if sub_task.live:"),
    Mutant("machine", "an ended attempt is heard again", "if fence == mine and sub_task.live:", "if fence == mine:"),
    Mutant("machine", "stale reports get no verdict", "    if fence < mine or (fence > mine", "    if (fence > mine"),
    Mutant("machine", "a late end does not close the interrupt", "work.put(report.sub_task, stopping_at=0)", "pass"),
    Mutant("machine", "a settled dag still listens", "sub_task.unconfirmed and not work.settled:", "sub_task.unconfirmed:"),
    Mutant("machine", "Started is not believed", "if sub_task is not None and sub_task.state is State.READY:", "if False:"),
    Mutant("machine", "an agent's clock is believed", "return min(max(at, earliest), latest)", "return at"),
    Mutant("machine", "Ended is heard only when RUNNING", '        facts["started_at"] = ended_at\n', "        return\n"),
    Mutant(
        "machine", "the undo of a cancelled retry counts", "if report.ok and not (stopped and sub_task.mark is Mark.DUE):", "if report.ok:"
    ),
    Mutant(
        "machine",
        "a stop in time still fails",
        "if report.ok and not (stopped and sub_task.mark is Mark.DUE):",
        "if report.ok and not stopped:",
    ),
    Mutant("machine", "a failure counts as success", "if report.ok and not (", "if report.ok or not ("),
    Mutant("machine", "a failed one keeps its mark", "state=State.FAILED, mark=Mark.NO, leftover", "state=State.FAILED, leftover"),
    Mutant("machine", "the result is dropped", "result=result, **facts", "**facts"),
    Mutant(
        "machine",
        "an undo keeps the result",
        "result = report.result if report.operator is Operator.RUN else None",
        "result = report.result or sub_task.result",
    ),
    Mutant("machine", "an end leaves the stop open", '"stopping_at": 0, "operator"', '"operator"'),
    Mutant("machine", "retries by itself though cancelled", "elif not report.ok and not stopped and _may", "elif not report.ok and _may"),
    Mutant(
        "machine",
        "retries by itself in a cancelled dag",
        "sub_task.auto_retries < allowed and not work.dag.cancelled and",
        "sub_task.auto_retries < allowed and",
    ),
    Mutant("machine", "retries by itself once too often", "sub_task.auto_retries < allowed", "sub_task.auto_retries <= allowed"),
    Mutant("machine", "retries by itself for ever", "auto_retries=used + 1", "auto_retries=used"),
    Mutant(
        "machine",
        "a resting one has no mark",
        "state=State.RUNNING, mark=Mark.DUE, auto_retries",
        "state=State.RUNNING, mark=Mark.NO, auto_retries",
    ),
    Mutant(
        "machine",
        "a resting one shows FAILED",
        "work.put(index, state=State.RUNNING, mark=Mark.DUE",
        "work.put(index, state=State.FAILED, mark=Mark.DUE",
    ),
    Mutant("machine", "a wake in a settled dag", "    if work.settled:\n        return work.finish()\n", ""),
    Mutant("machine", "a pause never ends by itself", "0 < work.dag.paused.until <= work.now", "False"),
    Mutant("machine", "a pause ends at once", "0 < work.dag.paused.until <= work.now", "work.dag.paused.until <= work.now"),
    Mutant(
        "machine", "a cancelled dag is held back by a pause", "not dag.started_at and not dag.cancelled and (", "not dag.started_at and ("
    ),
    Mutant("machine", "a wake does not pick up", "            work.set(started_at=work.now)\n", "            pass\n"),
    Mutant("machine", "a bound one is never missed", "    if _maintainer_gone(work, index):", "    if False:"),
    Mutant("machine", "everybody is missed", "    if _maintainer_gone(work, index):", "    if work.sub_tasks[index].agent != work.here:"),
    Mutant("machine", "what may not run twice does", "if resumable and not sub_task.stopping and", "if not sub_task.stopping and"),
    Mutant("machine", "what was told to stop goes on elsewhere", "if resumable and not sub_task.stopping and", "if resumable and"),
    Mutant("machine", "a gone maintainer is not asked to stop", "sub_task.stopping_at or work.now\n", "0\n"),
    Mutant(
        "machine", "dead without a grace", "        if sub_task.stopping:\n            work.put(", "        if True:\n            work.put("
    ),
    Mutant(
        "machine",
        "given up with its mark",
        "state=State.FAILED, mark=Mark.NO, ended_at=work.now)",
        "state=State.FAILED, ended_at=work.now)",
    ),
    Mutant("machine", "time-outs interrupt nobody", "stopping=Stopping.TIMEOUT, stopping_at=work.now)", "stopping=Stopping.TIMEOUT)"),
    Mutant("machine", "time never passes", "elif timer_of(sub_task, node) <= work.now:", "elif False:"),
    Mutant(
        "machine", "time passes too early", "elif timer_of(sub_task, node) <= work.now:", "elif timer_of(sub_task, node) <= work.now + 20:"
    ),
    Mutant(
        "machine",
        "an interrupt is named once",
        "if sub_task.unconfirmed or (sub_task.live and sub_task.stopping):",
        "if sub_task.unconfirmed:",
    ),
    Mutant(
        "machine",
        "an unconfirmed end is forgotten",
        "if sub_task.unconfirmed or (sub_task.live and sub_task.stopping):",
        "if sub_task.live and sub_task.stopping:",
    ),
    Mutant(
        "machine",
        "open orders are named once",
        "        work.effects.append(Dispatch(index))\n\n\n# Readying",
        "        pass\n\n\n# Readying",
    ),
    Mutant(
        "machine", "new orders are named twice", "and (index not in work.touched or work.touched[index].attempt == sub_task.attempt)", ""
    ),
    Mutant("work", "a wake names no timer", "        tally.timer = 0\n", "        tally.timer = 0\n        return\n"),
    Mutant("work", "a paused rest wakes the dag", "(sub_task.resting and dag.paused is None)", "sub_task.resting"),
    Mutant("machine", "reports look at their own node only", "    for node in onward:\n", "    for node in ():\n"),
    Mutant(
        "machine", "reports look the wrong way", "plan.nodes[node].upstream if back else plan.downstream[node]", "plan.nodes[node].upstream"
    ),
    Mutant(
        "machine",
        "reports look past their own node",
        "        _ready_those(work, node, (index,))\n",
        "",
    ),
    Mutant("machine", "reports look back", "work.tally.not_undone if back else work.tally.not_done\n", "work.tally.not_done\n"),
    Mutant("machine", "nobody waits for a turn", "or dag.recalled_at or not turn(dag, work.tally, node):", "or dag.recalled_at:"),
    Mutant(
        "machine",
        "a paused dag goes on",
        "if dag.paused is not None or dag.recalled_at",
        "if dag.recalled_at",
    ),
    Mutant("machine", "a halted dag goes on", "        elif idle or sub_task.live or held:", "        elif sub_task.live or held:"),
    Mutant("machine", "a live one begins again", "        elif idle or sub_task.live or held:", "        elif idle or held:"),
    Mutant("machine", "held nodes begin", "        elif idle or sub_task.live or held:", "        elif idle or sub_task.live:"),
    Mutant("machine", "a halted dag forgets its marks", "    if idle and not work.tally.marked:", "    if idle:"),
    Mutant(
        "machine",
        "a retry forgets the undo",
        "_ready(work, index, Operator.ROLLBACK, Mark.DUE if forward else Mark.NO)",
        "_ready(work, index, Operator.RUN, Mark.HAD)",
    ),
    Mutant(
        "machine",
        "a mark outlives the rollback",
        "_ready(work, index, Operator.ROLLBACK, Mark.DUE if forward else Mark.NO)",
        "_ready(work, index, Operator.ROLLBACK, Mark.DUE)",
    ),
    Mutant(
        "machine",
        "a retry forgets the run",
        "_ready(work, index, Operator.ROLLBACK, Mark.DUE if forward else Mark.NO)",
        "_ready(work, index, Operator.ROLLBACK, Mark.NO)",
    ),
    Mutant(
        "machine",
        "the second half is had twice",
        "_ready(work, index, Operator.RUN, Mark.HAD)",
        "_ready(work, index, Operator.RUN, Mark.DUE)",
    ),
    Mutant("machine", "the second half waits for a refusal", "elif sub_task.undone and not held:", "elif sub_task.undone and held:"),
    Mutant("machine", "a rest ends too early", "(sub_task.resting and sub_task.retry_at <= work.now)", "sub_task.resting"),
    Mutant("machine", "a rest never ends", "(sub_task.resting and sub_task.retry_at <= work.now)", "False"),
    Mutant("machine", "done things run again", "elif forward and not sub_task.done:", "elif forward:"),
    Mutant("machine", "undone things are undone again", "elif not forward and not sub_task.undone:", "elif not forward:"),
    Mutant("machine", "attempts do not grow", "attempt=work.sub_tasks[index].attempt + 1", "attempt=max(work.sub_tasks[index].attempt, 1)"),
    Mutant("machine", "a new attempt remembers the stop", "        stopping=Stopping.NO,\n        stopping_at=0,\n", ""),
    Mutant("machine", "a new attempt rests", "        retry_at=0,\n        deadline=0,", "        deadline=0,"),
    Mutant("machine", "a new attempt keeps the old deadline", "        deadline=0,\n", ""),
    Mutant("machine", "bound to nobody", "agent=work.here if agent is None else agent", "agent=agent"),
    Mutant(
        "machine", "orders are not sent", "        **facts,\n    )\n    work.effects.append(Dispatch(index))", "        **facts,\n    )"
    ),
    Mutant(
        "asks",
        "an operator keeps started_at",
        "work.set(started_at=0, asks=work.dag.asks + 1, **facts)",
        "work.set(asks=work.dag.asks + 1, **facts)",
    ),
    Mutant("asks", "a cancel cancels nothing", "_ask(work, cancelled=True)", "_ask(work)"),
    Mutant(
        "asks", "a cancel lets retries go on", "        elif sub_task.mark is Mark.DUE:\n            work.put(index, mark=Mark.NO)\n", ""
    ),
    Mutant(
        "asks",
        "a cancel moves the grace",
        "stopping_at=sub_task.stopping_at or work.now)\n    work.effects",
        "stopping_at=work.now)\n    work.effects",
    ),
    Mutant("asks", "a cancel interrupts nobody", "    work.effects.append(Interrupt(index, Stopping.ASKED))\n", ""),
    Mutant(
        "asks",
        "a cancelled rest keeps its time",
        "state=State.FAILED, mark=Mark.NO, retry_at=0, stopping",
        "state=State.FAILED, mark=Mark.NO, stopping",
    ),
    Mutant(
        "asks",
        "a retry leaves the dag cancelled",
        '_ask(work, operator=Operator.RUN, cancelled=False, halt_reason="")\n    return False\n\n\ndef _rollback',
        '_ask(work, operator=Operator.RUN, halt_reason="")\n    return False\n\n\ndef _rollback',
    ),
    Mutant(
        "asks",
        "a retry keeps rolling back",
        '_ask(work, operator=Operator.RUN, cancelled=False, halt_reason="")\n    return False\n\n\ndef _rollback',
        '_ask(work, cancelled=False, halt_reason="")\n    return False\n\n\ndef _rollback',
    ),
    Mutant(
        "asks",
        "a rollback goes forward",
        "_ask(work, operator=Operator.ROLLBACK, cancelled",
        "_ask(work, operator=Operator.RUN, cancelled",
    ),
    Mutant("asks", "a rollback keeps approvals", ', halt_reason="", approvals={})', ', halt_reason="")'),
    Mutant("asks", "a rollback marks nothing", "            _mark(work, index, asked=0)\n", "            pass\n"),
    Mutant("asks", "a pass takes the done as well", "        if not work.sub_tasks[index].done:\n", "        if True:\n"),
    Mutant(
        "asks", "a pass of a dag is not final", "work.set(operator=Operator.PASS, cancelled", "work.set(operator=Operator.RUN, cancelled"
    ),
    Mutant(
        "asks",
        "a pass of a node leaves the dag cancelled",
        '_ask(work, operator=Operator.RUN, cancelled=False, halt_reason="")\n    return False\n\n\ndef _skip',
        '_ask(work, operator=Operator.RUN, halt_reason="")\n    return False\n\n\ndef _skip',
    ),
    Mutant("asks", "a skip is not written down", "    work.set(skipped_undo=True)\n", ""),
    Mutant(
        "asks",
        "a skip takes what has not failed",
        "        if work.sub_tasks[index].broken:\n            _take_as",
        "        if True:\n            _take_as",
    ),
    Mutant("asks", "a skip counts as done", "_take_as(work, index, Operator.SKIP)", "_take_as(work, index, Operator.PASS)"),
    Mutant(
        "asks", "a signal is heard twice", "if work.settled or request.name in work.dag.signals:", "if request.name in work.dag.signals:"
    ),
    Mutant("asks", "a pause has no end", "    work.set_timer()\n    work.woken = True\n    return False", "    return False"),
    Mutant(
        "asks",
        "a resume waits for somebody",
        "    work.set(paused=None)\n    return True",
        "    work.set(paused=None)\n    return False",
    ),
    Mutant(
        "asks",
        "an approval waits for somebody",
        "request.node: approval})\n    return True",
        "request.node: approval})\n    return False",
    ),
    Mutant("machine", "reports are not followed up", "    else:\n        _ready_neighbours(work)\n", ""),
    Mutant("machine", "reports do not look at the clock", " or 0 < work.tally.timer <= now:", ":"),
    Mutant("work", "the version stands still", '"version": self.origin.version + 1}', '"version": self.origin.version}'),
    Mutant(
        "work", "the version moves for nothing", "if not differs and (self.dag is self.origin or self.dag == self.origin):", "if False:"
    ),
    Mutant("work", "the end has no time", "            ended_at = self.now if over else 0\n", "            ended_at = 0\n"),
    Mutant(
        "work",
        "the end outlives a retry",
        "        if not over or state is not self.state:\n",
        "        if over and state is not self.state:\n",
    ),
    Mutant("work", "nobody is told that it settled", "            self.effects.append(Settled())\n", "            pass\n"),
    Mutant("work", "timers are not named", "            self.effects.append(Timer(tally.timer))\n", "            pass\n"),
    Mutant("work", "counts stay behind", "        self.tally.moved(index, before, after)\n", ""),
    Mutant(
        "work", "the bound of what is due stays behind", "        self.tally.due(timer_of(after, ", "        (lambda _: 0)(timer_of(after, "
    ),
    Mutant(
        "tally",
        "downstream is not told",
        "                self._pass_on(node, (new > 0) - (old > 0), forward=True)",
        "                pass",
    ),
    Mutant(
        "tally", "upstream is not told", "                self._pass_on(node, (new > 0) - (old > 0), forward=False)", "                pass"
    ),
    Mutant(
        "tally",
        "marks are not counted",
        "            self.marked += (after.mark is Mark.DUE) - (before.mark is Mark.DUE)\n",
        "            pass\n",
    ),
    Mutant("tally", "patience is never at its end", "        return sub_task.readied_at + node.patience\n", "        return 0\n"),
    Mutant(
        "tally",
        "more time is not granted",
        "return sub_task.deadline or sub_task.started_at + node.timeout",
        "return sub_task.started_at + node.timeout",
    ),
    Mutant("state", "FAILED while a retry is due", "if halted(dag, tally) and not tally.marked:", "if halted(dag, tally):"),
    Mutant("state", "FAILED while something is live", "    if tally.going:\n        return RUNNING\n", ""),
    Mutant(
        "state",
        "a cancel does not halt",
        "return dag.cancelled or bool(dag.halt_reason) or tally.broken > 0",
        "return bool(dag.halt_reason) or tally.broken > 0",
    ),
    Mutant(
        "state",
        "a failure does not halt",
        "return dag.cancelled or bool(dag.halt_reason) or tally.broken > 0",
        "return dag.cancelled or bool(dag.halt_reason)",
    ),
    Mutant("state", "rollbacks look upstream", "tally.down[node] if dag.operator is ROLLBACK else tally.up[node]", "tally.up[node]"),
    Mutant(
        "state",
        "a node is FAILED though marked",
        "    if any(sub_task.broken for sub_task in sub_tasks):\n        return FAILED\n",
        "",
    ),
    Mutant(
        "fold",
        "the lock is held for ever",
        "    if state is State.SUCCEEDED:\n        return False\n    if dag.not_before",
        "    if dag.not_before",
    ),
    Mutant("fold", "a dag that is to start later holds the lock already", "if dag.not_before and not begun(dag):", "if False:"),
    Mutant("fold", "a dag that was to start later never takes the lock", "if dag.not_before and not begun(dag):", "if dag.not_before:"),
    Mutant("fold", "every failure releases the lock", "return not broken or not all(", "return not all("),
    Mutant(
        "fold",
        "the stage of a rollback stands still",
        "        return next((node + 1 for node in range(count - 1, -1, -1) if tally.not_undone[node]), 1)",
        "        return count",
    ),
    Mutant("fold", "a restart forgets what rests", "sub_task.live or (sub_task.resting and dag.paused is None)", "sub_task.live"),
    Mutant(
        "fold",
        "a restart forgets interrupts",
        "if sub_task.unconfirmed or (sub_task.live and sub_task.stopping):",
        "if sub_task.unconfirmed:",
    ),
    Mutant("fold", "a restart forgets a pause's end", "times.append(0 if state is State.FAILED else dag.paused.until)", "times.append(0)"),
    Mutant(
        "state",
        "at home means anywhere",
        "(planned.at_home or planned.agents[index - dag.plan.first[node]] is None)",
        "planned.agents[index - dag.plan.first[node]] is None",
    ),
    Mutant("guards", "a rollback undoes what cannot be", "lambda flags: flags.rollable", "lambda flags: True"),
    Mutant("guards", "a rollback needs what never began", "lambda sub_task: not sub_task.undone", "lambda sub_task: True"),
    Mutant(
        "guards",
        "a dag is retried while it runs",
        '        return Refused("retry.not_failed", "only a FAILED dag can be retried")',
        "        pass",
    ),
    Mutant(
        "guards",
        "a rollback begins beside what is live",
        '        return Refused("rollback.not_failed", "only a FAILED dag can be rolled back", hint="cancel it first")',
        "        pass",
    ),
    Mutant(
        "guards",
        "a node is passed that has not failed",
        '        return Refused("node_pass.node_not_failed"',
        '        str("node_pass.node_not_failed"',
    ),
    Mutant(
        "guards",
        "one is led on in a rollback",
        '        return Refused("sub_task_retry.rolling_back"',
        '        Refused("sub_task_retry.rolling_back"',
    ),
    Mutant(
        "guards", "what is finished is cancelled", '        return Refused("cancel.finished", "the dag is not running")', "        pass"
    ),
    Mutant(
        "machine", "a waiting dag readies", "if dag.paused is not None or dag.recalled_at or", "if dag.paused is not None or", regress=True
    ),
    Mutant("machine", "a later fence is not believed", "    if fence > mine and not work.settled:", "    if False:", regress=True),
    Mutant(
        "machine",
        "facts are not believed",
        "if fence > mine or (fence == mine and sub_task.unsure):",
        "if fence == mine and sub_task.unsure:",
        regress=True,
    ),
    Mutant("machine", "the unsure stay unsure", "    unwind(work, event.agent)\n", "", regress=True),
    Mutant("machine", "nobody is recalled", "    recall(work)\n", "", regress=True),
    Mutant(
        "regress",
        "facts are taken in as FAILED",
        "state = State.SUCCEEDED if fact.ok else State.FAILED",
        "state = State.FAILED",
        regress=True,
    ),
    Mutant(
        "regress",
        "every fact is a success",
        "state = State.SUCCEEDED if fact.ok else State.FAILED",
        "state = State.SUCCEEDED",
        regress=True,
    ),
    Mutant("regress", "the operator of a fact is dropped", "        operator=attempted(fact.operator),\n", "", regress=True),
    Mutant("regress", "the epoch of a fact is dropped", "        epoch=fact.epoch,\n", "", regress=True),
    Mutant("regress", "a later fence does not halt", "    if later:\n        _halt(work)\n", "", regress=True),
    Mutant("regress", "the silent are believed idle", "        if silent and not said:", "        if False:", regress=True),
    Mutant(
        "regress",
        "the silent are idle where nothing began",
        "        if silent and not said:",
        "        if silent and not said and sub_task.attempt:",
        regress=True,
    ),
    Mutant(
        "regress",
        "the silent keep what they did",
        "        if silent and not said:",
        "        if silent and not said and not sub_task.done:",
        regress=True,
    ),
    Mutant(
        "regress",
        "nobody waits for facts",
        "        work.set(recalled=tuple(sorted(agents)), recalled_at=work.now)",
        "        pass",
        regress=True,
    ),
    Mutant(
        "regress",
        "a dag waits for ever",
        "recalled_at=work.dag.recalled_at if left else 0",
        "recalled_at=work.dag.recalled_at",
        regress=True,
    ),
    Mutant(
        "guards",
        "a torn dag is retried",
        '    if torn(dag):\n        return Refused("retry.torn"',
        '    if False:\n        return Refused("retry.torn"',
        regress=True,
    ),
    Mutant(
        "guards",
        "the unsure are rolled back",
        '(unsure := _unsure(dag, "rollback")) is not None',
        '(unsure := _unsure(dag, "rollback")) is not None and False',
        regress=True,
    ),
    Mutant("guards", "a waiting dag takes operators", "if dag.recalled_at and not", "if False and not", regress=True),
    Mutant(
        "tally",
        "turns are judged by neighbours",
        "                    ahead.append(neighbour)\n",
        "                    pass\n",
        regress=True,
    ),
    Mutant("gone", "who is gone is still recalled", "        work.set(recalled=left)\n", "        pass\n", regress=True),
    Mutant(
        "gone",
        "what a gone agent never said it began is undone",
        "begun = {} if sub_task.attempt else {",
        "begun = {} if True else {",
        regress=True,
    ),
    Mutant("gone", "who is gone is waited for", "                forsake_unsure(work, index)", "                pass", regress=True),
    Mutant(
        "gone",
        "the silent are given up with the gone",
        "            if not any(may_know(work.dag, index, sub_task.agent, other) for other in left):",
        "            if may_know(work.dag, index, sub_task.agent, agent):",
        regress=True,
    ),
    Mutant("gone", "what the gone have under way goes on", "            _give_up(work, index, sub_task)", "            pass"),
    Mutant("gone", "everybody is given up", "        elif executor(work.dag, index) == agent:", "        else:"),
    Mutant("gone", "nobody interrupts the gone", "stopping=cause, stopping_at=since)", "stopping=cause, stopping_at=0)"),
    Mutant("gone", "the word is not kept", "(*others, GoneAgent(agent, who, why, work.now))", "others"),
    Mutant("gone", "what rests with the gone goes on", "    if sub_task.resting:", "    if False:"),
    Mutant(
        "gone",
        "a given up retry is still due",
        "work.put(index, state=State.FAILED, mark=Mark.NO, ended_at",
        "work.put(index, state=State.FAILED, ended_at",
    ),
    Mutant(
        "gone",
        "who names its facts stays gone",
        "    if any(word.agent == agent for word in work.dag.gone):",
        "    if False:",
        regress=True,
    ),
    Mutant("machine", "who reports stays gone", "        came_back(work, executor(work.dag, report.sub_task))\n", "        pass\n"),
    Mutant(
        "regress",
        "a gone maintainer did nothing",
        "            if any(may_know(work.dag, index, sub_task.agent, word.agent) for word in work.dag.gone):",
        "            if False:",
        regress=True,
    ),
    Mutant("guards", "nobody can do without the gone", " and not forsaken(dag, index))", ")"),
    Mutant("guards", "who keeps the dag is gone", "    if request.agent == dag.home.agent:", "    if False:"),
    Mutant(
        "guards", "the silent cannot be given up", "    if request.agent in dag.recalled and any(", "    if False and any(", regress=True
    ),
    Mutant(
        "state",
        "what the gone have not begun is passed, too",
        "dag.sub_tasks[index].broken and executor(dag, index) in",
        "executor(dag, index) in",
    ),
)
