"""Steps that stop and start an agent as it is installed: what *Restart*, *Stop* and *Start OCP agent* are made of."""

from __future__ import annotations

from typing import Any

from oboe.domain.errors import StepFailed
from oboe.kit import Run, Step
from oboe.playbooks.host.visit import HostStep, refuse_busy

__all__ = ["CheckLogin", "Finish", "FinishStopped", "Prepare", "PrepareStart", "StartAgent", "StopAgent", "WaitNode"]


class Prepare(HostStep):
    """Take the host, and see that its agent has no work of its own."""

    timeout = 60

    def run(self, run: Run) -> dict[str, Any]:
        with self.visit(run) as visit:
            seen, _ = visit.look()
            self.refuse(visit.host, seen)
            visit.take()
            python = (seen["agent"] or {}).get("python") or _python_of(visit.host.prefix, seen["current"])
            if not python:
                hint = f"install one: oboe host install-agent {visit.host.name}"
                raise StepFailed("host.not_installed", f"host {visit.host.name} has no agent", hint=hint)
            info = (seen["answers"] or {}).get("info") or {}
            run.log(f"host {visit.host.name}: {'the agent runs' if seen['agent'] else 'no agent runs'}, {python}")
            return {
                "running": bool(seen["agent"]),
                "python": python,
                "identity": info.get("identity", ""),
                "version": info.get("version", ""),
            }

    def refuse(self, host: Any, seen: Any) -> None:
        refuse_busy(host, seen["answers"])

    def rollback(self, run: Run) -> None:
        self.let_go(run)


class PrepareStart(Prepare):
    """Take the host; whatever its agent is doing, it may go on."""

    def refuse(self, host: Any, seen: Any) -> None:
        return


class CheckLogin(HostStep):
    """OCP restarts its privileged helper here. oboe has none: SSH does that work, so a fresh login must work."""

    timeout = 60

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            seen, _ = visit.look()
            run.log(f"logged in to {visit.host.target} as {seen['user']}")

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class StopAgent(HostStep):
    """End every process of the agent; databases go on."""

    timeout = 600

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            refuse_busy(visit.host, visit.answers())
            if not visit.stop():
                run.log(f"no agent runs on {visit.host.name}")

    def rollback(self, run: Run) -> None:
        found = self.found(run)
        if found["running"]:
            with self.visit(run) as visit:
                visit.start(found["python"])
                visit.expect(version=found["version"], identity=found["identity"])


class StartAgent(HostStep):
    """Start the agent, and see that it is what it was."""

    timeout = 600

    def run(self, run: Run) -> None:
        found = self.found(run)
        with self.visit(run) as visit:
            visit.start(found["python"])
            visit.expect(version=found["version"], identity=found["identity"])

    def rollback(self, run: Run) -> None:
        found = self.found(run)
        if not found["running"]:
            with self.visit(run) as visit:
                visit.stop()


class Finish(HostStep):
    """The agent answers; let the host go."""

    timeout = 60

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            visit.expect()
            visit.let_go()

    def rollback(self, run: Run) -> None:
        with self.visit(run) as visit:
            visit.take()


class FinishStopped(Finish):
    """No agent answers; let the host go."""

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            if visit.answers() is not None:
                hint = "somebody has started it again, or its supervisor has: stop that one"
                raise StepFailed("host.agent_runs", f"agent {visit.host.agent} answers again", hint=hint)
            visit.let_go()


class WaitNode(Step):
    """A barrier: what comes after begins when everything before it is done."""

    resumable = True
    timeout = 30

    def run(self, run: Run) -> None:
        run.log("everything before this is done")

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


def _python_of(prefix: str, current: str) -> str:
    return f"{prefix}/versions/{current}/bin/python" if current else ""
