"""From OceanBase's configuration names to an instance of seekdb: ports, directories, sizes, and a warning for what it has no use for."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from oboe.database.port import Configured, Instance
from oboe.database.seekdb import parameters
from oboe.domain.errors import Refused
from oboe.hosts.ports import first_free

__all__ = ["DEFAULTS", "configure", "size_bytes"]

DEFAULTS: Mapping[str, str] = {
    "memory_budget": "1G",
    "log_disk_size": "2G",
    "datafile_size": "32M",
    "syslog_level": "ERROR",
    "log_disk_utilization_threshold": "80",
}
"""Small, and quiet. Without a budget each instance takes 80 % of the host; with the threshold redo waits for a standby that is down."""

_FLOORS: Mapping[str, tuple[str, str]] = {
    "memory_budget": ("1G", "seekdb does not start with less memory"),
    "log_disk_size": ("2G", "seekdb does not start with a smaller log disk; of it, 128 MB are written at first"),
    "datafile_size": ("4M", "seekdb does not start with a smaller data file; it grows by itself"),
}
_RENAMED = {"memory_limit": "memory_budget"}
_PLACES = ("mysql_port", "rpc_port", "home_path", "data_dir", "redo_dir")
_UNITS = {unit: 1 << (10 * power) for power, unit in enumerate("BKMGTP")}
_SIZE = re.compile(r"\s*(\d+)\s*([BKMGTP])B?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_PORT_LOW, _PORT_HIGH = 1024, 65535
_CUSTOMARY = (2881, 2882)
_SPREAD_LOW, _SPREAD_SIZE = 21000, 8000
"""Below the range from which the kernel gives ports to clients."""


def configure(settings: Mapping[str, str], *, home: Path, ip: str, zone: str, taken_ports: Sequence[int]) -> Configured:
    """See `oboe.database.port.Driver.configure`."""
    given = {name: str(value).strip() for name, value in settings.items()}
    chosen, warnings = _parameters({name: value for name, value in given.items() if name not in _PLACES})
    mysql_port, rpc_port = _ports(given, home=home, ip=ip, taken=taken_ports)
    base = _absolute("home_path", given.get("home_path") or str(home / "seekdb"))
    instance = Instance(
        base_dir=base,
        ip=ip,
        mysql_port=mysql_port,
        rpc_port=rpc_port,
        zone=zone,
        settings=chosen,
        data_dir=_absolute("data_dir", given.get("data_dir", "")),
        redo_dir=_absolute("redo_dir", given.get("redo_dir", "")),
    )
    _check_apart(instance)
    return Configured(instance, tuple(warnings))


def size_bytes(name: str, text: str) -> int:
    """Read ``8G``, ``512M``, ``0``. `Refused` ``config.invalid`` for what is no size, a number without a unit included."""
    match = _SIZE.fullmatch(text)
    if match is None:
        if text == "0":
            return 0
        raise Refused("config.invalid", f"{name}={text} is not a size", hint="a whole number and a unit, as in 512M or 8G")
    return int(match[1]) * _UNITS[match[2].upper()]


def _parameters(given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    chosen, warnings = dict(DEFAULTS), []
    for name, value in given.items():
        known = _RENAMED.get(name, name)
        if name in _RENAMED and known in given:
            warnings.append(f"{name} is not used: {known} is given as well")
        elif known in parameters.OWN:
            warnings.append(f"{name} is not used: oboe sets it itself")
        elif known in parameters.CAPACITIES:
            chosen[known] = _capacity(name, known, value)
        elif known in parameters.NUMBERS:
            chosen[known] = _matching(name, value, bool(_NUMBER.fullmatch(value)), "a number")
        elif known in parameters.BOOLEANS:
            chosen[known] = _matching(name, value, value.lower() in ("true", "false"), "True or False").capitalize()
        elif known in parameters.TEXTS:
            chosen[known] = value
        else:
            warnings.append(f"{name} is kept but not used: seekdb has no such parameter")
    largest, size = (size_bytes(name, chosen.get(name, "0")) for name in ("datafile_maxsize", "datafile_size"))
    if 0 < largest < size:
        raise Refused(
            "config.conflict", f"datafile_maxsize={chosen['datafile_maxsize']} is less than datafile_size={chosen['datafile_size']}"
        )
    return chosen, warnings


def _capacity(name: str, known: str, value: str) -> str:
    size = size_bytes(name, value)
    if known in _FLOORS:
        floor, why = _FLOORS[known]
        if size < size_bytes(known, floor):
            raise Refused("config.below_floor", f"{name}={value} is below the floor of {floor}", hint=f"{why}: give at least {floor}")
    return value.upper().replace(" ", "")


def _matching(name: str, value: str, matches: bool, what: str) -> str:
    if not matches:
        raise Refused("config.invalid", f"{name}={value} is not {what}")
    return value


def _ports(given: Mapping[str, str], *, home: Path, ip: str, taken: Sequence[int]) -> tuple[int, int]:
    wanted = [_port(name, given[name]) if given.get(name) else 0 for name in ("mysql_port", "rpc_port")]
    if wanted[0] and wanted[0] == wanted[1]:
        raise Refused("config.conflict", f"mysql_port and rpc_port are both {wanted[0]}", hint="give two different ports")
    for port in wanted:
        if port and port in taken:
            raise Refused("config.port_taken", f"port {port} is promised to another database of this host", hint="give another port")
    found: list[int] = []
    for index, port in enumerate(wanted):
        chosen = port or first_free(_candidates(home, ip, index), taken={*taken, *wanted, *found})
        if chosen is None:
            raise Refused("config.no_free_port", "no free port was found", hint="give mysql_port and rpc_port")
        found.append(chosen)
    return found[0], found[1]


def _candidates(home: Path, ip: str, index: int) -> Iterator[int]:
    """The customary port first. On loopback several agents share a host and choose before anybody listens, so homes start apart."""
    start = zlib.crc32(str(home).encode()) % _SPREAD_SIZE
    spread = (_SPREAD_LOW + (start + step) % _SPREAD_SIZE for step in range(_SPREAD_SIZE))
    return spread if ip.startswith("127.") else chain((_CUSTOMARY[index],), spread)


def _port(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise Refused("config.invalid", f"{name}={text} is not a port")
    port = int(text)
    if port < _PORT_LOW:
        raise Refused("config.below_floor", f"{name}={text} is below the floor of {_PORT_LOW}", hint="ports below 1024 are the system's")
    if port > _PORT_HIGH:
        raise Refused("config.invalid", f"{name}={text} is not a port", hint=f"ports go from {_PORT_LOW} to {_PORT_HIGH}")
    return port


def _absolute(name: str, text: str) -> str:
    if text and not Path(text).is_absolute():
        raise Refused("config.invalid", f"{name}={text} is not an absolute path")
    return str(Path(text)) if text else ""


def _check_apart(instance: Instance) -> None:
    """A directory of its own for each: one inside another would be removed, or found not empty, with it."""
    places = [("home_path", instance.base_dir), ("data_dir", instance.data_dir), ("redo_dir", instance.redo_dir)]
    named = [(name, Path(text)) for name, text in places if text]
    for name, path in named:
        for other, place in named:
            if name != other and path.is_relative_to(place):
                raise Refused("config.conflict", f"{name}={path} is inside {other}={place}", hint="give directories that are apart")
