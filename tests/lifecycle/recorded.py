"""A recorded exchange beside the same exchange with living agents: what is masked, what is wanted otherwise, and what differs then.

`Cast` says which living host plays which recorded agent, so that addresses in lines and ids can be compared. Whatever is exempt is so by
a row of ``docs/differences.md``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import groupby
from typing import Any, NamedTuple

from tests.api.differences import row
from tests.api.exchanges import Exchange, read

__all__ = ["LINES", "PASSED", "PLAIN", "Cast", "compared", "dag_of", "differences", "exchange_of", "wanted"]

PREPARATIONS = row("*Local scale out*, *Start preparations*")
WATCH = row("*Local scale out*, *Watch cluster scale_out dag*")
TOGETHER = row("*Start observer*, *Stop observer*: *Start preparations*, *Wait for task to end*")


class Exempt(NamedTuple):
    """Lines that are left out on both sides, by a row of the wanted differences. Patterns match from the beginning."""

    row: str
    dag: str
    node: str
    line: str
    everywhere: bool = True
    """Else only where a scene says that the row applies."""


PLAIN = row("*Stop OB*, plain")
PASSED = row("*Wait delete observer success* after PASS of *Delete observer*")
_KILL = row("*Try to inform to kill observer*")
_INIT = row("*Initialize cluster*: *Start observer* of followers, *Cluster boostrap*")
_FOLLOWED = r"(task [^:]+|Start observer|Stop observer): "
"""How a leader repeats the line of another dag."""

LINES = (
    Exempt(
        row("log lines: paths, start commands, dumps of maps, process ids"),
        "",
        "",
        rf"({_FOLLOWED})?"
        r"(mkdir |symlink |generate start cmd|start cmd: |agents: |bootstrap cmd: |Kill observer process |the fake |/\S+ is (ready|gone)$)",
    ),
    Exempt(row("`task_logs` of *Wait remote deploy/start finish*"), "", "Wait remote ", r"remote (deploy|start observer) task is succeed"),
    Exempt(_INIT, "Initialize cluster", "Start observer|Cluster boostrap", "task Start observer: "),
    Exempt(_INIT, "Start observer$", "Start observer", "observer health check|update ", everywhere=False),
    Exempt(_KILL, "Kill observer", "Kill observer", "set agent to single agent success"),
    Exempt(_KILL, "Cluster scale in", "Delete agent", r"agent \S+ ob state: 0"),
    Exempt(
        row("*Cluster scale out*, ROLLBACK: `try rollback coordinate dag successfully`"),
        "Cluster scale out",
        "",
        "try rollback coordinate dag successfully",
    ),
    Exempt(PASSED, "Cluster scale in", "Wait delete", "observer .* is already not in cluster", everywhere=False),
    Exempt(PLAIN, "Stop observer", "Wait for task to end", "Get observer Pid|Check observer process|Successfully killed", everywhere=False),
    Exempt(PLAIN, "Start (OB|observer)", "", rf"(Check [^:]+: |{_FOLLOWED})?(observer process exist|observer started\.)", everywhere=False),
    Exempt(
        PLAIN,
        "Start (OB|observer)",
        "Start observer|Wait for all",
        rf"({_FOLLOWED})?(start observer|check if first start|not first start|update (self OB port|OB port in all_agent))",
        everywhere=False,
    ),
)

_IDS = ("id", "dag_id", "node_id", "task_id")
_TIMES = ("start_time", "end_time")
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_POLL = re.compile(r"remote task <.*> .* running \[1/1\]")
_SEVERAL = (_POLL, *map(re.compile, ("<.*> is ready", "advance <.*> to .*", "<.*> end the task")))


class Cast:
    """Who plays whom: living and recorded ports under one name."""

    def __init__(self) -> None:
        self._names = {3885 + n: f"a{n}" for n in range(1, 15)} | {5900 + n: f"d{n}" for n in range(1, 15)}

    def plays(self, number: int, *, agent: int, database: int = 0) -> None:
        self._names = {port: name for port, name in self._names.items() if name not in (f"a{number}", f"d{number}") or port < 6000}
        self._names |= {agent: f"a{number}"} | ({database: f"d{number}"} if database else {})

    def mask(self, text: str) -> str:
        """Addresses and local ids by the agent's name, cluster ids and whatever is drawn anew without."""
        text = re.sub(r"\b22130706433(\d{5})\d+", lambda found: f"<dag of {self._names.get(int(found[1]), found[1])}>", text)
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"<{self._names.get(int(found[1]), found[1])}>", text)
        text = re.sub(_UUID, "<uuid>", text)
        text = re.sub(r"^ERROR: .*", "ERROR: <what was made to fail>", text)
        return re.sub(r"^1\d+$", "<dag of the cluster>", text)

    def normal(self, value: Any, rows: Collection[str] = (), key: str = "", at: tuple[str, ...] = ()) -> Any:
        """Members in their order; ids, times and executors by their types; lines less those that are exempt. ``at``: dag and node."""
        if key == "execute_agent" and isinstance(value, Mapping):
            return {name: type(each).__name__ for name, each in value.items()}
        if isinstance(value, Mapping):
            at = (*at, str(value.get("name"))) if {"nodes", "sub_tasks"} & set(value) else at
            return {self.mask(name): self.normal(each, rows, name, at) for name, each in value.items()}
        if isinstance(value, list) and key == "task_logs" and all(isinstance(each, str) for each in value):
            exempt = _exempt(at, rows)
            lines = map(self.mask, value)
            return list(_settled(line for line in lines if not any(re.match(each, line) for each in exempt)))
        if isinstance(value, list):
            return [self.normal(each, rows, key, at) for each in value]
        if key in _IDS or key in _TIMES:
            return type(value).__name__
        return self.mask(value) if isinstance(value, str) else value


def _exempt(at: tuple[str, ...], rows: Collection[str]) -> list[str]:
    """Patterns of the lines that are left out there."""
    dag, node = at if len(at) == 2 else ("", "")
    return [each.line for each in LINES if (each.everywhere or each.row in rows) and re.match(each.dag, dag) and re.match(each.node, node)]


def _settled(lines: Iterable[str]) -> Iterator[str]:
    """One of a poll's; agents that were asked one after another by name, because the original keeps them in a map."""
    for kind, group in groupby(lines, _kind):
        found = list(group)
        yield from found[:1] if kind == _POLL.pattern else sorted(found) if kind else found


def _kind(line: str) -> str:
    """Which of `_SEVERAL` it is; empty: none."""
    return next((pattern.pattern for pattern in _SEVERAL if pattern.fullmatch(line)), "")


def wanted(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What oboe means to show where the original showed this: nothing fails in order to wait (`PREPARATIONS`, `WATCH`, `TOGETHER`)."""
    dag = deepcopy(dict(recorded))
    waits = {"Local scale out": ("Start preparations", "Watch cluster scale_out dag")}.get(dag["name"], ())
    if dag["name"] in ("Start observer", "Stop observer") and dag["max_stage"] > 1:
        waits = ("Start preparations", "Wait for task to end")
        dag["operator"] = "RUN"
    for node in dag["nodes"] or ():
        if node["name"] in waits:
            node["operator"] = "RUN"
            for sub_task in node["sub_tasks"]:
                lines = sub_task["task_logs"] and [line for line in dict.fromkeys(sub_task["task_logs"]) if not line.startswith("ERROR: ")]
                sub_task.update(operator="RUN", execute_times=min(sub_task["execute_times"], 1), task_logs=lines)
    return dag


def differences(recorded: Any, shown: Any, at: str = "") -> list[str]:
    """Every place where the normal forms differ; empty when they are the same."""
    if isinstance(recorded, dict) and isinstance(shown, dict):
        if list(recorded) != list(shown):
            return [f"{at}: members {list(shown)}, recorded {list(recorded)}"]
        return [each for name in recorded for each in differences(recorded[name], shown[name], f"{at}.{name}")]
    if isinstance(recorded, list) and isinstance(shown, list) and not all(isinstance(each, str) for each in recorded + shown):
        if len(recorded) != len(shown):
            return [f"{at}: {len(shown)}, recorded {len(recorded)}"]
        return [each for n, (one, other) in enumerate(zip(recorded, shown, strict=True)) for each in differences(one, other, f"{at}[{n}]")]
    return [] if recorded == shown and type(recorded) is type(shown) else [f"{at}: {shown!r}, recorded {recorded!r}"]


def compared(cast: Cast, recorded: Mapping[str, Any], shown: Mapping[str, Any], rows: Collection[str] = ()) -> list[str]:
    """Of two dags, as they are on the wire. ``rows`` apply here, beside those that apply everywhere."""
    return differences(cast.normal(wanted(recorded), rows), cast.normal(shown, rows), str(recorded["name"]))


def dag_of(file: str, *, noted: str = "", **is_so: Any) -> Mapping[str, Any]:
    """The last view, with details, of the dag that is so, in that recording; ``noted`` at a moment whose note begins so."""
    shown = [dag for each in read(file) if each.note.startswith(noted) for dag in each.dags if dag["nodes"]]
    found = [dag for dag in shown if all(dag[name] == value for name, value in is_so.items())]
    assert found, (file, is_so)
    return found[-1]


def exchange_of(file: str, note: str, method: str = "POST") -> Exchange:
    found = [each for each in read(file) if each.note == note and each.method == method]
    assert found, (file, note)
    return found[0]
