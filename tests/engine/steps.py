"""Steps for tests. What they did is in `DONE`, by dag key, in order; `GATES` holds and lets go of those that wait."""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

from oboe.domain.errors import StepFailed
from oboe.kit.run import Run
from oboe.kit.step import Step

DONE: dict[str, list[str]] = defaultdict(list)
FAILING: set[str] = set()
"""Keys of dags whose `Brittle` step fails."""
GATES: dict[str, threading.Event] = defaultdict(threading.Event)


def did(run: Run, what: str) -> None:
    DONE[run.dag_key].append(what)


class Noop(Step):
    def run(self, run: Run) -> None: ...

    def rollback(self, run: Run) -> None: ...


class Count(Step):
    """Tells its turn, and returns one more than what it read."""

    def run(self, run: Run) -> int:
        did(run, f"do {run.args['n']}")
        run.log(f"line of {run.args['n']}")
        before = run.result(f"n{run.args['n'] - 1}")
        return int(before or 0) + 1

    def rollback(self, run: Run) -> None:
        did(run, f"undo {run.args['n']} {run.own_result}")


class Chatty(Step):
    """Ends just when what it wrote is being shown."""

    def run(self, run: Run) -> None:
        for number in range(3):
            run.log(f"line {number}")
            run.show()  # type: ignore[attr-defined]
        run.log("last line")

    def rollback(self, run: Run) -> None: ...


class Brittle(Step):
    """Fails while its dag is among `FAILING`."""

    def run(self, run: Run) -> str:
        did(run, "do brittle")
        if run.dag_key in FAILING:
            raise StepFailed("trial.broken", "it broke", hint="mend it")
        return "mended"

    def rollback(self, run: Run) -> None:
        did(run, "undo brittle")


class Crashing(Step):
    def run(self, run: Run) -> None:
        raise ValueError("no such thing\nsecond line")


class Gate(Step):
    """Waits for its gate in a wait that can be interrupted."""

    resumable = True

    def run(self, run: Run) -> str:
        did(run, f"do gate {run.attempt}{' resumed' if run.resumed else ''}")
        gate = GATES[run.dag_key]
        run.wait_until(gate.is_set, why="the gate", timeout=60, every=0.01)
        return "open"

    def rollback(self, run: Run) -> None:
        did(run, "undo gate")


class Once(Gate):
    """A gate that may not run again by itself."""

    resumable = False


class Late(Step):
    """Waits for its gate, for less than a test lasts."""

    def run(self, run: Run) -> None:
        run.wait_until(GATES[run.dag_key].is_set, why="the gate", timeout=5, every=0.01)


class Lately(Gate):
    """A gate that is given up soon, and may be passed."""

    skippable = True
    timeout = 0.3
    grace = 0.1


class Unlucky(Noop):
    """Given up soon when it does not begin, and may be passed."""

    skippable = True
    patience = 0.2
    grace = 0.1

    def run(self, run: Run) -> None:
        did(run, "do unlucky")


class Teller(Step):
    """Says something, and something else once its gate is open; never ends."""

    def run(self, run: Run) -> None:
        run.log("said in the light")
        run.wait_until(GATES[run.dag_key].is_set, why="the gate", timeout=60, every=0.01)
        run.log("said in the dark")
        run.wait_until(lambda: False, why="the end of the world", timeout=60, every=0.01)


class Sleeper(Step):
    """A command that sleeps, and says so."""

    timeout = 60

    def run(self, run: Run) -> None:
        command = ["sh", "-c", 'echo $$ > "$0"; sleep 1000 & wait', str(Path(run.args["pid_file"]))]
        run.call(command, timeout=60)

    def cancelled(self, run: Run) -> None:
        run.log("cancel of the sleeper")


class Deaf(Step):
    """Ignores its interrupt until its gate opens."""

    grace = 0.2

    def run(self, run: Run) -> None:
        did(run, f"do deaf {run.attempt}")
        GATES[run.dag_key].wait(30)
        did(run, f"deaf {run.attempt} is over")

    def rollback(self, run: Run) -> None:
        did(run, "undo deaf")


class Signal(Step):
    def run(self, run: Run) -> Any:
        return run.wait_for("go", timeout=30)


class Finder(Step):
    """Fails once, and tells what it first found; what it finds changes."""

    def run(self, run: Run) -> int:
        did(run, f"first {run.first('found', lambda: len(DONE[run.dag_key]))}")
        if run.attempt == 1:
            raise StepFailed("trial.broken", "it broke")
        return run.first("found", lambda: -1)

    def rollback(self, run: Run) -> None:
        did(run, f"undo {run.first('found', lambda: -1)}")


class Unreadable(Exception):
    def __str__(self) -> str:
        raise ValueError("not even this")


HALF = "half a character: \udcff"


class Odd(Step):
    """Does what nobody expects of a step."""

    def run(self, run: Run) -> Any:
        did(run, "odd")
        return getattr(self, run.args["how"])(run)

    def rollback(self, run: Run) -> None: ...

    def raises_keyboard_interrupt(self, run: Run) -> None:
        raise KeyboardInterrupt

    def raises_system_exit(self, run: Run) -> None:
        raise SystemExit(3)

    def raises_a_base_exception(self, run: Run) -> None:
        raise BaseException("odd")

    def raises_what_cannot_be_read(self, run: Run) -> None:
        raise Unreadable

    def raises_half_a_character(self, run: Run) -> None:
        raise StepFailed("trial.odd", HALF)

    def notes_an_object(self, run: Run) -> None:
        run.note(odd=object())

    def notes_half_a_character(self, run: Run) -> None:
        run.note(odd=HALF)

    def notes_much(self, run: Run) -> None:
        run.note(odd="x" * 2_000_000)

    def returns_an_object(self, run: Run) -> Any:
        return object()

    def returns_much(self, run: Run) -> Any:
        return "x" * 2_000_000

    def returns_half_a_character(self, run: Run) -> Any:
        return HALF

    def calls_a_text(self, run: Run) -> None:
        run.call("echo hello", timeout=5)

    def calls_nothing(self, run: Run) -> None:
        run.call([], timeout=5)

    def finds_no_room(self, run: Run) -> None:
        (run.work_dir / "0.1.1").touch()  # where its commands would be written down
        run.call(["true"], timeout=5)

    def writes_without_end(self, run: Run) -> None:
        run.call(["yes"], timeout=60)

    def says_half_a_character(self, run: Run) -> None:
        run.log(HALF)
        run.error(HALF, code=HALF)


ALL = (Odd, Finder, Noop, Count, Chatty, Brittle, Crashing, Gate, Late, Lately, Once, Sleeper, Deaf, Signal, Teller, Unlucky)
