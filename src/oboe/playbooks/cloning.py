"""What cloning takes wherever it is done: a primary that can be cloned, a clone that shows everything, a standby that follows."""

from __future__ import annotations

import time

from oboe.database.port import Driver, Instance
from oboe.domain.errors import OboeError, Refused, StepFailed
from oboe.kit import Run, Secret
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.playbooks.agent.observer import StartParams, WorkdirParams, deploy_instance, start_instance
from oboe.remote.authority import Authority

__all__ = ["check_follows", "clone_whole", "local_secret", "wait_until_advances", "wait_until_clonable", "workdir_for"]

_WHOLE_TRIES = 3
_LATER_SECONDS = 20.0
"""After so long a table is in the primary's checkpoint without anybody asking for it (measured)."""
_NEW_SECONDS = 120.0
_CATCH_UP_SECONDS = 15.0


def local_secret(run: Run, name: str) -> Secret:
    """What this agent must know."""
    value = run.use(LocalAgent).secret(name)
    if value is None:
        raise StepFailed("secret.missing", f"this agent has no {name.replace('_', ' ')}")
    return value


def workdir_for(run: Run, instance: Instance) -> WorkdirParams:
    """Its directories with a new certificate of the cluster's authority."""
    authority = Authority.load(run.use(LocalAgent).text("authority_certificate"), local_secret(run, "authority_key"))
    issued = authority.database_certificate(instance.ip)
    return WorkdirParams(instance, issued.ca, issued.certificate, Secret(issued.key))


def wait_until_clonable(run: Run, link: ClusterLink) -> None:
    """A clone made too early would never be whole. The log says what is waited for; the primary is asked to hurry."""
    seen = [link.clone_obstacle(hasten=True)]
    if not seen[0]:
        return
    run.log(f"a clone waits for {seen[0]}")

    def clonable() -> bool:
        seen[0] = link.clone_obstacle(hasten=True)
        return not seen[0]

    run.wait_until(clonable, why=lambda: seen[0], timeout=120, every=0.25)


def clone_whole(run: Run, workdir: WorkdirParams, source: str, password: Secret) -> None:
    """Start this host's database as a clone of ``source``, again where it missed tables. ``password`` is root's."""
    driver = run.use(Driver)
    for _ in range(_WHOLE_TRIES):
        began = time.time()
        start_instance(run, StartParams(workdir.instance, "clone", source=source))
        lost = _lost(run, workdir.instance, password, began)
        if not lost:
            return
        run.warn(f"the clone will never show {', '.join(lost)}, made as it began; it is made again in {_LATER_SECONDS:.0f} s")
        driver.destroy(workdir.instance, run)
        _rest(run)
        deploy_instance(run, workdir)
    hint = "RETRY when no tables are being made"
    raise StepFailed("database.clone_not_whole", f"{_WHOLE_TRIES} clones missed tables that were made as they began", hint=hint)


def _rest(run: Run) -> None:
    until = time.monotonic() + _LATER_SECONDS
    run.wait_until(lambda: time.monotonic() >= until, why="the primary's next checkpoint", timeout=_LATER_SECONDS + 30)


def _lost(run: Run, instance: Instance, password: Secret, began: float) -> list[str]:
    """What cannot be read for as long as a whole clone may need to catch up."""
    driver, lost = run.use(Driver), [""]

    def whole() -> bool:
        lost[:] = driver.unreadable_tables(instance, password, began - _NEW_SECONDS)
        return not lost

    try:
        run.wait_until(whole, why=lambda: f"the clone to show {', '.join(lost)}", timeout=_CATCH_UP_SECONDS, every=0.5)
    except Refused as refused:
        run.warn(f"whether the clone shows every table is not known: {refused.message}")
        return []
    except StepFailed:
        return lost
    return []


def check_follows(run: Run, link: ClusterLink, ip: str, mysql_port: int) -> None:
    """It is a standby that follows the primary, and shows the cluster's tables."""
    seen = link.replication_of(ip, mysql_port)
    if seen.role != "STANDBY" or seen.status != "NORMAL":
        raise StepFailed("standby.not_normal", f"the new database is {seen.role or 'silent'} {seen.status}, not STANDBY NORMAL")
    run.wait_until(
        lambda: link.reads_at(ip, mysql_port),
        why="the new database to show the cluster's tables (a clone that never does must be made again)",
        timeout=60,
        every=0.25,
    )
    primary = link.primary()
    if seen.source and seen.source != str(primary.endpoint):
        raise StepFailed("primary.changed", f"the new database follows {seen.source}, the primary is {primary.endpoint}")


def wait_until_advances(run: Run, link: ClusterLink, ip: str, mysql_port: int) -> None:
    """Twice: a standby that has stopped following says NORMAL all the same."""
    seen: set[int] = set()

    def advanced() -> bool:
        try:
            seen.add(link.replication_of(ip, mysql_port).sync_scn)
        except OboeError:
            return False
        return len(seen) >= 3

    run.wait_until(advanced, why=lambda: f"the standby to advance, {max(len(seen) - 1, 0)} of 2", timeout=60, every=0.05)
