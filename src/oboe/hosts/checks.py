"""What must be so on a host before an agent is installed there; pure: from what was seen there to what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["PYTHON_MIN", "Problem", "Wanted", "problems"]

PYTHON_MIN = (3, 11)
_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable code, what it is, and what to do about it."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a host must have. ``machine`` and ``python`` are the package's, empty where no package is known yet."""

    free_bytes: int
    skew_seconds: float
    machine: str = ""
    python: str = ""


def problems(seen: Mapping[str, Any], wanted: Wanted, *, asked_at: int, answered_at: int) -> list[Problem]:
    """From the far side's ``look``; ``asked_at`` and ``answered_at`` are this host's clock before and after, in nanoseconds."""
    return [*_of_python(seen, wanted), *_of_place(seen, wanted), *_of_ports(seen), *_of_clock(seen, wanted, asked_at, answered_at)]


def _of_python(seen: Mapping[str, Any], wanted: Wanted) -> list[Problem]:
    version = tuple(seen["python"])
    text = ".".join(map(str, version))
    least = ".".join(map(str, PYTHON_MIN))
    if seen["system"] != "Linux":
        return [Problem("host.not_linux", f"it runs {seen['system']}", "agents run on Linux")]
    if version < PYTHON_MIN:
        return [Problem("host.python_old", f"its Python is {text}", f"install {least} or newer, and name it with --python")]
    found = []
    if not seen["venv"]:
        hint = f"install it: python{version[0]}.{version[1]}-venv on Debian and Ubuntu"
        found.append(Problem("host.no_venv", f"its Python {text} cannot make environments", hint))
    if wanted.python and wanted.python != f"{version[0]}.{version[1]}":
        hint = "make the package on a host with the same Python, or name another one there with --python"
        found.append(Problem("host.package_mismatch", f"its Python is {text}, the package is for {wanted.python}", hint))
    if wanted.machine and wanted.machine != seen["machine"]:
        hint = "make the package on a host of the same kind"
        found.append(Problem("host.package_mismatch", f"it is {seen['machine']}, the package is for {wanted.machine}", hint))
    return found


def _of_place(seen: Mapping[str, Any], wanted: Wanted) -> list[Problem]:
    found = []
    for name, free, writable in (("prefix", "free_bytes", "prefix_writable"), ("home", "home_free_bytes", "home_writable")):
        if not seen[writable]:
            found.append(
                Problem("host.not_writable", f"{seen['user']} cannot write to its {name}", "name another directory, or another user")
            )
        elif seen[free] < wanted.free_bytes:
            left, needed = seen[free] >> 20, wanted.free_bytes >> 20
            found.append(
                Problem("host.disk_low", f"{left} MiB are free at its {name}, {needed} are needed", "make room, or name another place")
            )
    return found


def _of_ports(seen: Mapping[str, Any]) -> list[Problem]:
    """Ports of an agent that runs are its own."""
    taken = {port: why for port, why in seen["ports"].items() if why}
    hint = "end who listens there (ss -ltnp), or give the agent another address"
    return [Problem("host.port_taken", f"port {port} cannot be listened on: {why}", hint) for port, why in taken.items()]


def _of_clock(seen: Mapping[str, Any], wanted: Wanted, asked_at: int, answered_at: int) -> list[Problem]:
    """Its clock was read some time between the question and the answer; what that leaves open counts for the host."""
    late, early = asked_at - seen["now"], seen["now"] - answered_at
    skew = max(late, early, 0) / _SECOND
    if skew <= wanted.skew_seconds:
        return []
    word = "behind" if late > early else "ahead"
    hint = "have both hosts follow a time server (chrony, systemd-timesyncd)"
    return [Problem("host.clock", f"its clock is {skew:.1f} s {word}, {wanted.skew_seconds:g} are allowed", hint)]
