"""Steps that take an agent's installation away and put another one in its place.

Versions lie side by side; which one is current is one link. The agent's home, with its store and keys, stays where it is: only a copy of
the store is put aside, for an undo after a later release has changed its tables. The version before stays on the host until it is
replaced once more.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oboe.hosts.packages import Package, make_package, read_package
from oboe.kit import Run
from oboe.playbooks.host.visit import HostParams, HostStep, Visit, refuse_busy, refuse_wrong

__all__ = ["FinishInstall", "FinishUninstall", "InstallAgent", "PrepareInstall", "PrepareUninstall", "UninstallAgent"]

INSTALL_SECONDS = 5000.0
UPLOAD_SECONDS = 3000.0


class PrepareUninstall(HostStep):
    """Take the host, see that its agent has no work of its own, and note what is there."""

    timeout = 60

    def run(self, run: Run) -> dict[str, Any]:
        with self.visit(run) as visit:
            seen, _ = visit.look()
            return self.taken(visit, seen)

    def taken(self, visit: Visit, seen: Mapping[str, Any]) -> dict[str, Any]:
        refuse_busy(visit.host, seen["answers"])
        visit.take()
        info = (seen["answers"] or {}).get("info") or {}
        agent, current = seen["agent"] or {}, seen["current"]
        python = agent.get("python") or (f"{visit.host.prefix}/versions/{current}/bin/python" if current else "")
        what = f"oboe {info['version']}, {info['identity']}" if info else "no agent answers"
        visit.run.log(f"host {visit.host.name}: {what}; version in use: {current or 'none'}")
        return {
            "running": bool(agent),
            "python": python,
            "current": current,
            "identity": info.get("identity", ""),
            "version": info.get("version", ""),
        }

    def rollback(self, run: Run) -> None:
        self.let_go(run)
        shutil.rmtree(_own_package(run), ignore_errors=True)


class PrepareInstall(PrepareUninstall):
    """Have a package, check that the host fits it, take the host, and note what is there."""

    def run(self, run: Run) -> dict[str, Any]:
        package = _package(run)
        run.log(f"package: oboe {package.version} for Python {package.python} on {package.machine}, {len(package.files)} files")
        with self.visit(run) as visit:
            seen, wrong = visit.look(package)
            refuse_wrong(visit.host, wrong)
            found = self.taken(visit, seen)
        return found | {"digest": package.digest, "new_version": package.version}


class UninstallAgent(HostStep):
    """Stop the agent, put a copy of its store aside, and leave no version in use. Nothing is removed yet, so it can be put back."""

    timeout = 1800

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            refuse_busy(visit.host, visit.answers())
            visit.stop()
            visit.ask("save", timeout=600.0, name=_copy(run))
            before = visit.ask("switch", name="")["before"]
            run.log(f"version {before} is no longer in use" if before else "no version was in use")

    def rollback(self, run: Run) -> None:
        found = self.found(run)
        with self.visit(run) as visit:
            if visit.ask("restore", timeout=600.0, name=_copy(run), use=True)["restored"]:
                run.log("the store is the copy from before: a later release had changed its tables")
            if found["current"]:
                visit.ask("switch", name=found["current"])
                run.log(f"version {found['current']} is in use again")
            if found["running"]:
                visit.start(found["python"])
                visit.expect(version=found["version"], identity=found["identity"])


class InstallAgent(HostStep):
    """Bring the package over, make an environment of it, take it into use, start the agent, and see that it is itself."""

    timeout = 5400

    def run(self, run: Run) -> str:
        found, name = self.found(run), _name(self, run)
        package = _package(run)
        with self.visit(run) as visit:
            _send(visit, package, name)
            made = visit.ask("install", timeout=INSTALL_SECONDS, name=name)
            run.log(f"oboe {made['version']} is installed as {name}")
            visit.ask("switch", name=name)
            visit.start(made["python"])
            visit.expect(version=found["new_version"], identity=found["identity"])
        return name

    def rollback(self, run: Run) -> None:
        name = _name(self, run)
        with self.visit(run) as visit:
            visit.stop()
            visit.ask("switch", name="")
            visit.ask("discard", timeout=600.0, names=[name])
            run.log(f"version {name} is gone")


class FinishInstall(HostStep):
    """The agent is what it was, of the new version; older versions but the last go; let the host go."""

    timeout = 60

    def run(self, run: Run) -> None:
        found = self.found(run)
        with self.visit(run) as visit:
            visit.expect(version=found["new_version"], identity=found["identity"])
            for name in visit.ask("prune", keep=[found["current"]])["gone"]:
                run.log(f"version {name} was removed")
            visit.ask("restore", name=_copy(run), use=False)
            visit.let_go()
        shutil.rmtree(_own_package(run), ignore_errors=True)

    def rollback(self, run: Run) -> None:
        with self.visit(run) as visit:
            visit.take()


class FinishUninstall(HostStep):
    """Every version goes; the agent's home stays; let the host go."""

    timeout = 60
    irreversible = "what was removed is installed again by another operation"

    def run(self, run: Run) -> None:
        with self.visit(run) as visit:
            for name in visit.ask("prune", keep=[])["gone"]:
                run.log(f"version {name} was removed")
            visit.ask("restore", name=_copy(run), use=False)
            visit.let_go()
            run.log(f"the agent's home {visit.host.home} stays, with its store and keys")


def _package(run: Run) -> Package:
    """The one that was named, else one of what this agent runs, made once for each dag."""
    named = run.params(HostParams).package
    if named:
        return read_package(Path(named))
    directory = _own_package(run)
    if not (directory / "package.json").exists() or not (directory / "SHA256SUMS").exists():
        shutil.rmtree(directory, ignore_errors=True)
        return make_package(directory)
    return read_package(directory)


def _own_package(run: Run) -> Path:
    return run.work_dir / "package"


def _name(step: HostStep, run: Run) -> str:
    """Of the version that this dag installs; no other dag uses it."""
    return f"{step.found(run)['new_version']}-{run.dag_key[:8]}"


def _copy(run: Run) -> str:
    """Of the agent's store, beside it."""
    return f"before-{run.dag_key[:8]}"


def _send(visit: Visit, package: Package, name: str) -> None:
    import tarfile  # on first use: every agent loads this module when it starts

    archive = visit.run.work_dir / "package.tar"
    with tarfile.open(archive, "w") as target:
        for each in package.files:
            target.add(package.directory / each, each)
    size = archive.stat().st_size
    try:
        place = visit.ask("receive", name=name)["archive"]
        visit.far.send(archive, place, timeout=UPLOAD_SECONDS, told=lambda sent: visit.run.progress(sent >> 20, size >> 20, "MiB"))
    finally:
        archive.unlink(missing_ok=True)
    visit.run.log(f"the package is on {visit.host.name}, as it was sent: {len(package.files)} files, {size >> 20} MiB")
