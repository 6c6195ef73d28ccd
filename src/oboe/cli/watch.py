"""Follows one dag until it ends: looks often while it moves, seldom while it stands, and yields what has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from oboe.cli.client import API, OWN, AgentClient
from oboe.cli.dags import RUNNING, DagShown, local_time, read_dag, seconds_of
from oboe.cli.failure import AnswerError
from oboe.cli.fellows import Fellows
from oboe.config import Settings
from oboe.domain.errors import Refused, Unreachable

__all__ = ["Look", "Watch"]


@dataclass(frozen=True, slots=True)
class Look:
    """The dag as it was seen, with what it waits for. ``trouble`` says why this look is an old one; then ``dag`` is the last seen."""

    dag: DagShown
    now: float
    """The agent's clock, Unix seconds."""
    waits: tuple[str, ...] = ()
    progress: Mapping[str, str] = field(default_factory=dict)
    """How far running sub-tasks say that they are, by their ids: ``42 of 100 files, 42 %``."""
    trouble: str = ""


class Watch:
    """Looks at a dag. ``clock`` and ``pause`` are the outside world's, so that tests need no time."""

    def __init__(
        self,
        client: AgentClient,
        dag_id: str,
        *,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._fellows = Fellows(client)
        self._id = dag_id
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._is_oboe = True
        """Until the agent shows that it does not know oboe's own API."""
        self._tells_more = True
        """Until it shows that it does not know the route that tells what a dag waits for, and how far it is."""

    def look(self) -> Look:
        """Look once."""
        answer = self._client.get(f"{API}/task/dag/{self._id}", show_details="true")
        dag = read_dag(answer.data)
        waits, progress = self._told(dag)
        return Look(dag, seconds_of(answer.timestamp) or time.time(), waits, progress)

    def changes(self) -> Iterator[Look]:
        """Every look that differs from the one before; the last one is finished. `Unreachable` after the patience of the settings.

        A dag of a cluster is asked of another of its agents when the one that was asked goes away."""
        settings, last, pause = self._settings, None, self._settings.watch_poll_seconds_min
        seen_at = self._clock()
        while True:
            try:
                look = self.look()
                seen_at = self._clock()
            except Unreachable as error:
                if last is None or self._clock() - seen_at > settings.watch_patience_seconds:
                    raise
                look = replace(last, trouble=self._ask_another(error))
            if last is None and not look.dag.finished and look.dag.id == str(look.dag.number):
                self._fellows.learn()
            changed = last is None or _seen(look) != _seen(last)
            if changed:
                yield look
            if look.dag.finished and not look.trouble:
                return
            fast = settings.watch_poll_seconds_min if self._is_oboe else settings.watch_poll_seconds_max
            pause = fast if changed else min(pause * 1.5, max(fast, settings.watch_poll_seconds_max))
            last = look
            self._pause(pause)

    def _ask_another(self, error: Unreachable) -> str:
        """From now on, if there is one that knows the dag; what to say of it."""
        for other in self._fellows.others(self._client.address):
            with suppress(Unreachable, AnswerError, Refused):
                other.get(f"{API}/task/dag/{self._id}")
                self._client = other
                return f"{error.message}; agent {other.address} is asked from now on"
        return error.message

    def _told(self, dag: DagShown) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """What the dag and its running sub-tasks wait for, in words, and how far they are; empty where the agent does not say."""
        if dag.finished:
            return (), {}
        held = list(_words((dag.raw.get("additional_data") or {}).get("oboe")))
        told, progress = _told_by_nodes(dag), dict[str, str]()
        if not told and self._tells_more:
            more = self._asked()
            told, progress = _words(more), _progress(more)
        return tuple(dict.fromkeys([*held, *told])), progress

    def _asked(self) -> Any:
        """The dag as oboe's own API shows it; None from who has none."""
        try:
            return self._client.get(f"{OWN}/dags/{self._id}").data
        except AnswerError as error:
            self._tells_more = error.status not in (404, 405)
        except Refused:  # a vendor's agent answers unknown paths with its web page
            self._tells_more = self._is_oboe = False
        return None


def _told_by_nodes(dag: DagShown) -> Sequence[str]:
    """From ``additional_data.oboe`` of running nodes and sub-tasks."""
    words: list[str] = []
    for node in dag.nodes:
        if node.state == RUNNING:
            for told in (node.additional.get("oboe"), *(each.additional.get("oboe") for each in node.sub_tasks)):
                words += _words(told)
    return words


def _seen(look: Look) -> Any:
    return look.dag.raw, look.waits, look.progress, look.trouble


def _progress(more: Any) -> dict[str, str]:
    """Of the running sub-tasks that say it, by their ids."""
    told = more.get("sub_tasks") if isinstance(more, Mapping) else None
    running = [each for each in told or () if isinstance(each, Mapping) and each.get("state") == RUNNING]
    texts = {str(each.get("id")): _progress_text((each.get("additional") or {}).get("progress")) for each in running}
    return {sub_task: text for sub_task, text in texts.items() if text}


def _progress_text(told: Any) -> str:
    """``42 of 100 files, 42 %``; empty for what is no progress."""
    if not isinstance(told, Mapping):
        return ""
    done, total = told.get("done"), told.get("total")
    if not isinstance(done, int | float) or not isinstance(total, int | float):
        return ""
    share = f", {100 * done / total:.0f} %" if total > 0 else ""
    return f"{done:,.15g} of {total:,.15g} {told.get('unit', '')}".rstrip() + share


_TEXTS = ("why", "reason", "text", "waits_for", "waiting", "message")
_LISTS = ("contents", "waits", "waiting", "waits_for")


def _words(told: Any) -> Sequence[str]:
    """The reasons in a text, a list of them, or objects that hold one with the agent it is about."""
    if isinstance(told, str):
        return [told] if told else []
    if isinstance(told, list):
        return [word for each in told for word in _words(each)]
    if not isinstance(told, Mapping):
        return []
    text = next((told[key] for key in _TEXTS if isinstance(told.get(key), str) and told[key]), "")
    if text:
        more = ", ".join(_circumstances(told))
        return [f"{text} ({more})" if more else text]
    return [word for key in _LISTS if isinstance(told.get(key), list) for word in _words(told[key])]


def _circumstances(told: Mapping[str, Any]) -> Iterator[str]:
    """Where, how often it looked, and when it gives up (the time of day here)."""
    if isinstance(told.get("agent"), str) and told["agent"]:
        yield str(told["agent"])
    if isinstance(told.get("tries"), int) and told["tries"] > 1:
        yield f"try {told['tries']}"
    if isinstance(told.get("gives_up"), str):
        yield f"gives up {local_time(told['gives_up'])[11:]}"
