"""A dag as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html): what changes, when it changes.

``event: dag``    the dag as ``GET /dags/:id`` gives it, at first and whenever it has changed
``event: line``   one log line, in the order in which the home got them
``event: waits``  what it waits for, whenever that has changed and the dag has not
``event: trouble`` why there is nothing new; the stream goes on
``event: end``    it has settled: nothing will change any more

Every event has an id, ``VERSION.LINE``; whoever comes back with it in ``Last-Event-ID`` gets the lines after that one.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from oboe.api.obshell.ids import decode, encode
from oboe.api.obshell.route import NO_CONTENT, Call, Route
from oboe.api.own.dags import CODES, dag_object, wait_object
from oboe.api.shared.envelope import wire_time
from oboe.api.shared.exchange import Stream
from oboe.control.port import Control
from oboe.control.views import DagView, Ref, Seen
from oboe.domain import fold
from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.model import Dag
from oboe.engine.ports import LogRecord

__all__ = ["ROUTES", "pause_after"]

_MOVING_SECONDS = 1.0
"""While something of the dag is live, what it waits for is looked at this often."""
_RESTING_SECONDS = 5.0
_PAUSE_SECONDS = 0.02
"""Between two looks: a dag that changes a thousand times in a second is told of as it stands, not a thousand times."""
_PAUSE_SECONDS_MAX = 2.0
_PAUSES_PER_WORK = 4
"""Who looks on at a dag of thousands of nodes takes a fifth of one processor from its agent at most."""
_TROUBLE_SECONDS = 1.0
_QUIET_SECONDS = 15.0
"""After that long without an event a comment is sent, so that nobody in between takes the connection for dead."""
_DIGITS_MAX = 18
"""Of a number that every store can compare."""
_STREAM_SECONDS = 3600.0
"""Then the stream ends, and its client comes back."""


def _events(call: Call) -> Any:
    """What can be refused is refused before the stream begins. 204, which tells a browser not to come back, when all was told before."""
    ref = decode("dag", call.path_values["id"])
    known, line = _last_seen(call.last_event_id)
    first = call.control.look(ref, Seen(line=line), 0)
    call.note_stale(first)
    if fold.settled(first.dag) and known == first.dag.version and not first.logs:
        return NO_CONTENT
    return Stream("text/event-stream", _Teller(call.control, ref, line).chunks(first))


def _last_seen(text: str) -> tuple[int, int]:
    """Version and line of an event's id; zeros for none. `Refused` ``request.query``."""
    version, dot, line = text.partition(".")
    if not text:
        return 0, 0
    if not (dot and all(part.isascii() and part.isdigit() and len(part) <= _DIGITS_MAX for part in (version, line))):
        raise Refused("request.query", f"{text[:40]!r} is no id of an event of this stream")
    return int(version), int(line)


class _Teller:
    """What one listener has been told."""

    def __init__(self, control: Control, ref: Ref, line: int) -> None:
        self._control = control
        self._ref = ref
        self._seen = Seen(line=line)
        self._waits: list[dict[str, Any]] | None = None

    def chunks(self, view: DagView) -> Generator[bytes, None, None]:
        """Ends when the dag has settled, or after an hour; whoever iterates may stop at any time."""
        began = spoke = time.monotonic()
        yield b"retry: 1000\n\n"
        trouble = ""
        worked = 0.0
        while time.monotonic() < began + _STREAM_SECONDS:
            working = time.thread_time()
            told = self._told(view)
            worked += time.thread_time() - working
            if fold.settled(view.dag):
                yield told + self._event("end", {"state": fold.dag_state(view.dag).name})
                return
            if not told and time.monotonic() > spoke + _QUIET_SECONDS:
                told = b": still here\n\n"
            if told:
                spoke = time.monotonic()
            yield told
            view = replace(view, logs=())  # they have been told, whatever comes of the next look
            time.sleep(pause_after(worked))
            working = time.thread_time()
            try:
                view = self._control.look(self._ref, self._seen, _MOVING_SECONDS if _moves(view.dag) else _RESTING_SECONDS)
                trouble = ""
            except OboeError as error:
                if error.message != trouble:
                    trouble = error.message
                    yield self._event("trouble", {"code": error.code, "message": error.message, "hint": error.hint})
                if not isinstance(error, (Unreachable, TryAgain)):
                    return
                time.sleep(_TROUBLE_SECONDS)
            worked = time.thread_time() - working

    def _told(self, view: DagView) -> bytes:
        dag, before = view.dag, self._seen
        parts = []
        for record in view.logs or ():
            self._seen = Seen(before.key, before.version, record.id)
            parts.append(self._event("line", _line_object(dag, record)))
        self._seen = Seen(dag.key, dag.version, self._seen.line)
        waits = [wait_object(dag, wait) for wait in self._waiting(dag)]
        if (dag.key, dag.version) != (before.key, before.version):
            parts.append(self._event("dag", dag_object(view) | {"waits": waits}))
        elif waits != self._waits:
            parts.append(self._event("waits", waits))
        self._waits = waits
        return b"".join(parts)

    def _waiting(self, dag: Dag) -> Sequence[Any]:
        if not _moves(dag):
            return ()
        try:
            return self._control.waits(self._ref)
        except OboeError:  # what it waits for is not known just now; the dag is
            return ()

    def _event(self, name: str, data: Any) -> bytes:
        seen = self._seen
        return b"id: %d.%d\nevent: %s\ndata: %s\n\n" % (seen.version, seen.line, name.encode(), msgspec.json.encode(data))


def pause_after(worked: float) -> float:
    """Seconds until the next look, after one that took so many seconds of a processor."""
    return min(_PAUSE_SECONDS_MAX, max(_PAUSE_SECONDS, _PAUSES_PER_WORK * worked))


def _moves(dag: Dag) -> bool:
    return any(sub_task.live for sub_task in dag.sub_tasks)


def _line_object(dag: Dag, record: LogRecord) -> dict[str, Any]:
    index, line = record.sub_task, record.line
    agent = dag.sub_tasks[index].agent or fold.executor(dag, index)
    return {
        "sub_task": encode(dag.home, dag.sub_task_id(index)),
        "node": dag.plan.nodes[dag.plan.node_of[index]].name,
        "agent": None if agent is None else str(agent),
        "attempt": record.attempt,
        "seq": line.seq,
        "at": wire_time(line.at),
        "level": line.level.name,
        "text": line.text,
    }


ROUTES = (Route(method="GET", path="/dags/:id/events", handler=_events, streams=True, lookup=CODES),)
