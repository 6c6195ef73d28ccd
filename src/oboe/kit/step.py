"""A step: one thing done, that can be checked afterwards and, where it says so, undone."""

from __future__ import annotations

from typing import Any, ClassVar

from oboe.domain.model import Flags
from oboe.kit.run import Run

__all__ = ["Step"]


class Step:
    """Subclass it; write ``run`` and, if the work can be undone, ``rollback``, else say why in ``irreversible``.

    ``timeout`` and ``patience`` are seconds. ``cancelled``, where defined, runs after a cancel has stopped an attempt.
    """

    resumable: ClassVar[bool] = False
    """May run again from the beginning after its agent died in the middle."""
    skippable: ClassVar[bool] = False
    """A person may PASS it."""
    cancellable: ClassVar[bool] = True
    retryable: ClassVar[bool] = True
    release_on_failure: ClassVar[bool] = False
    timeout: ClassVar[float] = 3600.0
    patience: ClassVar[float] = 60.0
    grace: ClassVar[float] = 10.0
    retries: ClassVar[int] = 0
    backoff: ClassVar[float] = 1.0
    irreversible: ClassVar[str] = ""

    def run(self, run: Run) -> Any:
        """Do it. What it returns (JSON-able) is durable and can be read downstream."""
        raise NotImplementedError

    @classmethod
    def rollable(cls) -> bool:
        return callable(getattr(cls, "rollback", None))

    @classmethod
    def flags(cls) -> Flags:
        return Flags(
            cancellable=cls.cancellable,
            resumable=cls.resumable,
            skippable=cls.skippable,
            retryable=cls.retryable,
            rollable=cls.rollable(),
            release_on_failure=cls.release_on_failure,
        )

    @classmethod
    def registered_name(cls) -> str:
        return f"{cls.__module__}:{cls.__qualname__}"
