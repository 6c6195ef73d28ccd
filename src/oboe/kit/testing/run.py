"""A `Run` for tests: it records what a step does, answers from a script, and waits on a clock of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from oboe.domain.errors import Bug, Interrupted, StepFailed
from oboe.domain.values import SECOND, Address
from oboe.kit.params import copy_params
from oboe.kit.plain import plain
from oboe.kit.run import Child, ChildStatus, Completed
from oboe.kit.testing.clock import Clock
from oboe.kit.testing.plans import DAG_KEY, HERE
from oboe.kit.testing.record import Call, Led, Progress, Wait
from oboe.kit.testing.script import Script

__all__ = ["HERE", "FakeRun", "Killed"]

T = TypeVar("T")

_EVERY_MIN = 0.001
"""A wait that looks all the time still lets time pass."""


class Killed(BaseException):
    """The agent dies here. No step catches it."""


class FakeRun:
    """One attempt of one sub-task. Implements `oboe.kit.run.Run`.

    ::

        run = FakeRun(CopyParams(target="/backup"), args={"table": "t1"})
        run.answer("mydumper", stdout="done")
        assert Copy().run(run) == 7
        assert [str(call) for call in run.calls] == ["mydumper --table t1 /backup"]

    Time passes only in waits: ``clock.at(7, action)`` does something in the middle of one. `at` does something when the step speaks to
    its run for the n-th time; `interrupt` tells it to stop."""

    def __init__(
        self,
        params: Any = None,
        *,
        args: Mapping[str, Any] | None = None,
        agent: Address = HERE,
        here: Address | None = None,
        index: int = 0,
        attempt: int = 1,
        resumed: bool = False,
        rolling_back: bool = False,
        results: Mapping[str, Any] | None = None,
        own_result: Any = None,
        services: Mapping[type[Any], Any] | None = None,
        signals: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        script: Script | None = None,
        clock: Clock | None = None,
        work_dir: Path | None = None,
        before: FakeRun | None = None,
        first: dict[str, Any] | None = None,
    ) -> None:
        """``results``: what nodes upstream returned. ``before``: the earlier life of a resumed attempt, whose commands are adopted.

        ``first``: what ``run.first`` has kept."""
        self.dag_key, self.dag_id = DAG_KEY, 1
        self.agent, self.here, self.index = agent, here or agent, index
        self.attempt, self.resumed, self.rolling_back = attempt, resumed, rolling_back
        self.args: Mapping[str, Any] = dict(args or {})
        self.own_result = own_result
        self.clock = clock or Clock()
        self.lines: list[str] = []
        """Log lines in order; those of ``warn`` and ``error`` begin with ``WARN: `` and ``ERROR: ``."""
        self.calls: list[Call] = []
        self.progressed: list[Progress] = []
        self.noted: dict[str, Any] = {}
        self.waits: list[Wait] = []
        self.led: list[Led] = []
        self.spoken = 0
        """How often the step spoke to its run: lines, waits (each try), commands (before and after), led dags."""
        self._params = params
        self._results = dict(results or {})
        self._services = dict(services or {})
        self._signals = signals if callable(signals) else lambda: signals or {}
        self._script = script or Script()
        self.answer, self.follow = self._script.answer, self._script.follow
        """What commands and led dags answer: see `Script`."""
        self._work_dir = work_dir
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._adoptable = list(before.calls) if before is not None else []
        self._first = first if first is not None else {}
        self._at: dict[int, Callable[[], object]] = {}
        self._cause = ""

    # What the test says

    def at(self, spoken: int, action: Callable[[], object]) -> None:
        """Do it when the step speaks to its run for the n-th time, from 1."""
        self._at[spoken] = action

    def interrupt(self, cause: str = "asked") -> None:
        """Tell the step to stop (``asked`` or ``timeout``): it hears at its next line, wait or call."""
        self._cause = cause

    # What the step sees

    @property
    def work_dir(self) -> Path:
        """Removed with the run."""
        if self._work_dir is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="oboe-step-")
            self._work_dir = Path(self._scratch.name)
        self._work_dir.mkdir(parents=True, exist_ok=True)
        return self._work_dir

    def params(self, kind: type[T]) -> T:
        if not isinstance(self._params, kind):
            raise AssertionError(f"the step reads its params as {kind.__name__}; the test gave {type(self._params).__name__}")
        return copy_params(self._params)

    def use(self, port: type[T]) -> T:
        try:
            return cast(T, self._services[port])
        except KeyError:
            raise Bug("run.no_service", f"this agent has no service {port.__name__}") from None

    def result(self, node: str) -> Any:
        return self._results.get(node)

    def first(self, name: str, find: Callable[[], T]) -> T:
        if name not in self._first:
            self._first[name] = find()
            json.dumps(self._first[name])
        return cast(T, self._first[name])

    # What the step says

    def log(self, text: str) -> None:
        self.lines.append(text)
        self._speak()

    def warn(self, text: str) -> None:
        self.log(f"WARN: {text}")

    def error(self, text: str, *, code: str = "") -> None:
        self.log(f"ERROR: {text} [{code}]" if code else f"ERROR: {text}")

    def progress(self, done: float, total: float, unit: str) -> None:
        self.progressed.append(Progress(done, total, unit))
        self.note(progress={"done": done, "total": total, "unit": unit})

    def note(self, **additional: Any) -> None:
        self.noted |= plain(additional, what="note")
        self._speak()

    def check(self) -> None:
        if self._cause:
            raise Interrupted(self._cause)

    def _speak(self) -> None:
        self.spoken += 1
        action = self._at.pop(self.spoken, None)
        if action is not None:
            action()
        self.check()

    # What the step waits for

    def wait_until(self, ready: Callable[[], T | None], *, why: str | Callable[[], str], timeout: float, every: float = 0.5) -> T:
        since, until, tries = self.clock.now, self.clock.now + int(timeout * SECOND), 0
        while True:
            self._speak()
            tries += 1
            found = ready()
            text = why() if callable(why) else why
            left = (until - self.clock.now) / SECOND
            if found or left <= 0:
                self.waits.append(Wait(text, timeout, (self.clock.now - since) / SECOND, tries, bool(found)))
            if found:
                return found
            if left <= 0:
                raise StepFailed("wait.timeout", f"gave up after {timeout:g} s and {tries} tries: {text}")
            self._pass(min(max(every, _EVERY_MIN), left))

    def wait_for(self, signal: str, *, timeout: float) -> Any:
        since, until = self.clock.now, self.clock.now + int(timeout * SECOND)
        why = f"the signal {signal!r}"
        self._speak()
        while signal not in self._signals() and self.clock.now < until:
            self.clock.advance_to(min(self.clock.next_planned() or until, until))
            self.check()
        came = signal in self._signals()
        self.waits.append(Wait(why, timeout, (self.clock.now - since) / SECOND, 1, came))
        if not came:
            raise StepFailed("wait.timeout", f"gave up after {timeout:g} s: nobody gave the signal {signal!r}")
        return self._signals()[signal]

    def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.check()

    # What the step runs

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
            raise AssertionError(f"a command is a list of texts, its program first, not {command!r}")
        self._speak()
        if self._adoptable:
            return self._adopt(tuple(command))
        completed, seconds, then = self._script.answer_to(tuple(command))
        self._pass(min(seconds, timeout))
        if seconds > timeout:
            raise StepFailed("call.timeout", f"{command[0]} was ended after {timeout:g} s")
        call = Call(command=tuple(command), timeout=timeout, env=dict(env or {}), cwd=cwd, stdin=stdin, completed=completed)
        self.calls.append(call)
        if then is not None:
            then(call)
        self._speak()
        return completed

    def _adopt(self, command: tuple[str, ...]) -> Completed:
        """As an agent does after a restart: the n-th command of the attempt is on record, and is not run twice."""
        known = self._adoptable.pop(0)
        if known.command != command:
            raise StepFailed("command.differs", f"the record is of another command: {known}")
        self.calls.append(replace(known, adopted=True))
        self._speak()
        return known.completed

    # What the step leads

    def lead(self, agent: Address, playbook: str, params: Any, *, name: str) -> Child:
        self._speak()
        known = [index for index, led in enumerate(self.led) if (led.agent, led.name) == (agent, name)]
        if not known:
            self.led.append(Led(agent=agent, playbook=playbook, params=copy_params(params), name=name))
            known = [len(self.led) - 1]
        return Child(agent, f"{known[0] + 1:032x}", known[0] + 1)

    def tell(self, child: Child, signal: str, payload: Any = None) -> None:
        self._speak()
        self._led(child).told.append((signal, payload))

    def ask(self, child: Child, operator: str) -> None:
        self._speak()
        self._led(child).asked.append(operator)

    def watch(self, child: Child, until: Callable[[ChildStatus], T | None], *, why: str, timeout: float) -> T:
        for status in self._script.statuses_of(self._led(child).name):
            self._speak()
            found = until(status)
            if found:
                self.waits.append(Wait(why, timeout, 0.0, 1, True))
                return found
        self._pass(timeout)
        self.waits.append(Wait(why, timeout, timeout, 1, False))
        raise StepFailed("wait.timeout", f"gave up after {timeout:g} s: {why}")

    def _led(self, child: Child) -> Led:
        return self.led[child.dag_id - 1]
