"""Watching a dag: how often it looks, what it tells, when it gives up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from oboe.cli.client import Answer
from oboe.cli.dags import read_dag, seconds_of
from oboe.cli.draw import Lines, duration, glyph
from oboe.cli.failure import AnswerError
from oboe.cli.watch import Look, Watch
from oboe.config import Settings
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.values import Address

SETTINGS = Settings(watch_poll_seconds_min=0.2, watch_poll_seconds_max=1.0, watch_patience_seconds=5.0)
GONE = Unreachable("agent.unreachable", "agent 127.0.0.1:2886 does not answer: refused")
NOT_OBOE = Refused("agent.not_obshell", "a web page")
NO_ROUTE = AnswerError(404, "Common.NotFound", "no such route")


def dag(state: str, stage: int = 1, *, told: Any = None, logs: list[str] | None = None) -> dict[str, Any]:
    ran = {"execute_times": 1, "execute_agent": {"ip": "127.0.0.1", "port": 2886}, "task_logs": logs or []}
    sub_task = {"id": "11", "state": state, "operator": "RUN", "additional_data": {"oboe": told} if told else None} | ran
    node = {"id": "11", "name": "Add server", "state": state, "operator": "RUN", "sub_tasks": [sub_task]}
    return {
        "id": "11",
        "dag_id": 11,
        "name": "Cluster scale out",
        "state": state,
        "operator": "RUN",
        "stage": stage,
        "max_stage": 2,
        "nodes": [node],
    }


class Agent:
    """Answers each look at the dag with the next of ``dags`` (the last for ever), and what it waits for with ``waiting``."""

    def __init__(self, *dags: dict[str, Any] | OboeError, waiting: Any = NOT_OBOE, port: int = 2886, others: Sequence[Agent] = ()) -> None:
        self._dags = list(dags)
        self._waiting = waiting
        self._others = {each.address: each for each in others}
        self.address = Address("127.0.0.1", port)
        self.asked: list[str] = []

    def twin(self, address: Address) -> Agent:
        return self._others[address]

    def get(self, path: str, **_: Any) -> Answer:
        self.asked.append(path)
        if path == "/api/v1/ob/info":
            return self._give({"agent_info": [{"ip": each.ip, "port": each.port} for each in (self.address, *self._others)]})
        if path.startswith("/oboe/v1"):
            return self._give(self._waiting)
        return self._give(self._dags.pop(0) if len(self._dags) > 1 else self._dags[0])

    @staticmethod
    def _give(what: Any) -> Answer:
        if isinstance(what, OboeError):
            raise what
        return Answer(200, what, "2026-01-01T00:00:00Z")


class World:
    """Time that passes only in pauses."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def pause(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds


def changes(agent: Agent, world: World) -> Iterator[Look]:
    return Watch(agent, "11", settings=SETTINGS, clock=lambda: world.now, pause=world.pause).changes()  # type: ignore[arg-type]


def test_only_changes_are_told_and_a_finished_dag_ends_it() -> None:
    agent = Agent(dag("RUNNING"), dag("RUNNING"), dag("RUNNING", 2), dag("SUCCEED", 2))
    assert [(look.dag.state, look.dag.stage) for look in changes(agent, World())] == [("RUNNING", 1), ("RUNNING", 2), ("SUCCEED", 2)]


def test_an_oboe_agent_is_looked_at_often_while_the_dag_moves_and_seldom_while_it_stands() -> None:
    world = World()
    standing = [dag("RUNNING", 2)] * 8
    list(changes(Agent(dag("RUNNING"), *standing, dag("SUCCEED", 2), waiting={"contents": []}), world))
    assert world.pauses == [0.2, 0.2, 0.3, 0.45, 0.675, 1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("answer", "pauses"), [(NOT_OBOE, [1.0, 1.0]), (NO_ROUTE, [0.2, 0.2])], ids=["a vendor's", "an older oboe"])
def test_a_vendors_agent_is_looked_at_once_a_second_and_no_agent_is_asked_twice_for_a_route_it_lacks(
    answer: OboeError, pauses: list[float]
) -> None:
    world, agent = World(), Agent(dag("RUNNING"), dag("RUNNING", 2), dag("SUCCEED", 2), waiting=answer)
    list(changes(agent, world))
    assert (world.pauses, agent.asked.count("/oboe/v1/dags/11")) == (pauses, 1)


def test_another_agent_of_the_cluster_is_asked_when_the_first_one_goes_away() -> None:
    stranger = Agent(AnswerError(404, "Task.NotFound", "no such dag"), port=2)
    gone, other = Agent(GONE, port=1), Agent(dag("RUNNING", 2), dag("RUNNING", 2), dag("SUCCEED", 2), port=3)
    first = Agent(dag("RUNNING"), GONE, others=(gone, stranger, other))
    told = [(look.dag.state, look.dag.stage, look.trouble) for look in changes(first, World())]
    said = f"{GONE.message}; agent 127.0.0.1:3 is asked from now on"
    assert told == [("RUNNING", 1, ""), ("RUNNING", 1, said), ("RUNNING", 2, ""), ("SUCCEED", 2, "")]


def test_a_dag_of_one_agent_is_asked_of_nobody_else() -> None:
    first = Agent(dag("RUNNING") | {"id": "22130706433259031"}, GONE, dag("SUCCEED", 2), others=(Agent(dag("SUCCEED"), port=3),))
    assert [look.trouble for look in changes(first, World())] == ["", GONE.message, ""]


def test_a_dag_that_waits_as_a_whole_says_so() -> None:
    paused = dag("RUNNING") | {"additional_data": {"oboe": {"waits_for": "paused by ann: lunch"}}}
    assert next(changes(Agent(paused, dag("SUCCEED")), World())).waits == ("paused by ann: lunch",)


@pytest.fixture
def two_hours_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "HERE-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        ({"contents": [{"why": "primary age 7.2 of 10 s", "agent": "127.0.0.1:2886"}]}, ("primary age 7.2 of 10 s (127.0.0.1:2886)",)),
        (
            {"contents": [{"why": "primary age 7.2 of 10 s", "agent": "127.0.0.1:2886", "tries": 3, "gives_up": "2026-11-21T03:14:10.5Z"}]},
            ("primary age 7.2 of 10 s (127.0.0.1:2886, try 3, gives up 05:14:10)",),
        ),
        ({"contents": ["an approval"]}, ("an approval",)),
        ({"waits": []}, ()),
    ],
)
def test_what_the_dag_waits_for_is_told_in_the_time_of_here(told: Any, waits: tuple[str, ...], two_hours_east: None) -> None:
    looks = list(changes(Agent(dag("RUNNING"), dag("SUCCEED"), waiting=told), World()))
    assert [look.waits for look in looks] == [waits, ()]


def test_what_a_sub_task_says_itself_is_enough() -> None:
    agent = Agent(dag("RUNNING", told={"waits_for": "primary age"}), dag("SUCCEED"))
    assert next(changes(agent, World())).waits == ("primary age",)
    assert "/oboe/v1/dags/11/waiting" not in agent.asked


def test_an_agent_that_is_away_for_a_while_is_waited_for_and_said_to_be_away() -> None:
    looks = list(changes(Agent(dag("RUNNING"), GONE, GONE, dag("SUCCEED")), World()))
    assert [(look.dag.state, look.trouble) for look in looks] == [("RUNNING", ""), ("RUNNING", GONE.message), ("SUCCEED", "")]


def test_an_agent_that_stays_away_ends_the_watch() -> None:
    world = World()
    with pytest.raises(Unreachable):
        list(changes(Agent(dag("RUNNING"), GONE), world))
    assert 5.0 < world.now < 7.0


def test_an_agent_that_was_never_there_is_not_waited_for() -> None:
    with pytest.raises(Unreachable):
        next(changes(Agent(GONE), World()))


def test_lines_tell_a_log_line_and_a_reason_once() -> None:
    told: list[str] = []
    lines = Lines(told.append)
    for logs in (["a"], ["a"], ["a", "b"]):
        lines.show(Look(read_dag(dag("RUNNING", logs=logs)), 0.0, ("primary age",)))
    assert [" ".join(line.split("s  ", 1)[1].split()) for line in told] == [
        "Cluster scale out 11 2 stages",
        "▶ 1/2 Add server 127.0.0.1:2886",
        "│ a",
        "… waits: primary age",
        "│ b",
    ]


def test_a_reason_whose_numbers_move_is_not_told_at_every_look() -> None:
    told: list[str] = []
    lines = Lines(told.append)
    for age in range(20):
        lines.show(Look(read_dag(dag("RUNNING")), 0.0, (f"primary age {age}.5 of 10 s", "an approval")))
    assert [line.split("waits: ")[1].strip() for line in told if "waits" in line] == ["primary age 0.5 of 10 s", "an approval"]


def test_progress_is_told_and_not_at_every_look() -> None:
    told: list[str] = []
    lines = Lines(told.append)
    task = dag("RUNNING")["nodes"][0]["sub_tasks"][0]["id"]
    for done in (3, 4):
        shown = {"id": task, "state": "RUNNING", "additional": {"progress": {"done": done, "total": 12, "unit": "files"}}}
        look = next(changes(Agent(dag("RUNNING"), waiting={"sub_tasks": [shown], "waits": []}), World()))
        lines.show(look)
    assert [line.split("◔")[1].split() for line in told if "files" in line] == [["3", "of", "12", "files,", "25", "%"]]


@pytest.mark.parametrize("progress", [None, "much", {}, {"done": "x", "total": 3}, {"done": 1}, [1, 2]])
def test_what_is_no_progress_is_not_told(progress: Any) -> None:
    task = {"id": "31", "state": "RUNNING", "additional": {"progress": progress}}
    assert next(changes(Agent(dag("RUNNING"), waiting={"sub_tasks": [task]}), World())).progress == {}


def two(state: str, operator: str, first: tuple[str, str], second: tuple[str, str], logs: list[str]) -> Look:
    """A look at a dag of two nodes, each a state and an operator; the second one logged."""
    made = dag(state, logs=logs)
    (node,) = made["nodes"]
    sub_tasks = node["sub_tasks"]
    nodes = [
        node | {"id": "1", "name": "one", "state": first[0], "operator": first[1], "sub_tasks": []},
        node | {"id": "2", "name": "two", "state": second[0], "operator": second[1], "sub_tasks": sub_tasks},
    ]
    return Look(read_dag(made | {"operator": operator, "nodes": nodes}), 0.0)


def test_after_an_operator_only_what_is_new_is_told_and_an_undo_from_the_end() -> None:
    told: list[str] = []
    lines = Lines(told.append, history=False)
    lines.show(two("RUNNING", "ROLLBACK", ("PENDING", "ROLLBACK"), ("PENDING", "ROLLBACK"), ["done"]))
    lines.show(two("SUCCEED", "ROLLBACK", ("SUCCEED", "ROLLBACK"), ("SUCCEED", "ROLLBACK"), ["done", "undone"]))
    assert [" ".join(line.split("s  ", 1)[1].split()) for line in told] == [
        "Cluster scale out 11 2 stages",
        "│ undone",
        "↩ 2/2 two 127.0.0.1:2886",
        "↩ 1/2 one",
        "↩ Cluster scale out: rolled back",
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T08:00:00+08:00", 0.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("2024-01-10T10:21:31.650764119+08:00", 1704853291.650764),
        ("2024-01-10T10:21:31.7+08:00", 1704853291.7),
        (None, 0.0),
    ],
)
def test_times_of_the_wire_are_read(text: str | None, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("render", "shown"),
    [
        (lambda: glyph("SUCCEED", "ROLLBACK"), "↩"),
        (lambda: glyph("SUCCEED", "PASS"), "»"),
        (lambda: glyph("FAILED", "CANCEL"), "✘"),
        (lambda: duration(12.04), "12.0 s"),
        (lambda: duration(187), "3:07 min"),
        (lambda: duration(None), ""),
    ],
)
def test_states_and_times_are_short(render: Callable[[], str], shown: str) -> None:
    assert render() == shown
