"""What *Start OB* and *Stop OB* have done on every agent: *Start observer* and *Stop observer*, led by signals.

They hold the agent from its preparations until the word that all is over. No stage fails to wait: a wait is RUNNING.
"""

from __future__ import annotations

import msgspec

from oboe.database.port import Driver, Instance
from oboe.domain.errors import Interrupted, OboeError, StepFailed
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind, MaintenanceKind
from oboe.kit import Run, Sketch, Step, playbook
from oboe.membership.local import LocalAgent
from oboe.membership.owed import Owed
from oboe.playbooks.agent.kill_observer import end_process

__all__ = ["START", "STOP", "TogetherParams", "own_instance", "start_again", "start_together", "stop_again", "stop_here", "stop_together"]

START = "Start observer, led"
STOP = "Stop observer, led"
"""Registered names; the dags are named as the catalogue names them."""

_LED_SECONDS = 3600.0
_GLOBAL = Maintenance(MaintenanceKind.GLOBAL)
_LOST = ("database.redo_recycled", "database.diverged")


class TogetherParams(msgspec.Struct):
    main_dag_id: str
    """The leader, as clients name it."""
    target: bool
    """Whether this agent's database is meant; the others are only held."""
    by_word: bool = False
    """Stop only when the leader says so: the database ends in the last node, gracefully."""
    graceful: bool = False


def own_instance(run: Run) -> Instance:
    instance = run.use(LocalAgent).instance()
    if instance is None:
        raise StepFailed("database.none", "this agent has no database")
    return instance


def start_again(run: Run) -> bool:
    """Start this host's database as what it was. Whether it ran before. One that cannot go on fails with the way on."""
    instance, driver = own_instance(run), run.use(Driver)
    ran_before = run.first("ran_before", lambda: bool(driver.observe(instance, timeout=1.0).pid))
    running = bool(driver.observe(instance, timeout=1.0).pid)
    if running:
        run.log("observer started.")
    else:
        for line in ("start observer", "check if first start", "not first start, skip require check", "generate start cmd"):
            run.log(line)
    try:
        driver.start(instance, source=None, run=run)
    except StepFailed as error:
        if error.code not in _LOST:
            raise
        own = run.use(LocalAgent)
        hint = f"oboe cluster rebuild {own.address}: it is wiped, and cloned anew from the primary"
        raise StepFailed(error.code, error.message, hint=hint) from error
    if not running:
        run.log("update self OB port")
        run.log("update OB port in all_agent")
    return ran_before


def stop_again(run: Run) -> None:
    """Undo `start_again`: what ran before goes on."""
    if not run.first("ran_before", lambda: bool((run.own_result or {}).get("ran_before"))):
        stop_here(run, graceful=False)


def stop_here(run: Run, *, graceful: bool) -> None:
    """End this host's database. Its row changes first: it may be the one that keeps the rows."""
    instance, owed = own_instance(run), run.use(Owed)
    owed.server("INACTIVE")
    try:
        end_process(run, instance, graceful=graceful)
    except (OboeError, Interrupted):
        owed.server("ACTIVE")
        raise


class _LedStep(Step):
    resumable = True
    skippable = True
    release_on_failure = True
    timeout = _LED_SECONDS + 60


class StartPreparations(_LedStep):
    """Wait for the word to begin."""

    irreversible = "nothing is touched"

    def run(self, run: Run) -> None:
        run.note(main_dag_id=run.params(TogetherParams).main_dag_id)
        run.log("wait for notification to start task")
        run.log("wait operator to advance")
        run.wait_for("start", timeout=_LED_SECONDS)
        run.log("start to execute the task")


class WaitForEnd(_LedStep):
    """Wait for the word that all is over; a database that is stopped by word is stopped here."""

    irreversible = "what was stopped is started with Start OB"

    def run(self, run: Run) -> None:
        params = run.params(TogetherParams)
        run.log("wait operator to advance")
        if params.target and params.by_word:
            run.wait_for("stop", timeout=_LED_SECONDS)
            stop_here(run, graceful=params.graceful)
        run.wait_for("end", timeout=_LED_SECONDS)


class CheckProcess(_LedStep):
    """There is a database, and whether it runs."""

    irreversible = "nothing is touched"

    def run(self, run: Run) -> None:
        instance = own_instance(run)
        run.log("check if first start")
        run.log("check observer process config")
        if run.use(Driver).observe(instance, timeout=1.0).pid:
            run.log("observer process exist")


class StartObserver(_LedStep):
    """Start the database and wait until it serves."""

    timeout = 900
    grace = 30

    def run(self, run: Run) -> dict[str, bool]:
        return {"ran_before": start_again(run)}

    def rollback(self, run: Run) -> None:
        stop_again(run)


class ExecuteStart(_LedStep):
    """The server is ACTIVE in the cluster's tables, as soon as they can be told."""

    irreversible = "a status is only what is so"

    def run(self, run: Run) -> None:
        run.log("exec start server sql")
        run.use(Owed).server("ACTIVE")


class StopObserver(_LedStep):
    """End the database."""

    irreversible = "start it again with Start OB"
    timeout = 180

    def run(self, run: Run) -> None:
        stop_here(run, graceful=run.params(TogetherParams).graceful)


@playbook(START, home=HomeKind.AGENT, params=TogetherParams, maintenance=_GLOBAL, started_by="Start OB")
def start_together(params: TogetherParams, sketch: Sketch) -> None:
    """This agent's part in *Start OB*."""
    sketch.name = "Start observer"
    sketch.stage("Start preparations", StartPreparations)
    if params.target:
        sketch.stage("Check ob process and config", CheckProcess)
        sketch.stage("Start observer", StartObserver)
        sketch.stage("Execute start observer sql", ExecuteStart)
    sketch.stage("Wait for task to end", WaitForEnd)


@playbook(STOP, home=HomeKind.AGENT, params=TogetherParams, maintenance=_GLOBAL, started_by="Stop OB")
def stop_together(params: TogetherParams, sketch: Sketch) -> None:
    """This agent's part in *Stop OB*."""
    sketch.name = "Stop observer"
    sketch.stage("Start preparations", StartPreparations)
    if params.target and not params.by_word:
        sketch.stage("Stop observer", StopObserver)
    sketch.stage("Wait for task to end", WaitForEnd)
