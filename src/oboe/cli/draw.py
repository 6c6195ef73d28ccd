"""Draws a dag that is being watched: a live table on a terminal, plain lines elsewhere, JSON for programs. Rich is loaded late."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from oboe.cli.dags import FAILED, FINISHED, PASS, PENDING, READY, ROLLBACK, RUNNING, SUCCEED, DagShown, NodeShown
from oboe.cli.watch import Look

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

__all__ = ["Drawing", "Lines", "console", "draw", "duration", "glyph", "node_table"]

_GLYPHS = {PENDING: "·", READY: "○", RUNNING: "▶", FAILED: "✘", SUCCEED: "✔"}
_MOVING = re.compile(r", try \d+|\d+(\.\d+)?")
_AGAIN_SECONDS = 5.0
"""How often lines repeat a reason to wait whose numbers move."""
_CELL_MAX = 48
"""Widest name or list of agents, in characters."""
_WIDTH = 200
"""Width of tables without a terminal, in characters."""
_STYLES = {PENDING: "dim", READY: "cyan", RUNNING: "bold cyan", FAILED: "bold red", SUCCEED: "green"}


class Drawing(Protocol):
    """Shows one look after the other."""

    def show(self, look: Look) -> None: ...


def glyph(state: str, operator: str) -> str:
    """One sign for a state: undone and passed ones have their own."""
    if state == SUCCEED and operator in (ROLLBACK, PASS):
        return "↩" if operator == ROLLBACK else "»"
    return _GLYPHS.get(state, "?")


def duration(seconds: float | None) -> str:
    """``0.3 s``, ``12.0 s``, ``3:07 min``; empty for None."""
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 100 else f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def console() -> Console:
    """Where tables go: as wide as the terminal; wide enough for most log lines where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, markup=False)


def draw(looks: Iterable[Look], *, as_json: bool, history: bool = True) -> Look:
    """Show every look; the last one. Without ``history``, lines do not tell again what was there at the first look."""
    with _drawing(as_json, history) as drawing:
        last = None
        for last in looks:
            drawing.show(last)
    if last is None:
        raise ValueError("there is nothing to draw")
    return last


@contextmanager
def _drawing(as_json: bool, history: bool) -> Iterator[Drawing]:
    if as_json:
        yield _Json()
    elif sys.stdout.isatty():
        with _live() as live:
            yield live
    else:
        yield Lines(sys.stdout.write, history=history)
        sys.stdout.flush()


class _Json:
    """One JSON object for each change, as the agent gave it, with ``waits`` and ``trouble`` beside it."""

    def show(self, look: Look) -> None:
        told = {"dag": look.dag.raw, "waits": look.waits, "trouble": look.trouble}
        print(json.dumps(told, ensure_ascii=False), flush=True)


class Lines:
    """A line for each node that changed, each new log line, each new reason to wait; nothing is ever redrawn.

    Of an undo, the last node comes first. Without ``history``, what was there at the first look is taken as told."""

    def __init__(self, write: Any, *, prefix: str = "", history: bool = True) -> None:
        self._history = history
        self._write = write
        self._prefix = prefix
        self._states: dict[str, tuple[str, str]] = {}
        self._logs: dict[str, int] = {}
        self._told: dict[str, float] = {}
        """Shapes of reasons, and when each was told."""
        self._progressed: dict[str, float] = {}
        """When each node's progress was told."""
        self._begun = time.monotonic()
        self._dag: tuple[str, str] = ("", "")

    def show(self, look: Look) -> None:
        dag = look.dag
        if not self._dag[0]:
            self._say(f"{dag.name}  {dag.id}  {dag.stages} stages")
            if not self._history:
                self._take_as_told(dag)
        nodes = list(enumerate(dag.nodes, 1))
        for index, node in reversed(nodes) if dag.operator == ROLLBACK else nodes:
            self._show_node(index, node, look)
        self._show_waits(look)
        if dag.finished and self._dag != (dag.state, dag.operator):
            took = duration(dag.end - dag.start) if 0 < dag.start <= dag.end else ""
            self._say(f"{glyph(dag.state, dag.operator)} {dag.name}: {dag.outcome}" + (f" in {took}" if took else ""))
        self._dag = (dag.state, dag.operator)

    def _take_as_told(self, dag: DagShown) -> None:
        for node in dag.nodes:
            self._states[node.id] = (node.state, node.operator)
            self._logs |= {each.id: len(each.logs) for each in node.sub_tasks}

    def _show_node(self, index: int, node: NodeShown, look: Look) -> None:
        """A beginning comes before the node's log lines, an end after them."""
        if node.state in FINISHED:
            self._show_logs(node)
        state = (node.state, node.operator)
        if node.state != PENDING and state != self._states.get(node.id):
            took = duration(node.seconds(look.now)) if node.state in FINISHED else ""
            undo = "undo " if node.operator == ROLLBACK and node.state != SUCCEED else ""
            sign = glyph(*state)
            self._say(f"{sign} {index:>2}/{look.dag.stages}  {undo}{node.name:<44} {took:>8}  {' '.join(node.agents)}".rstrip())
        self._states[node.id] = state
        if node.state not in FINISHED:
            self._show_logs(node)
        told = _progress_of(node, look.progress)
        if told and time.monotonic() - self._progressed.get(node.id, -_AGAIN_SECONDS) >= _AGAIN_SECONDS:
            self._progressed[node.id] = time.monotonic()
            self._say(f"         ◔ {told}")

    def _show_logs(self, node: NodeShown) -> None:
        for each in node.sub_tasks:
            for line in each.logs[self._logs.get(each.id, 0) :]:
                self._say(f"         │ {line}")
            self._logs[each.id] = len(each.logs)

    def _show_waits(self, look: Look) -> None:
        """A reason is told when it is new; one that differs from what was told in numbers only, every few seconds."""
        now = time.monotonic()
        told: dict[str, float] = {}
        for reason in (*look.waits, *([look.trouble] if look.trouble else [])):
            shape = _MOVING.sub("#", reason)
            told[shape] = self._told.get(shape, -_AGAIN_SECONDS)
            if now - told[shape] >= _AGAIN_SECONDS:
                told[shape] = now
                self._say(f"         … waits: {reason}")
        self._told = told

    def _say(self, text: str) -> None:
        self._write(f"{self._prefix}{time.monotonic() - self._begun:6.1f}s  {text}\n")


@contextmanager
def _live() -> Iterator[Drawing]:
    """A table that is redrawn in place; when it ends, the last picture stays."""
    from rich.live import Live

    picture = _Picture()
    with Live(picture, console=console(), refresh_per_second=8, transient=False):
        yield picture


class _Picture:
    """What Rich draws: the last look, with times that go on between looks."""

    def __init__(self) -> None:
        self._look: Look | None = None
        self._shown_at = 0.0

    def show(self, look: Look) -> None:
        self._look, self._shown_at = look, time.monotonic()

    def __rich_console__(self, console: Console, options: Any) -> Iterator[RenderableType]:
        from rich.text import Text

        if self._look is None:
            return
        look, now = self._look, self._look.now + time.monotonic() - self._shown_at
        yield Text.assemble(*_headline(look.dag, now))
        yield node_table(look, now)
        for reason in look.waits:
            yield Text(f"  … waits: {reason}", style="yellow")
        if look.trouble:
            yield Text(f"  ! {look.trouble}", style="bold red")


def _headline(dag: DagShown, now: float) -> list[tuple[str, str]]:
    took = (dag.end if dag.finished else now) - dag.start if dag.start else 0.0
    return [
        (f"{glyph(dag.state, dag.operator)} {dag.name}", _STYLES.get(dag.state, "")),
        (f"  {dag.id}  stage {dag.stage}/{dag.stages}  {dag.outcome}", ""),
        (f"  {duration(took)}" if took > 0 else "", "dim"),
    ]


def node_table(look: Look, now: float) -> Table:
    """The nodes of a dag as a Rich table. Log lines get the room that is left: they are cut first."""
    from rich.table import Table
    from rich.text import Text

    dag = look.dag
    rows = [_cells(index, node, look.progress, now) for index, node in enumerate(dag.nodes, 1)]
    table = Table(box=None, padding=(0, 1), show_header=False, expand=sys.stdout.isatty())
    for column in range(4):
        wide = min(max((len(row[column]) for row in rows), default=1) or 1, _CELL_MAX)
        table.add_column(width=wide, justify="right" if column in (0, 3) else "left", no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row, node in zip(rows, dag.nodes, strict=True):
        styles = ("dim", _STYLES.get(node.state, ""), "dim", "", "red" if node.state == FAILED else "dim")
        table.add_row(*(Text(text, style=style) for text, style in zip(row, styles, strict=True)))
    return table


def _cells(index: int, node: NodeShown, progress: Mapping[str, str], now: float) -> tuple[str, ...]:
    name = f"{glyph(node.state, node.operator)} {node.name}"
    return (str(index), name, " ".join(node.agents), duration(node.seconds(now)), _progress_of(node, progress) or node.last_line)


def _progress_of(node: NodeShown, progress: Mapping[str, str]) -> str:
    """Of its running sub-tasks, with the agent where there are several."""
    told = [(each.agent, progress[each.id]) for each in node.sub_tasks if each.id in progress]
    return "; ".join(f"{text} ({agent})" if len(node.sub_tasks) > 1 else text for agent, text in told)
