"""A FOLLOWER's requests on their way to the MASTER, each with a bound.

::

    writes, streams          as long as the MASTER may take for them
    reads                    5 s, then an error that names the MASTER
    lists of several agents  2 s; of a MASTER that hangs, the FOLLOWER answers with what it and the others have, and names it as
                             missing, if the MASTER accepted this password lately; if it did not, an error that names it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from oboe.api.obshell.accepted import Accepted
from oboe.api.obshell.auth import Admitted
from oboe.api.obshell.route import Call, Route
from oboe.api.shared.exchange import Answer, Request
from oboe.control.port import Control, ForwardedRequest
from oboe.domain.errors import Unreachable

__all__ = ["TRACE_HEADER", "PassingOn"]

TRACE_HEADER = "x-obshell-trace-id"

LIST_SECONDS = 1.6
"""The whole answer is due within 2 s."""
PATIENCE_SECONDS = 0.15
"""What a MASTER may take for a list before the FOLLOWER begins with its own: the two together stay within the bound."""
READ_SECONDS = 5.0
"""The MASTER itself may have to wait for another agent: 4 s at most."""
STREAM_SECONDS = 15.0
WRITE_SECONDS = 30.0


class PassingOn:
    """Thread-safe."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._accepted = Accepted()

    def ask(self, request: Request, route: Route, call: Call, admitted: Admitted, *, seconds: float = 0.0) -> Answer:
        """The MASTER's answer. `Unreachable` ``forward.silent``; `Refused` ``forward.no_master``."""
        header = admitted.header
        forwarded = ForwardedRequest(
            method=request.method,
            target=request.target,
            body=call.body,
            header=admitted.name,
            password=header.password,
            from_agent=self._control.agent().address,
            language=request.headers.get("accept-language", ""),
            trace_id=request.headers.get(TRACE_HEADER, ""),
            keys=header.keys,
            local=admitted.plain,
        )
        answer = self._control.forward_to_master(forwarded, seconds=seconds or _seconds(request, route))
        if answer.status < 400 and not admitted.plain:
            self._accepted.note(admitted.name, header.password, request.received_at)
        return Answer(
            status=answer.status,
            body=answer.body,
            content_type=answer.content_type,
            headers=tuple(answer.headers),
            guessing=answer.status == 401,
        )

    def ask_or_answer(self, request: Request, route: Route, call: Call, admitted: Admitted, answer_here: Callable[[], Answer]) -> Answer:
        """A list of several agents: the MASTER's answer if it comes in time, else this agent's own, which ``answer_here`` makes."""
        if not (admitted.plain or self._accepted.holds(admitted.name, admitted.header.password, request.received_at)):
            try:
                return self.ask(request, route, call, admitted, seconds=LIST_SECONDS)
            except Unreachable:
                self._name_master(call)
                raise
        deadline = time.monotonic() + LIST_SECONDS
        asked = _Asked(lambda: self.ask(request, route, call, admitted, seconds=LIST_SECONDS))
        if asked.over(PATIENCE_SECONDS) and not asked.silent:
            return asked.answer()
        own = answer_here()  # meanwhile: a MASTER that is slow is still the one to answer
        return asked.answer() if asked.over(max(0.0, deadline - time.monotonic())) and not asked.silent else own

    def is_guess(self, admitted: Admitted, now: float) -> bool:
        """Whether what could not be verified is not what was accepted lately: told apart, it must not be free."""
        return self._accepted.known(now) and not self._accepted.holds(admitted.name, admitted.header.password, now)

    def _name_master(self, call: Call) -> None:
        master = self._control.master_address()
        call.note_missing([master] if master is not None else [])


class _Asked:
    """A question whose answer is waited for no longer than it is worth."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._work, name="asks the MASTER", daemon=True).start()

    def over(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    @property
    def silent(self) -> bool:
        """Nobody answered."""
        return isinstance(self._error, Unreachable)

    def answer(self) -> Answer:
        """Once it is `over`; raises what the question did."""
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer

    def _work(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is wanted
            self._error = error
        finally:
            self._done.set()


def _seconds(request: Request, route: Route) -> float:
    if route.streams:
        return STREAM_SECONDS
    return READ_SECONDS if request.method == "GET" else WRITE_SECONDS
