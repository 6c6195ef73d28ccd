"""What the world answers in a test: commands, and dags on other agents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oboe.kit.run import ChildStatus, Completed
from oboe.kit.testing.record import Call

__all__ = ["Script"]


@dataclass(slots=True, kw_only=True)
class _Answer:
    prefix: tuple[str, ...]
    completed: Completed
    seconds: float
    then: Callable[[Call], object] | None
    left: int | None


class Script:
    """Filled by a test before, or while, its steps run."""

    def __init__(self) -> None:
        self._answers: list[_Answer] = []
        self._followed: dict[str, list[ChildStatus]] = {}

    def answer(
        self,
        *prefix: str,
        stdout: str = "",
        stderr: str = "",
        status: int = 0,
        seconds: float = 0.0,
        then: Callable[[Call], object] | None = None,
        times: int | None = None,
    ) -> None:
        """How commands that begin with these words end; of several that fit, the one said last counts.

        ``seconds``: how long one takes; longer than its timeout, and it is ended by it. ``then`` is called when it has ended well or
        badly: what the command would have changed. ``times``: only the next so many; None: all."""
        completed = Completed(status, stdout, stderr)
        self._answers.append(_Answer(prefix=prefix, completed=completed, seconds=seconds, then=then, left=times))

    def follow(self, name: str, *statuses: ChildStatus) -> None:
        """What a dag led under that name comes to, one status after another; the last one stays."""
        self._followed[name] = list(statuses)

    def answer_to(self, command: tuple[str, ...]) -> tuple[Completed, float, Callable[[Call], object] | None]:
        """`AssertionError` when nothing was said of it."""
        for answer in reversed(self._answers):
            if command[: len(answer.prefix)] == answer.prefix and answer.left != 0:
                if answer.left is not None:
                    answer.left -= 1
                return answer.completed, answer.seconds, answer.then
        raise AssertionError(f"the test says nothing of the command {' '.join(command)!r}: answer({command[0]!r}, …) does")

    def statuses_of(self, name: str) -> list[ChildStatus]:
        """`AssertionError` when nothing was said of it."""
        if name not in self._followed:
            raise AssertionError(f"the test says nothing of the led dag {name!r}: follow({name!r}, ChildStatus(…)) does")
        return self._followed[name]
