"""A `Run` for tests of drivers: it logs to a list, waits for real, calls for real, and can be told to stop."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from oboe.domain.errors import Interrupted, StepFailed
from oboe.domain.values import Address
from oboe.kit.run import Child, ChildStatus, Completed

__all__ = ["RunDouble"]

T = TypeVar("T")


class RunDouble:
    """What a driver uses of a run; the rest refuses."""

    def __init__(self, work_dir: Path = Path()) -> None:
        self.lines: list[str] = []
        self.stop_at: Callable[[], bool] = lambda: False
        self.dag_key = "0" * 32
        self.dag_id = 1
        self.agent = self.here = Address("127.0.0.1", 2886)
        self.attempt = 1
        self.resumed = self.rolling_back = False
        self.args: Mapping[str, Any] = {}
        self.work_dir = work_dir
        self.own_result: Any = None

    def log(self, text: str) -> None:
        self.check()
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"WARN {text}")

    def error(self, text: str, *, code: str = "") -> None:
        self.lines.append(f"ERROR {code} {text}")

    def progress(self, done: float, total: float, unit: str) -> None:
        self.lines.append(f"{done}/{total} {unit}")

    def note(self, **additional: Any) -> None:
        self.lines.append(str(additional))

    def check(self) -> None:
        if self.stop_at():
            raise Interrupted("asked")

    def wait_until(self, ready: Callable[[], T | None], *, why: str | Callable[[], str], timeout: float, every: float = 0.5) -> T:
        deadline = time.monotonic() + timeout
        while not (found := ready()):
            self.check()
            if time.monotonic() >= deadline:
                raise StepFailed("wait.timeout", f"gave up after {timeout:g} s: {why() if callable(why) else why}")
            time.sleep(every)
        return found

    def call(
        self,
        command: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        done = subprocess.run(command, timeout=timeout, env=env, cwd=cwd, input=stdin, capture_output=True, check=False)
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def params(self, kind: type[T]) -> T:
        raise NotImplementedError

    def use(self, port: type[T]) -> T:
        raise NotImplementedError

    def result(self, node: str) -> Any:
        raise NotImplementedError

    def wait_for(self, signal: str, *, timeout: float) -> Any:
        raise NotImplementedError

    def lead(self, agent: Address, playbook: str, params: Any, *, name: str) -> Child:
        raise NotImplementedError

    def tell(self, child: Child, signal: str, payload: Any = None) -> None:
        raise NotImplementedError

    def ask(self, child: Child, operator: str) -> None:
        raise NotImplementedError

    def watch(self, child: Child, until: Callable[[ChildStatus], T | None], *, why: str, timeout: float) -> T:
        raise NotImplementedError
