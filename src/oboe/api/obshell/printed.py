"""Dags as they were encoded last: clients poll, and most polls find nothing new."""

from __future__ import annotations

import threading

import msgspec

from oboe.api.obshell import codec
from oboe.control.views import DagView

__all__ = ["Printed"]

KEPT_MAX = 4
BYTES_MAX = 8 << 20


class Printed:
    """Thread-safe. Views are frozen, so one and the same view is always the same text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[DagView, bool, msgspec.Raw]] = []
        """The latest first."""

    def dag(self, view: DagView, *, details: bool) -> msgspec.Raw:
        """`codec.dag_object`, encoded."""
        for known, detailed, text in self._kept:
            if known is view and detailed is details:
                return text
        encoded = msgspec.json.encode(codec.dag_object(view, details=details))
        text = msgspec.Raw(encoded)
        if len(encoded) <= BYTES_MAX // KEPT_MAX:
            with self._lock:
                self._kept = [(view, details, text), *self._kept[: KEPT_MAX - 1]]
        return text
