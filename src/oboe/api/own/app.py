"""oboe's own API: what other agents of this kind have no word for. ``/oboe/v1/ready`` says what the agent waits for."""

from __future__ import annotations

from oboe.api.shared.envelope import NO_DATA, WireError, new_trace_id, wrap
from oboe.api.shared.exchange import Answer, Request
from oboe.control.port import Control

__all__ = ["PREFIX", "Own"]

PREFIX = "/oboe/v1"


class Own:
    """Public: it tells no more than whether the agent can do its work, and what keeps it from doing it."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def answer(self, request: Request) -> Answer:
        if (request.method, request.path) == ("GET", f"{PREFIX}/ready"):
            body = wrap(dict(self._control.ready()), trace_id=new_trace_id(), started=request.started)
            return Answer(status=200, body=body)
        return _error(WireError(404, "Common.NotFound", f"there is no {request.method} {request.path[:200]}"), request.started)

    def refuse(self, condition: str, started: float) -> Answer:
        """What the server around this API answers by itself."""
        wanted = {
            "unread": WireError(400, "Request.Body.ReadFailed", "the body is too long, too slow or was cut off"),
            "busy": WireError(503, "Common.Unexpected", "too many requests are under way (try again in a moment)"),
        }
        return _error(wanted.get(condition, WireError(500, "Common.Unexpected", "this should not happen (see the agent's log)")), started)


def _error(error: WireError, started: float) -> Answer:
    return Answer(status=error.status, body=wrap(NO_DATA, trace_id=new_trace_id(), started=started, error=error))
