"""A world to walk the machine through: one home, some agents, a network that does what networks do, and people who ask for things.

Everything is drawn from one seeded generator; a seed is a world. Time is an integer that only the world moves. Agents keep the half of
the contract that is theirs (an order is written down before it counts, an outcome is reported until it is acknowledged, attempt n+1
begins only when n is over, an order older than its patience is asked about before it begins), and a ledger keeps what truly happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from random import Random
from typing import Any

from oboe.domain.errors import Refused
from oboe.domain.events import (
    Approve,
    Cancel,
    Dispatch,
    Ended,
    Extend,
    Fact,
    Facts,
    Gone,
    Interrupt,
    Pass,
    PatiencePassed,
    Pause,
    Recall,
    Resume,
    Retry,
    Rollback,
    SetRetries,
    Shown,
    Signalled,
    Skip,
    Started,
    Timer,
    Wake,
    WentBack,
)
from oboe.domain.model import Dag, Flags, Home, Maintenance, NodePlan, Plan, SubTask
from oboe.domain.plan import check
from oboe.domain.values import Address, HomeKind, MaintenanceKind, Operator, State

from .checks import Checker, require, true_state
from .rules import Rules

QUEUED, RUNNING, ENDED = range(3)
Fence = tuple[int, int]


@dataclass(slots=True)
class Entry:
    """One attempt in an agent's inbox, and what truly happened to it."""

    operator: Operator
    readied_at: int
    resumable: bool
    patience: int
    state: int = QUEUED
    ok: bool = False
    begins: int = 0
    interrupted: bool = False
    acknowledged: bool = False
    repeats: bool = False
    """Another report of its outcome is planned."""
    life: int = 0
    """Moves with every change of mind, so that a planned end is not believed twice."""


@dataclass(slots=True)
class Agent:
    address: Address
    inbox: dict[int, dict[Fence, Entry]] = field(default_factory=dict)
    """By sub-task, then fence."""
    epoch: int = 0
    """The latest epoch for which it has named its facts; it refuses orders of older ones."""
    dead: bool = False
    deaf_until: int = 0
    skew: int = 0
    lives: int = 0


def draw_plan(random: Random, agents: list[Address], kind: HomeKind) -> Plan:
    """A random graph whose plan leads on."""
    count = random.choice((1, 1, 2, 2, 3, 3, 4, 5, 6, 8))
    every_rollable = random.random() < 0.5
    chain = random.random() < 0.4
    nodes = []
    for index in range(count):
        if chain:
            upstream: tuple[int, ...] = (index - 1,) if index else ()
        else:
            upstream = tuple(sorted(random.sample(range(index), min(index, random.choice((0, 1, 1, 2, 3))))))
        width = random.choice((1, 1, 1, 2, 3))
        at_home = kind is HomeKind.AGENT or random.random() < 0.1
        chosen = tuple(random.choice(agents) if at_home or random.random() < 0.6 else None for _ in range(width))
        retryable, skippable = random.random() < 0.7, random.random() < 0.5
        flags = Flags(
            cancellable=random.random() < 0.8,
            resumable=random.random() < 0.5,
            skippable=skippable,
            retryable=retryable or (not every_rollable and not skippable),
            rollable=every_rollable or random.random() < 0.6,
            release_on_failure=random.random() < 0.2,
        )
        nodes.append(
            NodePlan(
                name=f"node {index}",
                step="walk:Step",
                upstream=upstream,
                agents=chosen,
                at_home=at_home,
                flags=flags,
                timeout=random.choice((40, 80, 400)),
                patience=random.choice((15, 40, 200)),
                grace=random.choice((3, 10, 30)),
                retries=random.choice((0, 0, 0, 1, 2)),
                backoff=random.choice((1, 5, 20)),
                approval=random.random() < 0.12,
            )
        )
    plan = Plan(tuple(nodes))
    check(plan)
    return plan


class World:
    """One dag's life. `run` walks it until it settles or the events are used up, then heals everything and demands that it settles."""

    def __init__(self, rules: Rules, seed: int, *, regress: bool = False) -> None:
        self.rules = rules
        self.random = random = Random(seed)
        self.checker = Checker(rules)
        self.now = 1000
        self.events = 0
        self.refusals = 0
        self.order = 0
        self.agenda: list[tuple[int, int, str, tuple[Any, ...]]] = []
        addresses = [Address("10.0.0.1", port) for port in range(1, random.choice((2, 3, 4)))]
        self.agents = {address: Agent(address, skew=random.choice((0, 0, 0, 7, -300, 300))) for address in addresses}
        kind = random.choice((HomeKind.CLUSTER, HomeKind.CLUSTER, HomeKind.AGENT))
        self.here = addresses[0]
        self.wild = True
        self.loss = random.choice((0.0, 0.05, 0.2))
        self.doubling = random.choice((0.0, 0.1))
        self.failing = random.choice((0.1, 0.3, 0.6))
        self.delay = random.choice((1, 3, 25))
        self.people = random.choice((0.02, 0.1, 0.3))
        plan = draw_plan(random, addresses, kind)
        self.dag = Dag(
            key="walk",
            name="walk",
            playbook="walk",
            plan=plan,
            params={},
            home=Home(kind, addresses[0] if kind is HomeKind.AGENT else None),
            maintenance=Maintenance(random.choice((MaintenanceKind.NONE, MaintenanceKind.GLOBAL))),
            created_at=self.now,
            created_by=addresses[0],
            not_before=random.choice((0, 0, 0, self.now + 30)),
            sub_tasks=tuple(SubTask(agent=agent) for node in plan.nodes for agent in node.agents),
        )
        self.queue: list[tuple[Any, Address, tuple[int, Fence]]] = []
        """Reports at the home, not yet applied: event, sender, (sub_task, fence)."""
        self.timers: list[int] = []
        self.given_up: set[tuple[int, Fence]] = set()
        self.epoch = 1
        self.history: list[Dag] = [self.dag]
        """What was saved, for a store that goes back."""
        self.goes_back = regress and kind is HomeKind.CLUSTER
        self.regresses = 0
        self.forsook = False
        """A person has said that an agent is gone, after the store went back: what only that one knows, its home may never hear."""
        self.lost: Address | None = None
        """An agent that will never come back."""
        self.by_word = False
        """A person has passed or skipped what was not known; what truly happened may differ from then on."""

    # The agenda

    def at(self, time: int, kind: str, *facts: Any) -> None:
        self.order += 1
        heappush(self.agenda, (time, self.order, kind, facts))

    def send(self, kind: str, *facts: Any) -> None:
        """Over the network: lost, late, doubled, reordered."""
        random = self.random
        if self.wild and random.random() < self.loss:
            return
        self.at(self.now + 1 + int(random.random() * self.delay), kind, *facts)
        if self.wild and random.random() < self.doubling:
            self.at(self.now + 1 + int(random.random() * 10 * self.delay), kind, *facts)

    def run(self, events: int) -> int:
        """Walk for about so many events; how many it took in the end."""
        self.at(self.now + 1, "home")
        self.at(self.now + 20, "safety")
        self.at(self.now + 5, "fate")
        after = 0
        while self.events < events and after < 40:
            self._step()
            after += true_state(self.dag) is State.SUCCEEDED
        self._heal()
        return self.events

    def _step(self) -> None:
        self.now, _, kind, facts = heappop(self.agenda)
        self.events += 1
        getattr(self, f"_on_{kind}")(*facts)

    # The home

    def _advance(self, *events: Any) -> bool:
        """Ask, check, save, and carry out, or crash before that."""
        random = self.random
        before = self.dag
        try:
            after, effects = self.rules.advance(before, events, now=self.now, here=self.here, epoch=self.epoch)
        except Refused:
            self.refusals += 1
            return False
        deep = random.random() < 0.2
        self.checker.transition(before, events, after, effects, now=self.now, here=self.here, deep=deep)
        if self.wild and after is not before and random.random() < 0.02:
            return False
        self.dag = after
        if self.goes_back and after is not before:
            self.history.append(after)
            self.by_word |= self.regresses > 0 and isinstance(events[0], Pass | Skip)
            self.forsook |= self.regresses > 0 and isinstance(events[0], Gone)
        for index, (old, new) in enumerate(zip(before.sub_tasks, after.sub_tasks, strict=True)):
            if old is not new and new.unconfirmed:
                self.given_up.add((index, (new.epoch, new.attempt)))
            if old.live and new.attempt > old.attempt:
                self.given_up.add((index, (old.epoch, old.attempt)))
        if self.wild and random.random() < 0.01:
            self._restart()
            return True
        for effect in effects:
            self._carry_out(effect)
        self._expect_timer()
        return True

    def _expect_timer(self) -> None:
        due = self.rules.next_timer(self.dag)
        if due and self.dag.started_at and true_state(self.dag) is not State.FAILED:
            require(6, bool(self.timers) and min(self.timers) <= max(due, self.now) + 2, f"nobody will wake the dag at {due}")

    def _restart(self) -> None:
        """The home died after a save: queue, timers and effects are lost; it loads, and derives what is open."""
        self.dag = replace(self.dag)
        self.queue.clear()
        self.timers.clear()
        for effect in self.rules.open_dispatches(self.dag):
            self._carry_out(effect)
        if due := self.rules.next_timer(self.dag):
            self._carry_out(Timer(due))
        if true_state(self.dag) is State.READY:
            self.at(self.now + 1, "home")

    def _carry_out(self, effect: Any) -> None:
        if isinstance(effect, Timer):
            if effect.at not in self.timers:
                self.timers.append(effect.at)
                late = self.random.choice((0, 0, 0, 4)) if self.wild else 0
                self.at(max(effect.at, self.now + 1) + late, "timer", effect.at)
        elif isinstance(effect, Dispatch):
            sub_task = self.dag.sub_tasks[effect.sub_task]
            node = self.dag.plan.nodes[self.dag.plan.node_of[effect.sub_task]]
            entry = (sub_task.operator, sub_task.readied_at, node.flags.resumable, node.patience)
            self.send("order", self._executor(effect.sub_task), effect.sub_task, self._fence(effect.sub_task), entry, self.epoch)
        elif isinstance(effect, Interrupt):
            self.send("interrupt", self._executor(effect.sub_task), effect.sub_task, self._fence(effect.sub_task))
        elif isinstance(effect, Recall):
            self.send("recall", effect.agent, self.epoch)

    def _fence(self, index: int) -> Fence:
        return self.dag.sub_tasks[index].epoch, self.dag.sub_tasks[index].attempt

    def _executor(self, index: int) -> Address:
        address = self.rules.executor(self.dag, index)
        node = self.dag.plan.node_of[index]
        local = self.dag.home.kind is HomeKind.AGENT and self.dag.plan.nodes[node].at_home
        require(6, address in self.agents and (not local or address == self.dag.home.agent), "an order for nobody")
        return address  # type: ignore[no-any-return]

    def _bound(self, index: int) -> bool:
        plan = self.dag.plan
        node = plan.node_of[index]
        return self.dag.home.kind is HomeKind.CLUSTER and plan.nodes[node].agents[index - plan.first[node]] is None

    def _on_timer(self, at: int) -> None:
        if at in self.timers:
            self.timers.remove(at)
            if not self._advance(Wake()):
                self._carry_out(Timer(self.now + 2))

    def _on_home(self) -> None:
        """Apply what has come in, together."""
        batch, self.queue = self.queue, []
        events = [event for event, _, _ in batch]
        batch = [told for told in batch if told[2][0] >= 0]
        if not events or self.random.random() < 0.2:
            events.insert(self.random.randrange(len(events) + 1), Wake())
        version = self.dag.version
        if not self._advance(*events):
            self.at(self.now + 2, "home")
            return
        require(9, self.dag.version >= version, "the version fell")
        for event, sender, (index, attempt) in batch:
            sub_task = self.dag.sub_tasks[index]
            settled = true_state(self.dag) is State.SUCCEEDED
            if (
                attempt < self._fence(index)
                or (settled and attempt > self._fence(index))
                or (attempt == self._fence(index) and sub_task.unconfirmed)
            ):
                self.send("stop", sender, index, attempt)
            if isinstance(event, Ended):
                self.send("ack", sender, index, attempt)

    def _on_safety(self) -> None:
        """The slow net under everything: a restart of the home forgets READY dags, a crash forgets its effects."""
        if true_state(self.dag) is not State.SUCCEEDED:
            self._advance(Wake())
            self.at(self.now + 60, "safety")

    # The agents

    def _hears(self, address: Address, kind: str, facts: tuple[Any, ...]) -> Agent | None:
        agent = self.agents[address]
        if agent.dead:
            return None
        if agent.deaf_until > self.now:
            self.at(agent.deaf_until, kind, address, *facts)
            return None
        return agent

    def _on_order(self, address: Address, index: int, attempt: Fence, facts: tuple[Any, ...], epoch: int) -> None:
        agent = self._hears(address, "order", (index, attempt, facts, epoch))
        if agent is None or epoch < agent.epoch:
            return
        entries = agent.inbox.setdefault(index, {})
        if attempt in entries:
            self._report(agent, index, attempt)
            return
        if entries and attempt < max(entries):
            return
        entries[attempt] = Entry(*facts)
        for earlier, entry in entries.items():
            if earlier < attempt and entry.state != ENDED:
                self._stop(agent, index, earlier)
        if self._bound(index) and address != self.here:
            self._end(agent, index, attempt, ok=False)
            return
        self._begin_next(agent, index)

    def _begin_next(self, agent: Agent, index: int) -> None:
        entries = agent.inbox[index]
        if any(entry.state == RUNNING for entry in entries.values()):
            return
        waiting = [attempt for attempt, entry in entries.items() if entry.state == QUEUED]
        if not waiting:
            return
        attempt = max(waiting)
        entry = entries[attempt]
        late = self.now - entry.readied_at > entry.patience
        if entry.interrupted or (late and not self._home_still_wants(index, attempt)):
            self._end(agent, index, attempt, ok=False)
            return
        self._begin(agent, index, attempt)

    def _home_still_wants(self, index: int, attempt: Fence) -> bool:
        sub_task = self.dag.sub_tasks[index]
        return self._fence(index) == attempt and sub_task.live and not sub_task.stopping

    def _begin(self, agent: Agent, index: int, attempt: Fence) -> None:
        entry = agent.inbox[index][attempt]
        others = [(a.address, n) for a in self.agents.values() for n, e in a.inbox.get(index, {}).items() if e.state == RUNNING]
        require(2, not others, f"attempt {attempt} of {index} began beside {others}")
        require(2, not entry.begins or entry.resumable, f"attempt {attempt} of {index} was done twice")
        if self.regresses:
            if not self.by_word:
                self._true_ground(index, entry.operator)
        elif (index, attempt) not in self.given_up:
            require(6, true_state(self.dag) is not State.SUCCEEDED, "something began after the dag had settled")
            require(3, attempt == self._fence(index), "an attempt began that its home has left behind")
            self._ground(index, entry.operator)
            self._true_ground(index, entry.operator)
        entry.begins += 1
        entry.state = RUNNING
        entry.life += 1
        self._report(agent, index, attempt)
        takes = self.random.choice((1, 3, 10, 30)) if not self.wild or self.random.random() < 0.95 else 500
        self.at(self.now + takes, "finish", agent.address, index, attempt, entry.life)

    def _ground(self, index: int, operator: Operator) -> None:
        """What truly happened must bear what begins now: upstream was run (or passed), downstream is not running."""
        plan = self.dag.plan
        node = plan.node_of[index]
        for child in plan.downstream[node]:
            for below in plan.sub_tasks_of(child):
                going = [n for a in self.agents.values() for n, e in a.inbox.get(below, {}).items() if e.state == RUNNING]
                require(1, all((below, n) in self.given_up for n in going), f"{operator.name} of {index} began under a running {below}")
        for parent in plan.nodes[node].upstream:
            for above in plan.sub_tasks_of(parent):
                going = [n for a in self.agents.values() for n, e in a.inbox.get(above, {}).items() if e.state == RUNNING]
                require(1, all((above, n) in self.given_up for n in going), f"{operator.name} of {index} began beside a running {above}")

    def _true_ground(self, index: int, operator: Operator) -> None:
        """By what agents truly did: nothing is undone under what ran and was not undone, whatever its home has forgotten."""
        if operator is not Operator.ROLLBACK:
            return
        plan = self.dag.plan
        ahead = list(plan.downstream[plan.node_of[index]])
        for child in ahead:
            ahead.extend(node for node in plan.downstream[child] if node not in ahead)
            for below in plan.sub_tasks_of(child):
                known = self._known(below)
                last = known[max(known)] if known else None
                said = self.dag.sub_tasks[below].operator in (Operator.PASS, Operator.SKIP)
                ran = last is not None and last.operator is Operator.RUN and last.begins > 0 and (last.ok or last.state == RUNNING)
                require(1, not ran or said or (below, max(known)) in self.given_up, f"{index} is undone under {below}, which truly ran")

    def _known(self, index: int) -> dict[Fence, Entry]:
        """What all agents know of a sub-task."""
        return {n: e for a in self.agents.values() for n, e in a.inbox.get(index, {}).items()}

    def _on_finish(self, address: Address, index: int, attempt: Fence, life: int) -> None:
        agent = self.agents[address]
        entry = agent.inbox.get(index, {}).get(attempt)
        if agent.dead or entry is None or entry.life != life or entry.state != RUNNING:
            return
        if agent.deaf_until > self.now:
            self.at(agent.deaf_until, "finish", address, index, attempt, life)
            return
        well = self.random.random() >= (self.failing if self.wild else 0.0)
        self._end(agent, index, attempt, ok=well and (not entry.interrupted or self.random.random() < 0.4))

    def _end(self, agent: Agent, index: int, attempt: Fence, *, ok: bool) -> None:
        entry = agent.inbox[index][attempt]
        entry.state, entry.ok = ENDED, ok
        entry.life += 1
        self._report(agent, index, attempt)
        self._begin_next(agent, index)

    def _stop(self, agent: Agent, index: int, attempt: Fence) -> None:
        entry = agent.inbox[index][attempt]
        entry.interrupted = True
        if entry.state == QUEUED:
            self._end(agent, index, attempt, ok=False)
        elif entry.state == RUNNING:
            stubborn = self.wild and self.random.random() < 0.1
            entry.life += 1
            self.at(self.now + (60 if stubborn else 1), "finish", agent.address, index, attempt, entry.life)

    def _on_interrupt(self, address: Address, index: int, attempt: Fence) -> None:
        agent = self._hears(address, "interrupt", (index, attempt))
        if agent is None:
            return
        entries = agent.inbox.setdefault(index, {})
        entry = entries.get(attempt)
        if entry is None:
            if not entries or attempt > max(entries):
                entries[attempt] = Entry(self.dag.sub_tasks[index].operator, self.now, False, 0, state=ENDED)
                self._report(agent, index, attempt)
        elif entry.state == ENDED:
            self._report(agent, index, attempt)
        elif not entry.interrupted:
            self._stop(agent, index, attempt)

    def _on_stop(self, address: Address, index: int, attempt: Fence) -> None:
        """The verdict on a report: end it, and say no more about it."""
        agent = self._hears(address, "stop", (index, attempt))
        if agent is not None and attempt in agent.inbox.get(index, {}):
            entry = agent.inbox[index][attempt]
            if entry.state != ENDED and not entry.interrupted:
                self._stop(agent, index, attempt)
            entry.acknowledged |= entry.state == ENDED

    def _on_ack(self, address: Address, index: int, attempt: Fence) -> None:
        agent = self._hears(address, "ack", (index, attempt))
        if agent is not None and attempt in agent.inbox.get(index, {}):
            agent.inbox[index][attempt].acknowledged = True

    def _report(self, agent: Agent, index: int, attempt: Fence) -> None:
        entry = agent.inbox[index][attempt]
        at = self.now + agent.skew
        if entry.state == ENDED:
            result = attempt[1] if entry.ok and entry.operator is Operator.RUN else None
            event: Any = Ended(index, *attempt, at, entry.ok, entry.operator, result)
            if not entry.acknowledged and not entry.repeats:
                entry.repeats = True
                self.at(self.now + 15 + self.delay, "again", agent.address, index, attempt)
        elif entry.state == RUNNING:
            event = Started(index, *attempt, at)
            if self.random.random() < 0.1:
                event = Shown(index, *attempt, {"seen": self.random.randrange(3)})
        else:
            return
        self.send("report", event, agent.address, (index, attempt))

    def _on_again(self, address: Address, index: int, attempt: Fence) -> None:
        """An outcome is reported until it is acknowledged."""
        agent = self._hears(address, "again", (index, attempt))
        if agent is None:
            return
        entry = agent.inbox[index][attempt]
        entry.repeats = False
        if not entry.acknowledged:
            self._report(agent, index, attempt)

    def _on_report(self, event: Any, sender: Address, fence: tuple[int, Fence]) -> None:
        if not self.queue:
            self.at(self.now + self.random.choice((0, 0, 3)), "home")
        self.queue.append((event, sender, fence))

    # The store goes back

    def _go_back(self) -> None:
        """The database failed over and lost its last commits; somebody serves it again, in a new epoch."""
        self.regresses += 1
        lost = min(self.random.choice((1, 1, 2, 3, 6, 10)), len(self.history) - 1)
        if lost > 0:
            del self.history[-lost:]
            self.dag = self.history[-1]
        self.epoch += 1
        old = self.here
        address = self.random.choice([address for address in self.agents if address != self.lost])
        if address != old:
            self._leave(self.agents[old])
            self.here = address
        self.queue.clear()
        self.timers.clear()
        self.dag = replace(self.dag)
        while true_state(self.dag) is not State.SUCCEEDED and not self._advance(WentBack(tuple(self.agents))):
            pass
        self.at(self.now + self.random.choice((30, 200)), "impatient", self.epoch)

    def _on_impatient(self, epoch: int) -> None:
        if epoch == self.epoch and self.dag.recalled_at and not self._advance(PatiencePassed()):
            self.at(self.now + 2, "impatient", epoch)

    def _on_recall(self, address: Address, epoch: int) -> None:
        """Name the highest attempt of each sub-task, and say everything again."""
        agent = self._hears(address, "recall", (epoch,))
        if agent is None or epoch < agent.epoch:
            return
        agent.epoch = epoch
        facts = []
        for index, entries in agent.inbox.items():
            for attempt, entry in entries.items():
                entry.acknowledged = False
                self._report(agent, index, attempt)
            if entries:
                highest = max(entries)
                entry = entries[highest]
                result = highest[1] if entry.ok and entry.operator is Operator.RUN else None
                facts.append(Fact(index, *highest, entry.operator, self.now, entry.state != ENDED, entry.ok, result))
        self.send("facts", Facts(address, tuple(facts)), epoch)

    def _on_facts(self, event: Facts, epoch: int) -> None:
        if epoch == self.epoch:
            self._on_report(event, event.agent, (-1, (0, 0)))

    # Fate

    def _on_fate(self) -> None:
        """Agents die, hang and come back; the lease moves; people ask."""
        random = self.random
        self.at(self.now + random.choice((2, 5, 10)), "fate")
        chance = random.random()
        if chance < 0.03:
            self._kill(random.choice([agent for agent in self.agents.values() if agent.address != self.lost]))
        elif chance < 0.035:
            self._lose(random.choice(list(self.agents)))
        elif chance < 0.06:
            agent = random.choice(list(self.agents.values()))
            agent.deaf_until = self.now + random.choice((10, 50, 150))
        elif chance < 0.12 and self.dag.home.kind is HomeKind.CLUSTER:
            self._move_lease(random.choice([address for address in self.agents if address != self.lost]))
        elif chance < 0.15 and self.goes_back and self.history and true_state(self.dag) is not State.SUCCEEDED:
            self._go_back()
        state = true_state(self.dag)
        if state is State.FAILED:
            if random.random() < 0.5:
                self._ask()
        elif random.random() < self.people:
            self._ask()
        if state is not State.FAILED and random.random() < 0.15:
            self._unblock()

    def _kill(self, agent: Agent) -> None:
        """Its processes go with it. What may run again does so when it is back; the rest is FAILED, interrupted."""
        agent.dead = True
        for entries in agent.inbox.values():
            for entry in entries.values():
                entry.life += 1
        agent.lives += 1
        self.at(self.now + self.random.choice((1, 20, 100)), "revive", agent.address, agent.lives)

    def _lose(self, address: Address) -> None:
        """It dies, and never comes back. Not whoever keeps the dag."""
        if self.lost is None and address != self.here:
            self.lost = address
            self.agents[address].dead = True
            self.agents[address].lives += 1

    def _on_revive(self, address: Address, lives: int) -> None:
        agent = self.agents[address]
        if not agent.dead or agent.lives != lives:
            return
        agent.dead = False
        for entries in agent.inbox.values():
            for entry in entries.values():
                entry.repeats = False
        for index, entries in list(agent.inbox.items()):
            for attempt, entry in list(entries.items()):
                if entry.state == RUNNING:
                    moved = self._bound(index) and address != self.here
                    entry.state = QUEUED
                    if not entry.resumable or moved or entry.interrupted:
                        self._end(agent, index, attempt, ok=False)
                elif entry.state == ENDED and not entry.acknowledged:
                    self._report(agent, index, attempt)
            self._begin_next(agent, index)

    def _move_lease(self, address: Address) -> None:
        """The old maintainer has interrupted what is bound to it before anybody else may hold the lease."""
        if address == self.here:
            return
        old, self.here = self.agents[self.here], address
        self._leave(old)
        self._restart()
        while true_state(self.dag) is not State.SUCCEEDED and not self._advance(Wake()):
            pass

    def _leave(self, old: Agent) -> None:
        """It cannot renew its lease: it interrupts what is bound to it."""
        for index, entries in list(old.inbox.items()):
            for attempt, entry in list(entries.items()):
                if self._bound(index) and entry.state != ENDED:
                    entry.interrupted = True
                    if old.dead:
                        entry.state, entry.ok = ENDED, False
                        entry.life += 1
                    else:
                        self._end(old, index, attempt, ok=False)

    # People

    def _ask(self) -> None:
        random = self.random
        index = random.randrange(self.dag.plan.size)
        telling = [i for i, s in enumerate(self.dag.sub_tasks) if s.state in (State.READY, State.RUNNING, State.FAILED)]
        if telling and random.random() < 0.7:
            index = random.choice(telling)
        node = self.dag.plan.node_of[index]
        state = true_state(self.dag)
        failed: list[Any] = [
            Retry(),
            Retry(),
            Rollback(),
            Rollback(),
            Skip(),
            Pass(node=node),
            Retry(index),
            Pass(sub_task=index),
            Skip(index),
        ]
        if random.random() < (0.3 if self.dag.gone else 0.03):
            failed.append(Pass())
        running: list[Any] = [
            Cancel(),
            Cancel(index),
            Cancel(index),
            Retry(index),
            Skip(index),
            Pause("w", "y", random.choice((0, self.now + 30))),
            Resume(),
            Approve(node, "w", "y"),
            Extend(index, self.now + random.choice((5, 100))),
            SetRetries(index, random.randrange(3)),
            Signalled(random.choice("ab"), 1),
        ]
        if random.random() < 0.1:
            failed = running = [Gone(self.lost or random.choice(list(self.agents)), "w", "y")]
        odd = random.random() < 0.1
        asked = random.choice(failed if (state is State.FAILED) != odd else running)
        self.oracle(asked)
        if self._advance(asked) and random.random() < 0.8:
            self._advance(Wake())

    def oracle(self, asked: Any) -> None:
        """A few refusals, said again in other words."""
        refused = self.rules.guard(self.dag, asked, now=self.now) is not None
        if self.regresses:
            unsure = any(s.unsure for s in self.dag.sub_tasks)
            require(11, refused or not unsure or asked not in (Retry(), Rollback()), "what is unsure is led on")
            return
        state = true_state(self.dag)
        dag, flags = self.dag, [node.flags for node in self.dag.plan.nodes]
        owner = dag.plan.node_of
        if asked == Retry():
            granted = state is State.FAILED and all(
                flags[owner[i]].retryable for i, s in enumerate(dag.sub_tasks) if s.state is State.FAILED
            )
            require(11, refused != granted, "a retry is wrongly granted or refused")
        elif asked == Rollback():
            granted = state is State.FAILED and all(flags[owner[i]].rollable for i, s in enumerate(dag.sub_tasks) if not s.undone)
            require(11, refused != granted, "a rollback is wrongly granted or refused")
        elif asked == Pass():
            held = [flags[owner[i]] for i, s in enumerate(dag.sub_tasks) if not s.done and not self._forsaken(i)]
            granted = state is State.FAILED and all(each.skippable for each in held)
            require(11, refused != granted, "a pass is wrongly granted or refused")
        elif isinstance(asked, Pass) and asked.node is not None:
            held = [i for i in dag.plan.sub_tasks_of(asked.node) if not dag.sub_tasks[i].done and not self._forsaken(i)]
            require(11, refused or flags[asked.node].skippable or not held, "a node is wrongly passed")
        elif asked == Cancel():
            over = state in (State.FAILED, State.SUCCEEDED)
            begun = all(flags[owner[i]].cancellable for i, s in enumerate(dag.sub_tasks) if s.attempt)
            require(11, not (over and not refused) and not (not begun and not refused), "a cancel is wrongly granted")
        elif isinstance(asked, Retry | Pass) and asked.sub_task is not None:
            one = dag.sub_tasks[asked.sub_task]
            require(11, refused or (one.state is State.FAILED and dag.operator is Operator.RUN), "one sub-task is wrongly led on")
            free = isinstance(asked, Retry) or flags[owner[asked.sub_task]].skippable or self._forsaken(asked.sub_task)
            require(11, refused or free, "one sub-task is wrongly passed")

    def _forsaken(self, index: int) -> bool:
        """Its agent is gone by a person's word, and it FAILED there."""
        return self.dag.sub_tasks[index].broken and any(word.agent == self.rules.executor(self.dag, index) for word in self.dag.gone)

    def _unblock(self) -> None:
        """Approve what is held, and resume, so that worlds get somewhere."""
        if self.dag.paused is not None and self.random.random() < 0.5:
            self._advance(Resume())
        for node, planned in enumerate(self.dag.plan.nodes):
            if planned.approval and node not in self.dag.approvals:
                self._advance(Approve(node, "w", "y"))

    # The end

    def _heal(self) -> None:
        """Nothing fails any more: within a bounded time the dag settles, and what agents did is what the home believes."""
        self.wild = False
        self.loss = self.doubling = 0.0
        self.delay = 1
        for agent in self.agents.values():
            agent.deaf_until = 0
            if agent.dead and agent.address != self.lost:
                self._on_revive(agent.address, agent.lives)
        self._restart()
        deadline = self.events + 4000 + 400 * self.dag.plan.size
        quiet = 0
        forward = self.random.random() < 0.5
        while quiet < 25:
            require(8, self.events < deadline, "it does not settle though nothing fails any more")
            if not self.agenda:
                break
            self.now, _, kind, facts = heappop(self.agenda)
            self.events += 1
            if kind == "fate":
                self.at(self.now + 10, "fate")
                if self.dag.recalled:
                    self._advance(Wake())
                if true_state(self.dag) is State.SUCCEEDED:
                    quiet += 1
                else:
                    self._lead_on(forward)
            else:
                getattr(self, f"_on_{kind}")(*facts)
        self._truth()

    def _lead_on(self, forward: bool) -> None:
        unsure = any(s.unsure for s in self.dag.sub_tasks)
        if self.lost is not None and unsure and self.lost in self.dag.recalled and not self.dag.recalled_at:
            require(11, self._advance(Gone(self.lost, "w", "y")), "what a lost agent may have done is never known")
        elif true_state(self.dag) is State.FAILED and not unsure:
            wishes: list[Any] = self._without_the_lost() + ([Retry(), Rollback()] if forward else [Rollback(), Retry()])
            nodes = range(len(self.dag.plan.nodes))
            wishes += [Skip(), *(Pass(node=node) for node in nodes), *(Skip(i) for i in range(self.dag.plan.size)), Pass()]
            granted = [wish for wish in wishes if self.rules.guard(self.dag, wish) is None]
            require(11, bool(granted), "FAILED, and nothing is legal")
            self._advance(granted[0])
            self._advance(Wake())
        self._unblock()

    def _without_the_lost(self) -> list[Any]:
        """What a person asks who knows that an agent will not come back; nobody can retry or undo there."""
        left = [
            index
            for index, sub_task in enumerate(self.dag.sub_tasks)
            if sub_task.state is State.FAILED and self.rules.executor(self.dag, index) == self.lost
        ]
        if self.lost is None or not left:
            return []
        if all(word.agent != self.lost for word in self.dag.gone):
            return [Gone(self.lost, "w", "y")]
        return [ask for index in left for ask in (Pass(sub_task=index), Skip(index))]

    def _truth(self) -> None:
        for index, sub_task in enumerate(self.dag.sub_tasks):
            known = self._known(index)
            running = [n for a in self.agents.values() if not a.dead for n, e in a.inbox.get(index, {}).items() if e.state == RUNNING]
            require(6, not running, f"attempt {running} of {index} still runs")
            # An Interrupt on its way when the store went back makes an entry of an attempt that nobody ever began.
            made = [n for n, e in known.items() if e.begins or not self.regresses]
            heard = max(made, default=(0, 0)) <= self._fence(index) or self.by_word or self.forsook
            require(2, heard, "an agent knows an attempt that its home never made")
            if sub_task.state is State.SUCCEEDED and sub_task.operator in (Operator.RUN, Operator.ROLLBACK):
                entry = known.get(self._fence(index))
                truly = entry is not None and entry.ok and entry.operator is sub_task.operator and entry.begins > 0
                require(4, truly, f"{index} is {sub_task.operator.name} SUCCEEDED, and no agent did it")
                wanted = sub_task.attempt if sub_task.operator is Operator.RUN else None
                require(4, sub_task.result == wanted, "the result is not what its agent returned")
