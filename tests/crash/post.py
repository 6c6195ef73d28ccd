"""Messages between agents of one host: the engine's courier over Unix sockets, a connection for each message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import msgspec

from oboe.domain.errors import OboeError, TryAgain, Unreachable
from oboe.domain.messages import Interrupt, Order, RecallAgent, Recollection, Report, Verdict
from oboe.domain.model import Home
from oboe.domain.values import Address
from oboe.engine.server import Engine
from oboe.kit.typed import converted, decoder
from tests.crash.fuse import Fuse

__all__ = ["Courier", "serve"]

_ANSWER_SECONDS = 5.0


class Courier:
    """Implements `oboe.engine.ports.Courier`. Points: before a message leaves, after it is answered."""

    def __init__(self, directory: Path, fuse: Fuse) -> None:
        self._directory = directory
        self._fuse = fuse

    def order(self, agent: Address, order: Order) -> None:
        self._carry(agent, "order", order)

    def interrupt(self, agent: Address, interrupt: Interrupt) -> None:
        self._carry(agent, "interrupt", interrupt)

    def settled(self, agent: Address, dag_key: str) -> None:
        self._carry(agent, "settled", dag_key)

    def recall(self, agent: Address, request: RecallAgent) -> Recollection:
        return converted(self._carry(agent, "recall", request), Recollection)

    def report(self, home: Home, maintainer: Address, report: Report) -> Verdict:
        return Verdict(self._carry(maintainer, "report", (home, report), name=f"report {report.phase.name.lower()}"))

    def _carry(self, agent: Address, verb: str, message: Any, *, name: str = "") -> Any:
        label = name or verb
        self._fuse.point(f"{label}: not sent")
        try:
            with Client(str(socket_of(self._directory, agent)), "AF_UNIX") as connection:
                connection.send_bytes(msgspec.json.encode((verb, message)))
                if not connection.poll(_ANSWER_SECONDS):
                    raise Unreachable("agent.away", f"{agent} does not answer")
                again, answer = decoder(object).decode(connection.recv_bytes())
        except (OSError, EOFError) as error:
            raise Unreachable("agent.away", f"{agent}: {error}") from error
        if again:
            raise TryAgain("agent.busy", again)
        self._fuse.point(f"{label}: answered")
        return answer


def serve(directory: Path, here: Address, engine: Engine, fuse: Fuse) -> None:
    """Answer messages to this agent, on threads that end with the process. Points: a message came, was carried out, was answered."""
    place = socket_of(directory, here)
    place.unlink(missing_ok=True)
    listener = Listener(str(place), "AF_UNIX", backlog=64)
    verbs: Mapping[str, tuple[Any, Callable[..., Any]]] = {
        "order": (Order, engine.order),
        "interrupt": (Interrupt, engine.interrupt),
        "settled": (str, engine.settled),
        "recall": (RecallAgent, engine.recall),
        "report": (tuple[Home, Report], lambda both: engine.report(*both)),
    }

    def answer(connection: Connection) -> None:
        with connection:
            verb, body = decoder(tuple[str, msgspec.Raw]).decode(connection.recv_bytes())
            kind, carry_out = verbs[verb]
            message = decoder(kind).decode(body)
            label = f"report {message[1].phase.name.lower()}" if verb == "report" else verb
            fuse.point(f"{label}: arrived")
            try:
                answered = ("", carry_out(message))
            except OboeError as error:
                answered = (str(error), None)
            fuse.point(f"{label}: carried out")
            connection.send_bytes(msgspec.json.encode(answered))
            fuse.point(f"{label}: answer sent")

    def answer_quietly(connection: Connection) -> None:
        with suppress(OSError, EOFError):  # whoever asked is dead, or gave up
            answer(connection)

    def listen() -> None:
        while True:
            threading.Thread(target=answer_quietly, args=(listener.accept(),), daemon=True).start()

    threading.Thread(target=listen, name="post", daemon=True).start()


def socket_of(directory: Path, agent: Address) -> Path:
    return directory / f"{agent.port}.sock"
