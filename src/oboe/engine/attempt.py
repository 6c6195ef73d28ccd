"""One attempt from the inside: the `Run` that a step sees, and how what the step does becomes an outcome."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from oboe.domain.errors import Bug, Interrupted, StepFailed
from oboe.domain.messages import Level, LogLine, Order, Phase, Report
from oboe.domain.model import Leader
from oboe.domain.values import Address, Operator, Stopping
from oboe.engine import following
from oboe.engine.deaths import count_death, forget_deaths
from oboe.engine.first import first_found
from oboe.engine.jottings import Jottings
from oboe.engine.leftovers import attempt_directory, end_leftovers, mask_outputs
from oboe.engine.limits import Limits
from oboe.engine.outcome import Outcome, Suspended, outcome_of
from oboe.engine.patience import Patience, seconds_of
from oboe.engine.ports import Children, Launch, OpenParams, Running
from oboe.engine.transcript import Transcript, Waiting
from oboe.kit.plain import plain
from oboe.kit.registry import Registry
from oboe.kit.run import Child, ChildStatus, Completed

__all__ = ["Attempt", "Tools"]

T = TypeVar("T")

_LOOK_SECONDS = 0.1
"""How long a command's wait lasts before it looks whether it was told to stop."""
_EVERY_SECONDS_MIN = 0.01
"""However often a step wants to look, other steps run in this process too."""
_GOING_ON = Outcome(True)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every attempt on this agent shares."""

    here: Address
    registry: Registry
    services: Mapping[type[Any], Any]
    children: Children
    open_params: OpenParams
    launch: Launch
    end_recorded: Callable[[Path], None]
    """Ends the process group of the command that a directory has on record, and waits until it is gone."""
    work_root: Path
    limits: Limits
    clock: Callable[[], int]


class Attempt:
    """Implements `oboe.kit.run.Run`. One thread runs the step; others interrupt it, tell it signals, collect its lines."""

    def __init__(
        self,
        order: Order,
        tools: Tools,
        sink: Callable[[Report], None],
        notice: Callable[[Attempt], None],
        *,
        jottings: Jottings,
        resumed: bool = False,
    ) -> None:
        self.order = order
        self.fence = order.fence
        self.ended = False
        self.released = False
        """Its slot was given back."""
        self.given_up = False
        """Its worker no longer counts: it ignored an interrupt."""
        self._tools = tools
        self._sink = sink
        self._resumed = resumed
        self._changed = threading.Condition()
        self._cause: Stopping | None = None
        self._suspended = False
        self._signals: Mapping[str, Any] = order.signals
        self._extended = order.deadline
        self._calls = 0
        self._running: Running | None = None
        # A resumed attempt does not know how far its earlier life had counted; microseconds are always further.
        seq = tools.clock() // 1000 if resumed else 0
        limits = tools.limits
        self.transcript = Transcript(
            tools.clock,
            lambda: notice(self),
            jot=lambda line: jottings.jot(order.fence, line),
            earlier=jottings.left(order.fence) if resumed else (),
            seq=seq,
            lines_max=limits.lines_max,
            text_max=limits.line_chars_max,
        )

    # Facts

    @property
    def dag_key(self) -> str:
        return self.fence.dag_key

    @property
    def dag_id(self) -> int:
        return self.order.dag_id

    @property
    def agent(self) -> Address:
        return self.order.agent

    @property
    def here(self) -> Address:
        return self._tools.here

    @property
    def index(self) -> int:
        return self.fence.sub_task

    @property
    def attempt(self) -> int:
        return self.fence.attempt

    @property
    def resumed(self) -> bool:
        return self._resumed

    @property
    def rolling_back(self) -> bool:
        return self.order.operator is Operator.ROLLBACK

    @property
    def args(self) -> Mapping[str, Any]:
        return self.order.args

    @property
    def work_dir(self) -> Path:
        path = self._tools.work_root / self.dag_key
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def params(self, kind: type[T]) -> T:
        opened = self._tools.open_params(self.order.home.kind, kind, self.order.params)
        self.transcript.mask.learn(opened)
        return opened

    def use(self, port: type[T]) -> T:
        try:
            return cast(T, self._tools.services[port])
        except KeyError:
            raise Bug("run.no_service", f"this agent has no service {port.__name__}") from None

    def result(self, node: str) -> Any:
        return self.order.results.get(node)

    @property
    def own_result(self) -> Any:
        return self.order.own_result

    def first(self, name: str, find: Callable[[], T]) -> T:
        return first_found(self.work_dir, self.fence.sub_task, name, find)

    # Telling

    def log(self, text: str) -> None:
        self.transcript.write(Level.INFO, text)
        self.check()

    def warn(self, text: str) -> None:
        self.transcript.write(Level.WARN, text)
        self.check()

    def error(self, text: str, *, code: str = "") -> None:
        self.transcript.write(Level.ERROR, text, code)
        self.check()

    def progress(self, done: float, total: float, unit: str) -> None:
        self.note(progress={"done": done, "total": total, "unit": unit})

    def note(self, **additional: Any) -> None:
        self.transcript.note(plain(additional, what="note", bytes_max=self._tools.limits.result_bytes_max))
        self.check()

    # Waiting

    def check(self) -> None:
        if self._suspended:
            raise Suspended
        if self._cause is not None:
            raise Interrupted(self._cause.name.lower())

    def wait_until(self, ready: Callable[[], T | None], *, why: str | Callable[[], str], timeout: float, every: float = 0.5) -> T:
        patience, tries, pause = self.patience(timeout), 0, max(_EVERY_SECONDS_MIN, seconds_of(every, "every"))
        try:
            while True:
                self.check()
                tries += 1
                found = ready()
                if found:
                    return found
                text = why() if callable(why) else why
                left = patience.left()
                self.transcript.waiting = Waiting(text, patience.since, patience.until, tries)
                if left <= 0:
                    raise StepFailed("wait.timeout", f"gave up after {patience.seconds:g} s and {tries} tries: {text}")
                self._pause(min(pause, left))
        finally:
            self.transcript.waiting = None

    def wait_for(self, signal: str, *, timeout: float) -> Any:
        patience = self.patience(timeout)
        try:
            while signal not in self._signals:
                left = patience.left()
                self.transcript.waiting = Waiting(f"the signal {signal!r}", patience.since, patience.until, 1)
                if left <= 0:
                    raise StepFailed("wait.timeout", f"gave up after {patience.seconds:g} s: nobody gave the signal {signal!r}")
                with self._changed:
                    if signal not in self._signals:
                        self.check()
                        self._changed.wait(left)
                self.check()
            return self._signals[signal]
        finally:
            self.transcript.waiting = None

    def patience(self, timeout: float) -> Patience:
        """For a wait that begins now."""
        return Patience(timeout, clock=self._tools.clock, extended=lambda: self._extended)

    def _pause(self, seconds: float) -> None:
        """Sleep, until told to stop."""
        with self._changed:
            self._changed.wait_for(self.told, seconds)
        self.check()

    def told(self) -> bool:
        """To stop, or to leave things as they are."""
        return self._suspended or self._cause is not None

    # Commands

    def call(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        if isinstance(command, str) or not command or not all(isinstance(word, str) for word in command):
            raise Bug("call.not_a_list", f"a command is a list of texts, its program first, not {command!r}")
        self.check()
        self._calls += 1
        directory = attempt_directory(self._tools.work_root, self.fence) / f"call-{self._calls}"
        try:
            running = self._running = self._tools.launch(command, directory=directory, env=env, cwd=cwd, stdin=stdin)
        except OSError as error:
            hint = "the agent writes down a command in its home before it begins: make room there, then retry"
            if error.errno == errno.E2BIG:
                hint = "hand over what is long by stdin or a file"
            raise StepFailed("call.not_begun", f"{command[0]} was not begun: {error.strerror}", hint=hint) from error
        patience = self.patience(timeout)
        self.transcript.waiting = Waiting(f"the command {command[0]}", patience.since, patience.until, 1)
        try:
            while (status := running.wait(min(_LOOK_SECONDS, max(0.0, patience.left())))) is None:
                self.check()
                self.transcript.waiting = Waiting(f"the command {command[0]}", patience.since, patience.until, 1)
                if patience.left() <= 0:
                    raise StepFailed("call.timeout", f"{command[0]} was ended after {patience.seconds:g} s")
                if (written := running.written()) > self._tools.limits.output_bytes_max:
                    hint = "have it write less, or into a file of its own; engine_output_bytes_max is the bound"
                    raise StepFailed("call.too_much_output", f"{command[0]} was ended when it had written {written} bytes", hint=hint)
        except Suspended:
            raise
        except BaseException:
            self._end(running)
            raise
        finally:
            self.transcript.waiting = None
            self._running = None
        return Completed(status, *running.output(self._tools.limits.output_chars_max))

    def _end(self, running: Running) -> None:
        """Until nothing of it is left: an attempt that has ended leaves nothing behind that a retry could run beside."""
        while not running.end():
            _log.warning("a command of dag %s does not end", self.dag_key)

    # Other agents

    def lead(self, agent: Address, playbook: str, params: Any, *, name: str) -> Child:
        leader = Leader(self.order.home.kind, self.dag_key, self.order.maintainer)
        key = following.child_key(self.fence, name)
        return self._reach(agent, lambda: self._tools.children.create(agent, playbook, params, key, leader))

    def tell(self, child: Child, signal: str, payload: Any = None) -> None:
        said = plain(payload, what="signal", bytes_max=self._tools.limits.result_bytes_max)
        self._reach(child.agent, lambda: self._tools.children.tell(child, signal, said))

    def ask(self, child: Child, operator: str) -> None:
        self._reach(child.agent, lambda: self._tools.children.ask(child, operator))

    def watch(self, child: Child, until: Callable[[ChildStatus], T | None], *, why: str, timeout: float) -> T:
        return following.watch(self, self._tools.children, child, until, why=why, timeout=timeout)

    def _reach(self, agent: Address, action: Callable[[], T]) -> T:
        patience = self.patience(following.REACH_SECONDS)

        def trouble(why: str, tries: int) -> None:
            self.transcript.waiting = Waiting(why, patience.since, patience.until, tries)

        try:
            return following.reach(action, patience=patience, pause=self._pause, trouble=trouble, agent=agent)
        finally:
            self.transcript.waiting = None

    # From other threads

    @property
    def cause(self) -> Stopping | None:
        """Why it was told to stop; None: it was not."""
        return self._cause

    def take_cause(self) -> Stopping | None:
        """Why it was told to stop; from now on it is not, so that what it does at its end may take a while."""
        cause, self._cause = self._cause, None
        return cause

    @property
    def changed(self) -> threading.Condition:
        """Notified when it is told something."""
        return self._changed

    def interrupt(self, cause: Stopping) -> None:
        """Tell the step to stop; it hears at its next wait, call or line."""
        with self._changed:
            if self._cause is not Stopping.ASKED:
                self._cause = cause
            self._changed.notify_all()

    def extended(self, until: int) -> None:
        """A person gives what it waits for until then, nanoseconds."""
        with self._changed:
            self._extended = max(self._extended, until)
            self._changed.notify_all()

    def suspend(self) -> None:
        """Leave the step where it is; no outcome is reported."""
        if self._resumed:
            forget_deaths(self._tools.work_root, self.fence)
        with self._changed:
            self._suspended = True
            self._changed.notify_all()

    def signalled(self, signals: Mapping[str, Any]) -> None:
        with self._changed:
            self._signals = {**self._signals, **signals}
            self._changed.notify_all()

    def kill(self) -> None:
        """End the process group of the command it waits for."""
        running = self._running
        if running is not None:
            running.end()

    def show(self) -> None:
        """Report what it has written since the last time, if anything."""

        def take(lines: tuple[LogLine, ...], additional: dict[str, Any] | None) -> None:
            if not self.ended:
                self._sink(self._report(Phase.SHOWN, lines, additional))

        self.transcript.hand_over(take, always=False)

    # Carrying out

    def carry_out(self, release: Callable[[], None]) -> None:
        """Run the step to its end and report the outcome; ``release`` is called just before the report."""
        try:
            outcome = self._outcome()
        except Suspended:
            release()
            return

        reports: list[Report] = []

        def take(lines: tuple[LogLine, ...], additional: dict[str, Any] | None) -> None:
            self.ended = True
            reports.append(self._report(Phase.ENDED, lines, additional, outcome))

        self.transcript.hand_over(take, always=True)
        self._mask_outputs()
        release()
        self._sink(reports[0])

    def _outcome(self) -> Outcome:
        """Of the step; of one that is resumed, only as long as its agent does not die of it again and again."""
        tools = self._tools
        if self._resumed and count_death(tools.work_root, self.fence) > tools.limits.deaths_max:
            end_leftovers(tools.work_root, self.fence, tools.end_recorded)
            text = f"its agent died {tools.limits.deaths_max + 1} times in a row while it ran, so it does not run again by itself"
            self.transcript.write(Level.ERROR, text, "step.deadly", last=True)
            return Outcome(False)
        return outcome_of(self, lambda: tools.registry.step(self.order.step)(), result_bytes_max=tools.limits.result_bytes_max)

    def _mask_outputs(self) -> None:
        mask = self.transcript.mask
        if self._calls and mask:
            try:
                mask_outputs(self._tools.work_root, self.fence, mask)
            except OSError as error:
                _log.warning("outputs of commands of dag %s keep what they are: %s", self.dag_key, error)

    def _report(self, phase: Phase, lines: tuple[LogLine, ...], additional: dict[str, Any] | None, outcome: Outcome = _GOING_ON) -> Report:
        return Report(
            fence=self.fence,
            operator=self.order.operator,
            agent=self._tools.here,
            phase=phase,
            at=self._tools.clock(),
            ok=outcome.ok,
            result=outcome.result,
            additional=additional,
            leftover=outcome.leftover,
            lines=lines,
        )
