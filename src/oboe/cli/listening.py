"""Hears from the agent when a dag has changed, so that who follows it need not ask in between. Without it, a watch only is slower."""

from __future__ import annotations

import threading
import time

from oboe.cli.client import OWN, AgentClient
from oboe.cli.failure import AnswerError
from oboe.domain.errors import Refused, Unreachable

__all__ = ["Listener"]

_AGAIN_SECONDS = 1.0


class Listener:
    """Listens, in a thread of its own, from the first `pause` on."""

    def __init__(self, client: AgentClient, dag_id: str) -> None:
        self._client = client
        self._path = f"{OWN}/dags/{dag_id}/events"
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def pause(self, seconds: float) -> None:
        """Until there is news, and at most so long."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, args=(self._client.twin(),), name="listener", daemon=True)
            self._thread.start()
        self._news.wait(seconds)
        self._news.clear()

    def _listen(self, client: AgentClient) -> None:
        while True:
            try:
                for _ in client.events(self._path):
                    self._news.set()
            except Unreachable:
                pass
            except (AnswerError, Refused):  # a vendor's agent, or one that will not tell: the watch asks by itself
                return
            time.sleep(_AGAIN_SECONDS)
