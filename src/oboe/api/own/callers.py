"""Who asks over oboe's own API, and who may change an agent that nobody has given a password yet: its own host."""

from __future__ import annotations

from ipaddress import ip_address

from oboe.api.obshell.route import Call
from oboe.domain.errors import Refused
from oboe.domain.values import Identity

__all__ = ["check_caller", "who_asks"]

_ROOT = "root"


def check_caller(call: Call) -> None:
    """`Refused` ``auth.no_agent_password`` for a stranger where there is no password to ask for."""
    keys = call.control.keys
    if call.local:
        return
    if keys.identity() is not Identity.SINGLE or keys.agent_password() is not None:
        return
    source = call.caller.source
    if not source or (not ip_address(source).is_loopback and source != call.control.agent().address.ip):
        raise Refused("auth.no_agent_password", "an agent without a password takes this from its own host only")


def who_asks(call: Call) -> str:
    """For the record: ``root``, whose password it was, or ``uid N`` of a caller on the agent's unix socket."""
    return call.caller.source if call.local else _ROOT
