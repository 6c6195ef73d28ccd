"""Generic ids: which side keeps it, at which agent, and its number there (`obshell-wire.md` §2.2).

::

    cluster       "1" + number
    local, IPv4   "2" + 10 digits of the address + 5 digits of the port + number
    local, IPv6   "3" + 39 digits                + 5 digits             + number
    obproxy       "4", "5": like "2" and "3"; oboe keeps none

Widths are fixed and decoded as such, so an address with leading zero bytes has ids like any other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

from oboe.control.views import Ref
from oboe.domain.errors import Refused
from oboe.domain.model import Home
from oboe.domain.values import Address, HomeKind

__all__ = ["decode", "encode", "is_obproxy"]

_WIDTHS = {"2": 10, "3": 39, "4": 10, "5": 39}
_PORT_WIDTH = 5
_NUMBER = re.compile(r"[+-]?[0-9]+")
_NUMBER_MAX = 2**63 - 1
_DIGITS_MAX = 20
_AGENTS_KEPT = 1024


def encode(home: Home, number: int) -> str:
    """The id of a dag, node or sub-task: the kind is not in it."""
    if home.kind is HomeKind.CLUSTER:
        return f"1{number}"
    assert home.agent is not None
    return f"{_of_agent(home.agent)}{number}"


@lru_cache(maxsize=_AGENTS_KEPT)
def _of_agent(agent: Address) -> str:
    """What ids in its home begin with; a dag of 10 000 nodes shows 20 000 of them."""
    ip = ip_address(agent.ip)
    prefix = "2" if ip.version == 4 else "3"
    return f"{prefix}{int(ip):0{_WIDTHS[prefix]}d}{agent.port:0{_PORT_WIDTH}d}"


def decode(kind: Literal["dag", "node", "sub_task"], text: str) -> Ref:
    """What an id names. `Refused` ``id.invalid``; ``task.not_found`` for one that no home ever gives out."""
    prefix = text[:1]
    if prefix == "1":
        return Ref(kind, HomeKind.CLUSTER, None, _number(text, text[1:]))
    width = _WIDTHS.get(prefix)
    if width is None:
        raise _invalid(text)
    address, port, number = text[1 : 1 + width], text[1 + width : 1 + width + _PORT_WIDTH], text[1 + width + _PORT_WIDTH :]
    if not (address + port).isascii() or not (address + port).isdigit() or not number:
        raise _invalid(text)
    bits = 32 if width == 10 else 128
    if int(address) >= 2**bits or not 0 < int(port) < 65536:
        raise _invalid(text)
    ip = ip_address(int(address).to_bytes(bits // 8, "big"))
    counted = _number(text, number)
    if is_obproxy(text):
        raise Refused("task.not_found", f"no {kind.replace('_', '-')} has id {text}", hint="oboe manages no obproxy")
    return Ref(kind, HomeKind.AGENT, Address(str(ip), int(port)), counted)


def is_obproxy(text: str) -> bool:
    """Ids of obproxy's tasks answer to the agent password alone."""
    return text[:1] in ("4", "5")


def _number(text: str, digits: str) -> int:
    if not _NUMBER.fullmatch(digits) or len(digits) > _DIGITS_MAX or abs(int(digits)) > _NUMBER_MAX:
        raise _invalid(text)
    if digits != str(int(digits)) or int(digits) < 1:
        raise Refused("task.not_found", f"no task has id {text}")
    return int(digits)


def _invalid(text: str) -> Refused:
    return Refused("id.invalid", f"{text[:80]!r} is no id of a task")
