"""Every setting of oboe: its name, type, default, unit and one sentence about it.

A value comes from, strongest first: the environment (``OBOE_<NAME>``), ``oboe.toml`` in the agent's home, the default. A setting
is added as one field of `Settings`; the reference table of the docs follows from it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oboe.domain.errors import Refused

__all__ = ["FILE_NAME", "Setting", "Settings", "describe"]

FILE_NAME = "oboe.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """What the docs say of one setting."""

    name: str
    type: str
    default: Any
    unit: str
    sentence: str


def _setting(
    default: Any, unit: str, sentence: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    return field(default=default, metadata={"unit": unit, "sentence": sentence, "low": low, "high": high, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings, typed. Build it with `from_home`, `from_env` or `of`: they check names, types and bounds."""

    # The agent
    port: int = _setting(2886, "port", "Where the agent answers over HTTP.", low=1, high=65535)
    rpc_port_offset: int = _setting(1000, "ports", "Added to the port to get the one where agents talk to each other.", low=1, high=64000)
    agent_start_seconds: float = _setting(20.0, "s", "How long `oboe agent start` waits for the first answer.", low=0.1, high=600)
    agent_stop_seconds: float = _setting(30.0, "s", "How long `oboe agent stop` waits for the end of the process.", low=0.1, high=600)

    playbooks: str = _setting(
        "",
        "paths",
        "Directories of your own playbooks beside those of `--playbooks`, separated by `:`; below the home unless absolute.",
    )

    # The public port
    tls: str = _setting(
        "off",
        "off, allowed, required",
        "Whether the port speaks TLS, with a certificate of the cluster's authority: not at all, beside plain HTTP, or instead of it.",
        choices=("off", "allowed", "required"),
    )
    http_connections_max: int = _setting(1000, "connections", "How many clients may be connected at once; more are refused.", low=10)
    http_keep_alive_seconds: int = _setting(30, "s", "How long an idle connection is kept between two requests.", low=1, high=3600)
    http_head_seconds: float = _setting(
        10.0, "s", "How long a client may take for its TLS handshake, and for the head of a request.", low=0.1, high=600
    )
    http_unread_seconds: float = _setting(60.0, "s", "How long a client may leave an answer unread.", low=1, high=3600)
    http_body_seconds: float = _setting(30.0, "s", "How long a client may take to send a body.", low=0.1, high=600)
    http_body_bytes_max: int = _setting(4 << 20, "bytes", "The largest body of a request.", low=64 << 10, high=1 << 30)
    http_bodies_bytes_max: int = _setting(64 << 20, "bytes", "What the bodies of all requests under way may hold together.", low=1 << 20)
    http_in_flight_max: int = _setting(512, "requests", "Requests that are carried out or wait for it; more are refused at once.", low=1)
    http_workers_max: int = _setting(32, "threads", "Requests that are carried out at the same time.", low=1, high=1024)
    http_user_requests_max: int = _setting(
        6000, "requests", "What one user of OCP's API may ask in a minute; more is 429. 0: as much as they like.", low=0
    )
    http_streams_max: int = _setting(64, "streams", "Listeners to server-sent events at the same time.", low=1, high=1024)
    # Other hosts
    host_free_bytes_min: int = _setting(
        512 << 20, "bytes", "What must be free on a host, at its prefix and at its agent's home, before an agent is installed.", low=0
    )
    host_clock_skew_seconds_max: float = _setting(
        2.0, "s", "How far a host's clock may be from this one's before an agent is installed.", low=0.0, high=86400
    )

    # The engine
    engine_workers_max: int = _setting(256, "steps", "Steps that run at once on this agent.", low=1, high=10_000)
    engine_worker_idle_seconds: float = _setting(10.0, "s", "How long a worker without work stays.", low=0, high=3600)
    engine_output_chars_max: int = _setting(
        256 << 10, "characters", "The end of each output of a command that reaches its step.", low=1024, high=64 << 20
    )
    engine_output_bytes_max: int = _setting(
        256 << 20, "bytes", "What a command may write to its outputs; one that writes more is ended.", low=1 << 16, high=1 << 40
    )
    engine_deaths_max: int = _setting(
        20, "deaths", "How often in a row a step is resumed after a death of its agent; then it fails.", low=1, high=1000
    )
    engine_lines_max: int = _setting(20_000, "lines", "Log lines kept of one attempt; further ones are counted.", low=100, high=10_000_000)
    engine_line_chars_max: int = _setting(16 << 10, "characters", "The longest log line; what is beyond is cut.", low=256, high=1 << 20)
    engine_result_bytes_max: int = _setting(1 << 20, "bytes", "What a step may return, as JSON.", low=1024, high=64 << 20)
    engine_flush_seconds: float = _setting(0.2, "s", "How long a log line of a running step waits for company.", low=0.01, high=60)
    engine_stubborn_seconds: float = _setting(
        8.0, "s", "How long a step may ignore an interrupt before its processes are killed.", low=0.1, high=600
    )
    engine_queue_max: int = _setting(100_000, "messages", "Requests and reports that wait for a scheduler; more are sent away.", low=100)
    engine_batch_max: int = _setting(1024, "messages", "What a scheduler takes into one turn.", low=1, high=100_000)
    engine_stale_tries_max: int = _setting(5, "times", "How often a lost race is run again at once, before it backs off.", low=1, high=100)
    engine_backoff_seconds_min: float = _setting(0.05, "s", "The first pause after a failure of a store or a peer.", low=0.001, high=60)
    engine_backoff_seconds_max: float = _setting(5.0, "s", "The longest pause after failures in a row.", low=0.01, high=600)
    engine_safety_net_seconds: float = _setting(
        60.0, "s", "How often what is not settled is read again, in case something was missed.", low=1, high=86_400
    )
    engine_lanes_max: int = _setting(64, "agents", "Agents that are spoken to at once.", low=1, high=10_000)
    engine_lane_idle_seconds: float = _setting(5.0, "s", "How long the thread for an agent stays without a message.", low=0, high=3600)
    engine_lease_seconds: float = _setting(
        8.0, "s", "How long the maintainer's lease lasts; the longest wait for another one after it died.", low=1, high=600
    )
    engine_lease_renew_seconds: float = _setting(3.0, "s", "How often the maintainer renews its lease; well below it.", low=0.1, high=300)
    engine_lease_look_seconds: float = _setting(4.5, "s", "How often the others look whether the lease is free.", low=0.1, high=600)
    engine_keep_seconds: float = _setting(30 * 86_400.0, "s", "How long a finished dag stays in the history.", low=60)
    engine_keep_dags_max: int = _setting(1_000_000, "dags", "How many finished dags stay in the history.", low=100)
    engine_inbox_keep_seconds: float = _setting(86_400.0, "s", "How long the attempts of a settled dag are remembered.", low=3600)
    engine_remind_seconds: float = _setting(
        3600.0, "s", "How long an agent waits to hear that a dag settled, before it tells again what it did.", low=10
    )
    engine_sweep_seconds: float = _setting(3600.0, "s", "How often the history is swept.", low=1)
    engine_recall_seconds: float = _setting(
        60.0, "s", "How long dags wait for agents to say what they did before the cluster's store went back.", low=1, high=3600
    )

    # The command line as a client
    client_ca_file: str = _setting(
        "", "path", "The authority that an agent's certificate must be of; with it, the command line speaks TLS to agents."
    )
    client_connect_seconds: float = _setting(5.0, "s", "How long the command line waits for a connection.", low=0.1, high=600)
    client_answer_seconds: float = _setting(60.0, "s", "How long the command line waits for an answer.", low=0.1, high=3600)
    client_header_seconds: int = _setting(60, "s", "How long an authentication header of the command line is valid.", low=5, high=600)
    client_answer_bytes_max: int = _setting(256 << 20, "bytes", "The largest answer that the command line reads.", low=1 << 20)
    watch_poll_seconds_min: float = _setting(0.2, "s", "Pause between two looks at a dag that is moving.", low=0.01, high=60)
    watch_poll_seconds_max: float = _setting(
        1.0, "s", "Pause between two looks at a dag that is not, or at another vendor's agent.", low=0.1, high=60
    )
    watch_patience_seconds: float = _setting(60.0, "s", "How long a watch goes on while the agent does not answer.", low=0, high=3600)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, source: str) -> Settings:
        """Settings from plain values; texts are converted. `Refused` ``config.*`` names the setting, the source and what is wrong."""
        known = {each.name: each for each in fields(cls)}
        for name in values:
            if name not in known:
                close = get_close_matches(name, known, n=1)
                raise Refused(
                    "config.unknown", f"{source}: there is no setting {name!r}", hint=f"did you mean {close[0]!r}?" if close else ""
                )
        return cls(**{name: _checked(known[name], value, source) for name, value in values.items()})

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from ``OBOE_<NAME>`` variables alone."""
        return cls.of(_from_environ(environ), source="environment")

    @classmethod
    def from_home(cls, home: Path, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from ``oboe.toml`` of an agent's home, if there is one, overridden by the environment."""
        path = home / FILE_NAME
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            values = {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise Refused("config.unreadable", f"{path}: {error}", hint="it is a TOML file of `name = value` lines") from error
        cls.of(values, source=str(path))
        return cls.of(values | _from_environ(environ), source=str(path))


def describe() -> list[Setting]:
    """All settings, in order, for the docs."""
    return [Setting(each.name, str(each.type), each.default, each.metadata["unit"], each.metadata["sentence"]) for each in fields(Settings)]


def _from_environ(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Only names of settings are looked at: other programs may have variables of that prefix."""
    environ = os.environ if environ is None else environ
    names = {"OBOE_" + each.name.upper(): each.name for each in fields(Settings)}
    return {names[key]: value for key, value in environ.items() if key in names}


def _checked(setting: Any, value: Any, source: str) -> Any:
    """The value as the setting's type, within its bounds. Annotations are texts here, and name builtins only."""
    kind = {"int": int, "float": float, "str": str, "bool": bool}[setting.type]
    try:
        converted = _boolean(value) if kind is bool else kind(value)
    except (TypeError, ValueError) as error:
        raise Refused("config.wrong_type", f"{source}: {setting.name} = {value!r} is not {_article(kind.__name__)}") from error
    choices = setting.metadata["choices"]
    if choices and converted not in choices:
        raise Refused("config.out_of_bounds", f"{source}: {setting.name} = {value!r}", hint=f"it must be one of {', '.join(choices)}")
    low, high = setting.metadata["low"], setting.metadata["high"]
    if (low is not None and converted < low) or (high is not None and converted > high):
        unit = setting.metadata["unit"]
        bounds = f"at least {low} {unit}" if high is None else f"between {low} and {high} {unit}"
        raise Refused("config.out_of_bounds", f"{source}: {setting.name} = {value!r}", hint=f"it must be {bounds}")
    return converted


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _boolean(value: Any) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in words:
        raise ValueError(f"{value!r} is not true or false")
    return words[str(value).lower()]
