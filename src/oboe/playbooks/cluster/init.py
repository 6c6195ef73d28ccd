"""*Initialize cluster*: from a MASTER and its FOLLOWERs to a running cluster of CLUSTER AGENTs.

The MASTER's database is the primary, every follower's a standby cloned from it. The dag is kept by the MASTER; what must happen
on a follower is a dag of that follower, led from here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import msgspec

from oboe.database.port import Driver, Instance
from oboe.domain.errors import Interrupted, StepFailed, TryAgain, Unreachable
from oboe.domain.model import Maintenance
from oboe.domain.values import Address, HomeKind, Identity, MaintenanceKind
from oboe.kit import Run, Secret, Sketch, Step, playbook
from oboe.membership.link import ClusterLink
from oboe.membership.local import LocalAgent
from oboe.membership.member import Member
from oboe.membership.verbs import Become, Configure, ConfigureAnswer
from oboe.playbooks.agent.observer import (
    DestroyParams,
    StartParams,
    StopParams,
    WorkdirParams,
    deploy_instance,
    have_running,
    remove_instance,
    start_instance,
)
from oboe.playbooks.agent.sync_from_cluster import SyncParams, synchronize
from oboe.playbooks.leading import copy_lines, end_of, lead, lead_to_end, let_go, reach
from oboe.remote.authority import Authority
from oboe.remote.messages import Nothing

__all__ = ["InitParams", "initialize_cluster"]

FIRST_LEASE_SECONDS = 60.0
"""The MASTER is the first maintainer: followers that are converted earlier leave it the lease for so long."""

STORE_USER = "oboe"
"""The database user of the agents' own."""


class InitParams(msgspec.Struct):
    agents: list[str]
    """Every member, the MASTER first."""
    create_proxyro_user: bool = False
    proxyro_password: Secret = Secret("")
    import_script: bool = False


class _InitStep(Step):
    resumable = True
    timeout = 900


class IntegrateConfig(_InitStep):
    """Merge the configuration of every member into an instance on its host."""

    def run(self, run: Run) -> dict[str, Any]:
        local = run.use(LocalAgent)
        run.log("get all agents")
        members = [_member(local, Address.parse(text)) for text in run.params(InitParams).agents]
        run.log("agents: " + ", ".join(str(member.address) for member in members))
        run.log("get global config")
        run.log("set root password")
        run.log("init all zone config")
        for zone in dict.fromkeys(member.zone for member in members):
            run.log(f"build {zone} zone config")
            run.log(f"merge {zone} zone config")
        instances: dict[str, Any] = {}
        taken: dict[str, list[int]] = {}
        for member in members:
            run.log(f"Integrating {member.address} agent config")
            run.log(f"get {member.address} agent config")
            run.log(f"merge {member.address} agent config")
            settings = local.settings_for(member)
            ports = taken.setdefault(member.address.ip, [])
            instance = _configure(run, member, settings, ports)
            ports += [instance.mysql_port, instance.rpc_port]
            instances[str(member.address)] = asdict(instance)
            run.log(f"fill {member.address} agent config")
        run.log("setting bootstrap config")
        return instances

    def rollback(self, run: Run) -> None:
        """Nothing was touched."""


class CreateWorkdirs(_InitStep):
    """Directories and certificates, on every host."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        instance = _instance(run, run.agent)
        authority = Authority.load(local.text("authority_certificate"), _secret(local, "authority_key"))
        issued = authority.database_certificate(instance.ip)
        params = WorkdirParams(instance, issued.ca, issued.certificate, Secret(issued.key))
        if run.agent == run.here:
            deploy_instance(run, params)
        else:
            _lead(run, "Create observer workdir", params, timeout=300)

    def rollback(self, run: Run) -> None:
        """Every host's database is ended, its directories removed."""
        instance = _instance(run, run.agent)
        if run.agent == run.here:
            remove_instance(run, instance)
        else:
            _lead(run, "Destroy observer workdir", DestroyParams(instance), timeout=300)


class StartObservers(_InitStep):
    """The primary starts; a standby's host is checked for what it will need."""

    skippable = True

    def run(self, run: Run) -> None:
        instance = _instance(run, run.agent)
        if run.agent == run.here:
            invited = sorted({Instance(**kept).ip for kept in run.result("Integrate config").values()})
            start_instance(run, StartParams(instance, "primary", invited=invited))
        else:
            run.log("start observer")
            _lead(run, "Start observer", StartParams(instance, "check"), timeout=120)

    def rollback(self, run: Run) -> None:
        """Every host's database is ended."""
        instance = _instance(run, run.agent)
        if run.agent == run.here:
            run.use(Driver).stop(instance, graceful=False, run=run)
        else:
            _lead(run, "Stop observer", StopParams(instance), timeout=120)


class Bootstrap(_InitStep):
    """Wait until the primary is old enough to be cloned, then clone every standby, all at once."""

    grace = 30

    def run(self, run: Run) -> None:
        run.log("try to connect to observer")
        standbys = [text for text in run.params(InitParams).agents if text != str(run.here)]
        primary = have_running(run, _instance(run, run.here))
        if not standbys:
            return
        _wait_for_age(run, primary)
        source = str(primary.endpoint)
        led = {}
        for text in standbys:
            agent = Address.parse(text)
            instance = _instance(run, agent)
            run.log(f"bootstrap cmd: clone {instance.endpoint} from {source}")
            led[agent] = lead(run, agent, "Start observer", StartParams(instance, "clone", source=source), name=f"clone {agent}")
        try:
            for child in led.values():
                copy_lines(run, "Start observer", end_of(run, child, "the clone", timeout=600))
        except (StepFailed, Interrupted):
            let_go(run, *led.values())
            raise

    def rollback(self, run: Run) -> None:
        """The standbys are ended."""
        for text in run.params(InitParams).agents:
            agent = Address.parse(text)
            if agent != run.here:
                lead_to_end(run, agent, "Stop observer", StopParams(_instance(run, agent)), timeout=120)


class MigrateTable(_InitStep):
    """Our schema, and our own database user, on the primary."""

    def run(self, run: Run) -> None:
        run.log("try to connect to observer")
        local = run.use(LocalAgent)
        password = local.secret("store_password") or Secret(secrets.token_urlsafe(24))
        local.remember(store_password=password)
        instance = have_running(run, _instance(run, run.here))
        run.use(Driver).create_store_user(instance, _current_root(run), STORE_USER, password)
        run.use(ClusterLink).create_schema()

    def rollback(self, run: Run) -> None:
        """Schema and user are dropped."""
        with _unless_away(run):
            run.use(Driver).drop_store(_instance(run, run.here), _current_root(run), STORE_USER)
        run.use(LocalAgent).forget("store_password")


class ModifyPassword(_InitStep):
    """Root gets the password that was configured."""

    cancellable = False

    def run(self, run: Run) -> None:
        run.log("try to connect to observer")
        instance, wanted = have_running(run, _instance(run, run.here)), _wanted_root(run)
        run.log("Successfully connected to OceanBase. Try to modify password.")
        run.use(Driver).set_root_password(instance, _current_root(run), wanted)
        run.log("Save root password")
        run.log("Reload oceanbase connection")
        run.log("Reload oceanbase connection successfully")

    def rollback(self, run: Run) -> None:
        """Root has the empty password again."""
        with _unless_away(run):
            run.use(Driver).set_root_password(_instance(run, run.here), _current_root(run), Secret(""))


class CreateUser(_InitStep):
    """The read-only user that a proxy logs in with."""

    def run(self, run: Run) -> None:
        instance, password = have_running(run, _instance(run, run.here)), run.params(InitParams).proxyro_password
        run.use(Driver).create_proxy_user(instance, _current_root(run), password)

    def rollback(self, run: Run) -> None:
        """The user is dropped."""
        with _unless_away(run):
            run.use(Driver).drop_proxy_user(_instance(run, run.here), _current_root(run))


class MigrateData(_InitStep):
    """Members, zones, servers and the cluster's name go into the cluster's home."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        run.log("migrate all agents")
        have_running(run, _instance(run, run.here))
        rows = []
        for text in run.params(InitParams).agents:
            member = _member(local, Address.parse(text))
            instance = _instance(run, member.address)
            rows.append((member, instance, member.address == run.here))
        version = run.use(Driver).version()
        link = run.use(ClusterLink)
        link.fill(rows, cluster_id=local.cluster_id(), cluster_name=local.cluster_name(), version=version)
        link.lease().reserve(local.address, FIRST_LEASE_SECONDS)
        link.clone_obstacle(hasten=True)  # so that a scale out that follows need not wait for it

    def rollback(self, run: Run) -> None:
        """The rows are removed."""
        with _unless_away(run):
            run.use(ClusterLink).empty()


class ConvertFollowers(_InitStep):
    """Every follower is told that it is a CLUSTER AGENT now."""

    cancellable = False

    def run(self, run: Run) -> None:
        self._tell(run, Identity.CLUSTER_AGENT)

    def rollback(self, run: Run) -> None:
        """They are FOLLOWERs again."""
        self._tell(run, Identity.FOLLOWER)

    def _tell(self, run: Run, identity: Identity) -> None:
        for text in run.params(InitParams).agents:
            agent = Address.parse(text)
            if agent != run.here:
                if identity is Identity.CLUSTER_AGENT:
                    run.log(f"convert agent {agent} to cluster agent")
                reach(run, agent, "agent.become", Become(int(identity)), Nothing)


class SynchronizeAll(_InitStep):
    """Every member copies what the cluster knows."""

    def run(self, run: Run) -> None:
        local = run.use(LocalAgent)
        params = SyncParams(_wanted_root(run), _secret(local, "store_password"), _secret(local, "authority_key"), start=True)
        if run.agent == run.here:
            synchronize(run, params)
        else:
            run.log("encrypt password for agent")
            _lead(run, "Synchronize agent from cluster", params, timeout=180)

    def rollback(self, run: Run) -> None:
        """The MASTER's members are what they were before; a follower's, and what else it copied, when its identity goes back."""
        if run.agent == run.here:
            run.use(LocalAgent).undo_cluster(master=run.here)


class ConvertMaster(_InitStep):
    """The master itself."""

    cancellable = False

    def run(self, run: Run) -> None:
        run.log("convert self to cluster agent")
        run.use(LocalAgent).become(Identity.CLUSTER_AGENT)
        run.log("sync agent binary")
        run.log("synchronize agent from oceanbase")

    def rollback(self, run: Run) -> None:
        """It is the MASTER again."""
        run.use(LocalAgent).become(Identity.MASTER)


class ImportScript(_InitStep):
    """OceanBase imports its script for tenants; other products have none."""

    skippable = True

    def run(self, run: Run) -> None:
        run.log(f"{run.use(Driver).name} has no tenant script to import")

    def rollback(self, run: Run) -> None:
        """Nothing was imported."""


@playbook(
    "Initialize cluster",
    home=HomeKind.AGENT,
    params=InitParams,
    maintenance=Maintenance(MaintenanceKind.GLOBAL),
    started_by="oboe cluster init",
    example=InitParams(["10.0.0.1:2886", "10.0.0.2:2886"]),
)
def initialize_cluster(params: InitParams, sketch: Sketch) -> None:
    """Bring up the cluster that was configured."""
    everyone = [Address.parse(text) for text in params.agents]
    sketch.stage("Integrate config", IntegrateConfig)
    sketch.stage("Create observer workdir", CreateWorkdirs, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Start observer", StartObservers, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Cluster boostrap", Bootstrap)
    sketch.stage("Migrate table", MigrateTable)
    sketch.stage("Modify password", ModifyPassword)
    if params.create_proxyro_user:
        sketch.stage("Create user", CreateUser)
    sketch.stage("Migrate data", MigrateData)
    sketch.stage("Convert follower to cluster agent", ConvertFollowers)
    sketch.stage("Synchronize agent from cluster", SynchronizeAll, agents=everyone, parallel=True, at_home=True)
    sketch.stage("Convert master to cluster agent", ConvertMaster)
    if params.import_script:
        sketch.stage("Import script for tenant", ImportScript)
    sketch.stage("Synchronize agent from cluster", SynchronizeAll, agents=everyone, parallel=True, at_home=True)


def _wait_for_age(run: Run, primary: Instance) -> None:
    """Wait until this host's new primary may be cloned; the wait is told in the log."""
    driver, seen = run.use(Driver), [0.0]
    wanted = driver.primary_age_seconds

    def old_enough() -> bool:
        seen[0] = driver.observe(primary, password=Secret("")).age_seconds
        return seen[0] >= wanted

    if not old_enough():
        run.log(f"the primary is {seen[0]:.1f} s old; a clone waits until it is {wanted:.0f} s old")
        run.wait_until(old_enough, why=lambda: f"primary age ≥ {wanted:.0f} s, now {seen[0]:.1f}", timeout=60, every=0.25)


def _lead(run: Run, title: str, params: Any, *, timeout: float) -> None:
    lead_to_end(run, run.agent, title, params, timeout=timeout)


def _configure(run: Run, member: Member, settings: dict[str, str], taken: list[int]) -> Instance:
    answer = reach(run, member.address, "instance.configure", Configure(settings, member.zone, list(taken)), ConfigureAnswer)
    for warning in answer.warnings:
        run.warn(warning)
    return answer.instance


def _instance(run: Run, agent: Address) -> Instance:
    kept = run.result("Integrate config")
    if kept is None or str(agent) not in kept:
        raise StepFailed("instance.unknown", f"no database was configured for {agent}")
    return Instance(**kept[str(agent)])


def _member(local: LocalAgent, address: Address) -> Member:
    member = local.member(address)
    if member is None:
        raise StepFailed("agent.unknown", f"{address} is no member any more")
    return member


def _secret(local: LocalAgent, name: str) -> Secret:
    value = local.secret(name)
    if value is None:
        raise StepFailed("secret.missing", f"this agent has no {name.replace('_', ' ')}")
    return value


def _wanted_root(run: Run) -> Secret:
    return run.use(LocalAgent).secret("root_password") or Secret("")


@contextmanager
def _unless_away(run: Run) -> Iterator[None]:
    """An undo in the primary. One that does not answer is not waited for: the rest of the undo removes it as a whole."""
    try:
        yield
    except (Unreachable, TryAgain) as error:
        run.warn(f"not undone in the primary, which is removed as a whole: {error.message}")


def _current_root(run: Run) -> Secret:
    """Root's password at this moment: empty until *Modify password* has run, and again after its undo."""
    driver = run.use(Driver)
    instance = _instance(run, run.here)
    return next((one for one in (_wanted_root(run), Secret("")) if driver.accepts(instance, "root", one)), Secret(""))
