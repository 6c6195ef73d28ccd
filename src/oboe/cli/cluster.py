"""``oboe cluster``: make a cluster out of agents, and change it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from oboe.cli.client import API, OWN, AgentClient
from oboe.cli.failure import AnswerError
from oboe.cli.follow import submitted
from oboe.cli.session import Session, address_of, client_command, dry_run_option, print_json, read_secret, wait_option
from oboe.domain.errors import Refused
from oboe.domain.values import Address

__all__ = ["cluster"]


@click.group()
def cluster() -> None:
    """Make a cluster out of agents, and change it."""


@cluster.command()
@click.option("--master", metavar="HOST:PORT", help="The agent to join (default: the one asked, which becomes the MASTER).")
@click.option("--zone", required=True, help="The zone that the asked agent will be in.")
@click.option("--master-password-file", type=click.Path(path_type=Path), help="File with the password of the master's agent.")
@dry_run_option
@wait_option
@client_command
def join(session: Session, *, master: str | None, zone: str, master_password_file: Path | None, dry_run: bool, wait: bool) -> None:
    """Join the agent that is asked to a master, or make it one."""
    with session.client() as client:
        address = address_of(master) if master else Address(str(client.info()["ip"]), int(client.info()["port"]))
        body: dict[str, Any] = {"agentInfo": _agent(address), "zoneName": zone}
        if master_password_file:
            body["masterPassword"] = read_secret(master_password_file).reveal()
        submitted(session, client, f"{API}/agent/join", body, dry_run=dry_run, wait=wait)


@cluster.command()
@click.argument("agent_to_remove", metavar="HOST:PORT")
@dry_run_option
@wait_option
@client_command
def remove(session: Session, agent_to_remove: str, *, dry_run: bool, wait: bool) -> None:
    """Take an agent out of a cluster that is not initialised yet."""
    with session.client() as client:
        body = _agent(address_of(agent_to_remove))
        submitted(session, client, f"{API}/agent/remove", body, dry_run=dry_run, wait=wait)


@cluster.group()
def config() -> None:
    """Say how the databases and the cluster will be, before `oboe cluster init`."""


@config.command()
@click.argument("settings", metavar="NAME=VALUE...", nargs=-1, required=True)
@click.option("--zone", "zones", multiple=True, help="Only for the servers of this zone; may be repeated.")
@click.option("--server", "servers", multiple=True, metavar="HOST:PORT", help="Only for the server of this agent; may be repeated.")
@dry_run_option
@wait_option
@client_command
def observer(session: Session, settings: Sequence[str], *, zones: Sequence[str], servers: Sequence[str], dry_run: bool, wait: bool) -> None:
    """Set parameters of the database servers: of all, of zones, or of single ones."""
    if zones and servers:
        raise click.UsageError("--zone and --server exclude each other")
    scope = "ZONE" if zones else "SERVER" if servers else "GLOBAL"
    target = [str(address_of(each)) for each in servers] if servers else list(zones)
    body = {"observerConfig": _pairs(settings), "restart": False, "scope": {"type": scope, "target": target}}
    with session.client() as client:
        submitted(session, client, f"{API}/observer/config", body, dry_run=dry_run, wait=wait)


@config.command("cluster")
@click.option("--id", "cluster_id", type=click.IntRange(min=1), required=True, help="The cluster's number.")
@click.option("--name", required=True, help="The cluster's name.")
@click.option("--root-password-file", type=click.Path(path_type=Path), help="File with the root password that the cluster is to have.")
@dry_run_option
@wait_option
@client_command
def config_cluster(session: Session, *, cluster_id: int, name: str, root_password_file: Path | None, dry_run: bool, wait: bool) -> None:
    """Set the cluster's number, name and root password."""
    body: dict[str, Any] = {"clusterId": cluster_id, "clusterName": name}
    with session.client() as client:
        if root_password_file:
            secret = read_secret(root_password_file)
            body["rootPwd"] = secret.reveal()
            # It is the one to authenticate with from some moment of the dag on.
            client.candidate = None if dry_run else secret
        submitted(session, client, f"{API}/obcluster/config", body, dry_run=dry_run, wait=wait)


@cluster.command()
@click.option("--create-proxyro-user", is_flag=True, help="Make the user that OBProxy logs in as.")
@click.option("--proxyro-password-file", type=click.Path(path_type=Path), help="File with that user's password.")
@click.option("--import-script", is_flag=True, help="Load the scripts for tenants.")
@dry_run_option
@wait_option
@client_command
def init(
    session: Session, *, create_proxyro_user: bool, proxyro_password_file: Path | None, import_script: bool, dry_run: bool, wait: bool
) -> None:
    """Bring up the databases of all joined agents as one cluster."""
    body: dict[str, Any] = {"create_proxyro_user": create_proxyro_user, "import_script": import_script}
    if proxyro_password_file:
        body["proxyro_password"] = read_secret(proxyro_password_file).reveal()
    with session.client() as client:
        submitted(session, client, f"{API}/ob/init", body, dry_run=dry_run, wait=wait)


@cluster.command("scale-out")
@click.argument("new_agent", metavar="HOST:PORT")
@click.argument("settings", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--zone", required=True, help="The zone of the new server; a new one is made.")
@click.option("--target-password-file", type=click.Path(path_type=Path), help="File with the new agent's own password.")
@dry_run_option
@wait_option
@client_command
def scale_out(
    session: Session, new_agent: str, settings: Sequence[str], *, zone: str, target_password_file: Path | None, dry_run: bool, wait: bool
) -> None:
    """Add the database of another agent to the cluster."""
    password = read_secret(target_password_file).reveal() if target_password_file else ""
    body = {"agentInfo": _agent(address_of(new_agent)), "zone": zone, "obConfigs": _pairs(settings), "targetAgentPassword": password}
    with session.client() as client:
        submitted(session, client, f"{API}/ob/scale_out", body, dry_run=dry_run, wait=wait)


@cluster.command("scale-in")
@click.argument("old_agent", metavar="HOST:PORT")
@click.option("--force-kill", is_flag=True, help="End its database first, and do not wait for an agent that does not answer.")
@dry_run_option
@wait_option
@client_command
def scale_in(session: Session, old_agent: str, *, force_kill: bool, dry_run: bool, wait: bool) -> None:
    """Take an agent and its database out of the cluster; its home is clean afterwards."""
    body = {"agent_info": _agent(address_of(old_agent)), "force_kill": force_kill}
    with session.client() as client:
        submitted(session, client, f"{API}/ob/scale_in", body, dry_run=dry_run, wait=wait)


@cluster.command()
@click.argument("standby", metavar="HOST:PORT")
@dry_run_option
@wait_option
@client_command
def rebuild(session: Session, standby: str, *, dry_run: bool, wait: bool) -> None:
    """Wipe the standby of an agent, which cannot go on, and clone it anew. The primary is never wiped."""
    with session.client() as client:
        submitted(session, client, f"{OWN}/standbys/{address_of(standby)}/rebuild", {}, dry_run=dry_run, wait=wait)


@cluster.command("delete-zone")
@click.argument("zone")
@dry_run_option
@wait_option
@client_command
def delete_zone(session: Session, zone: str, *, dry_run: bool, wait: bool) -> None:
    """Take a zone with all its databases and agents out of the cluster."""
    with session.client() as client:
        submitted(session, client, f"{API}/zone/{zone}", None, dry_run=dry_run, wait=wait, method="DELETE")


def _scope_options(command: Any) -> Any:
    """What is meant: everything, zones, or single servers."""
    for option in (
        click.option("--emergency", is_flag=True, help="Only this host's server, without the others; over its agent's unix socket."),
        click.option("--force-pass", "force_pass", multiple=True, metavar="DAG", help="Let go what this earlier start or stop holds."),
        click.option("--all", "everything", is_flag=True, help="Every server of the cluster."),
        click.option("--server", "servers", multiple=True, metavar="HOST:PORT", help="The server of this agent; may be repeated."),
        click.option("--zone", "zones", multiple=True, help="Every server of this zone; may be repeated."),
    ):
        command = option(command)
    return command


@cluster.command()
@_scope_options
@dry_run_option
@wait_option
@client_command
def start(
    session: Session,
    *,
    zones: Sequence[str],
    servers: Sequence[str],
    everything: bool,
    force_pass: Sequence[str],
    emergency: bool,
    dry_run: bool,
    wait: bool,
) -> None:
    """Start databases of the cluster."""
    with session.client() as client:
        body = _scope(zones, servers, everything, force_pass, of=client if emergency else None)
        submitted(session, client, f"{API}/ob/start", body, dry_run=dry_run, wait=wait)


@cluster.command()
@_scope_options
@click.option("--force", is_flag=True, help="End the databases at once.")
@click.option("--terminate", is_flag=True, help="End the databases at once, after a checkpoint of the primary.")
@dry_run_option
@wait_option
@client_command
def stop(
    session: Session,
    *,
    zones: Sequence[str],
    servers: Sequence[str],
    everything: bool,
    force_pass: Sequence[str],
    emergency: bool,
    force: bool,
    terminate: bool,
    dry_run: bool,
    wait: bool,
) -> None:
    """Stop databases of the cluster; gracefully, where nothing else is said."""
    with session.client() as client:
        body = _scope(zones, servers, everything, force_pass, of=client if emergency else None)
        body |= {"force": force or emergency, "terminate": terminate}
        submitted(session, client, f"{API}/ob/stop", body, dry_run=dry_run, wait=wait)


@cluster.command()
@client_command
def status(session: Session) -> None:
    """Show the cluster, its servers and its agents. While no database of it runs: what the agents say of themselves, and exit code 1."""
    with session.client() as client:
        seen, away = _asked(client, "/ob/info")
        statuses, _ = _asked(client, "/agents/status")
    if session.as_json:
        print_json({"info": seen, "agents": statuses or {}})
    else:
        _print_cluster(seen or _agents_alone(statuses or {}), statuses or {})
    if away is not None:
        raise away


def _asked(client: AgentClient, path: str) -> tuple[Any, AnswerError | None]:
    """What is answered, or why it is not: that the agent cannot know it, or does not say it to just anybody."""
    try:
        return client.get(f"{API}{path}").data, None
    except AnswerError as error:
        if error.status == 401:
            raise
        return None, error


def _agents_alone(statuses: dict[str, Any]) -> dict[str, Any]:
    """As the cluster would tell it, of agents that were asked themselves."""
    return {"agent_info": [{**status["agent"], "zone": "", "version": status["version"]} for status in statuses.values()]}


_DATABASE = {0: "no process", 1: "process, no connection", 2: "restricted", 3: "available"}


def _print_cluster(seen: dict[str, Any], statuses: dict[str, Any]) -> None:
    from rich.table import Table

    from oboe.cli.draw import console

    of = seen.get("obcluster_info") or {}
    servers = {(each["svr_ip"], each["agent_port"]): each for zone in (of.get("topology") or {}).values() for each in zone}
    out = console()
    if "obcluster_info" in seen or not seen.get("agent_info"):
        out.print(f"{of['name']}  id {of['id']}  version {of['version']}" if of.get("name") else "no cluster yet")
    table = Table(box=None, pad_edge=False)
    for column in ("agent", "identity", "zone", "database", "sql port", "role", "status", "agent version"):
        table.add_column(column)
    for agent in seen.get("agent_info") or []:
        server = servers.get((agent["ip"], agent["port"]), {})
        status_ = statuses.get(str(Address(agent["ip"], agent["port"])))
        database = _DATABASE.get(status_.get("obState"), "?") if status_ else "agent does not answer"
        role = "" if not server else "primary" if str(server.get("with_rootserver")).upper() in ("YES", "TRUE") else "standby"
        where = f"{agent['ip']}:{agent['port']}"
        sql_port = str(server.get("sql_port", ""))
        table.add_row(where, agent["identity"], agent["zone"], database, sql_port, role, str(server.get("status", "")), agent["version"])
    out.print(table)


def _scope(
    zones: Sequence[str], servers: Sequence[str], everything: bool, force_pass: Sequence[str], *, of: AgentClient | None = None
) -> dict[str, Any]:
    """``of``: the agent whose own server it is, in an emergency."""
    if of is not None:
        if zones or servers or everything:
            raise click.UsageError("--emergency means this host's own server")
        if not of.is_local():
            hint = "on the agent's host, as root or as the agent's user, with --home or without a password"
            raise Refused("emergency.not_local", f"the unix socket of agent {of.address} cannot be reached", hint=hint)
        servers = [str(of.address)]
    if [bool(zones), bool(servers), everything].count(True) != 1:
        raise click.UsageError("say what is meant: --all, --zone or --server")
    kind = "ZONE" if zones else "SERVER" if servers else "GLOBAL"
    target = [str(address_of(each)) for each in servers] if servers else list(zones)
    body: dict[str, Any] = {"scope": {"type": kind, "target": target}}
    return body | {"forcePassDag": {"id": list(force_pass)}} if force_pass else body


def _agent(address: Address) -> dict[str, Any]:
    return {"ip": address.ip, "port": address.port}


def _pairs(settings: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for each in settings:
        name, equals, value = each.partition("=")
        if not equals or not name:
            raise Refused("config.not_a_pair", f"{each!r} is not NAME=VALUE", hint="for example memory_limit=2G")
        pairs[name] = value
    return pairs
