"""*Stop OB*: stop databases of the cluster; kept by the asked agent, because it may leave no cluster to keep it in.

Three ways: gracefully when the word comes (*Execute stop sql*), at once (``force``), and at once after a checkpoint (``terminate``).
A whole zone has a form of its own.
"""

from __future__ import annotations

from oboe.domain.errors import StepFailed, TryAgain, Unreachable
from oboe.domain.model import Maintenance
from oboe.domain.values import HomeKind
from oboe.kit import Run, Sketch, playbook
from oboe.kit.run import Child
from oboe.membership.link import ClusterLink
from oboe.membership.owed import Owed
from oboe.playbooks import gathering
from oboe.playbooks.agent.together import STOP
from oboe.playbooks.gathering import GatheringParams
from oboe.remote.handshake import ask_public

__all__ = ["StopParams", "stop_ob"]

_FREEZE_SECONDS = 60.0
_STOP_SECONDS = 120.0
_ASK_SECONDS = 3.0


class StopParams(GatheringParams):
    freeze: bool = False
    """A checkpoint of the primary first, if it is meant: it starts sooner afterwards. Standbys are read-only."""
    zone_form: bool = False


class _Stop:
    informed = "Inform all agents to prepare to stop observer"
    playbook = STOP
    work = "Stop observer"


class InformStop(_Stop, gathering.Inform):
    """Have an agent make its part, which holds it."""


class MakeSureStop(_Stop, gathering.MakeSure):
    """Every agent waits for the word to begin."""


class MinorFreeze(gathering.MainStep):
    """A checkpoint of the primary, when it is to stop; standbys are skipped."""

    skippable = True
    irreversible = ""

    def run(self, run: Run) -> None:
        link, targets = run.use(ClusterLink), run.params(StopParams).targets
        try:
            primary = link.primary()
        except (Unreachable, TryAgain) as error:
            run.warn(f"nothing is frozen: {error.message}")
            return
        for text in targets:
            if text != str(primary.agent):
                run.log(f"{text} is no primary, it is skipped")
        if str(primary.agent) in targets:
            run.log(f"minor freeze {primary.endpoint}")
            before = link.freeze()
            try:
                run.wait_until(lambda: link.checkpoint() > before, why="the primary's checkpoint to advance", timeout=_FREEZE_SECONDS)
            except StepFailed as error:
                run.warn(f"{error.message}; its next start only takes longer")

    def rollback(self, run: Run) -> None:
        """A checkpoint harms nobody."""


class AdvanceStop(_Stop, gathering.Advance):
    """Give the word."""


class WaitStop(_Stop, gathering.WaitAll):
    """Until the database has ended, where it is meant and nothing more is waited for."""


class ExecuteStop(gathering.MainStep):
    """The word to stop: to the databases that wait for it, and to the zone's row."""

    def run(self, run: Run) -> None:
        params = run.params(StopParams)
        for zone in params.zones:
            run.log("Stop zone")
            run.use(Owed).zone(zone, "INACTIVE")
            run.log(f"Stop {zone}")
        if not params.by_word:
            return
        run.log("Stop observer")
        meant = [child for child in gathering.children_of(run, gathering.End.waited) if str(child.agent) in params.targets]
        for child in meant:
            run.log(f"Stop {child.agent}")
            if run.attempt > 1:
                run.ask(child, "RETRY")
            run.tell(child, "stop")
        for child in meant:
            self._follow(run, child)

    def _follow(self, run: Run, child: Child) -> None:
        def stopped() -> bool:
            now = run.watch(child, lambda status: status, why=f"word from {child.agent}", timeout=30)
            if now.state == "FAILED":
                raise StepFailed("child.failed", f"{child.agent} did not stop: {'; '.join(now.lines[-3:])}")
            try:
                said = ask_public(child.agent, "/api/v1/status", timeout=_ASK_SECONDS)
            except Unreachable:
                return False
            return isinstance(said, dict) and said.get("obState") == 0

        run.wait_until(stopped, why=f"the database of {child.agent} to stop", timeout=_STOP_SECONDS, every=0.1)


class EndStop(gathering.End):
    """Let every agent go."""


_STEPS = gathering.Steps(InformStop, MakeSureStop, AdvanceStop, WaitStop, EndStop)


@playbook(
    "Stop OB",
    home=HomeKind.AGENT,
    params=StopParams,
    maintenance=Maintenance(),
    started_by="oboe cluster stop",
    example=StopParams(["10.0.0.1:2886", "10.0.0.2:2886"], ["10.0.0.2:2886"], ["zone2"], []),
)
def stop_ob(params: StopParams, sketch: Sketch) -> None:
    """Stop databases of the cluster."""
    sql, freeze = ("Execute stop sql", ExecuteStop), ("Minor freeze before stop server", MinorFreeze)
    before = [step for step, wanted in ((sql, params.zone_form), (freeze, params.freeze)) if wanted]
    gathering.draw(sketch, params, _STEPS, before_word=before, after_work=[sql] if params.by_word else [])
