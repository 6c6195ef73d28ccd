"""What other agents may ask of this one: verbs, their requests, and the functions that answer them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from oboe.domain.errors import Bug, Interrupted, OboeError, Refused, Stale, TryAgain
from oboe.domain.values import Address
from oboe.remote.messages import decode, encode, encode_error

__all__ = ["Verb", "Verbs", "answered", "status_of"]

_log = logging.getLogger(__name__)

_STATUSES = {"TryAgain": 503, "Unreachable": 502, "Refused": 409}


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. ``long``: its handler waits for something, so it gets a thread where it is in nobody's way."""

    name: str
    request_type: type[Any]
    handler: Callable[[Address, Any], Any]
    long: bool


class Verbs:
    """A registry: filled before anybody calls, then only read."""

    def __init__(self) -> None:
        self._verbs: dict[str, Verb] = {}

    def on(self, name: str, request_type: type[Any], handler: Callable[[Address, Any], Any], *, long: bool = False) -> None:
        """Have ``handler(caller, request)`` answer that verb; ``caller`` is the agent that its certificate proves."""
        if name in self._verbs:
            raise Bug("rpc.duplicate_verb", f"the verb {name} is registered twice")
        self._verbs[name] = Verb(name, request_type, handler, long)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._verbs)

    def find(self, name: str) -> Verb:
        verb = self._verbs.get(name)
        if verb is None:
            raise Refused("rpc.unknown_verb", f"this agent knows no {name!r}", hint="do both agents run the same release?")
        return verb

    def carry_out(self, name: str, caller: Address, request: Any) -> Any:
        """The answer to a request of this agent to itself: no codec, no network, the same errors."""
        with _translated(name):
            return self.find(name).handler(caller, request)

    def answer(self, verb: Verb, caller: Address, body: bytes) -> tuple[int, bytes]:
        """Status and body for a request from outside."""
        return answered(verb.name, lambda: verb.handler(caller, decode(body, verb.request_type)))


def answered(name: str, work: Callable[[], Any]) -> tuple[int, bytes]:
    """Status and body that ``work`` comes to, its errors included. Nothing but the end of the process gets past it."""
    try:
        with _translated(name):
            return 200, encode(work())
    except OboeError as error:
        return status_of(error), encode_error(error)


def status_of(error: OboeError) -> int:
    """For people who watch the traffic: callers read the error itself."""
    return next((_STATUSES[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _STATUSES), 500)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turns whatever a handler raises into an `OboeError`: here a request ends."""
    try:
        yield
    except OboeError:
        raise
    except Stale as error:
        raise TryAgain("rpc.lost_race", f"{name} lost a race", after_seconds=0.1) from error
    except Interrupted as error:
        raise TryAgain("rpc.interrupted", f"{name} was interrupted") from error
    except Exception as error:
        _log.exception("the verb %s failed", name)
        raise Bug("rpc.failed", f"{name}: {type(error).__name__}", hint="its log has the traceback") from error
