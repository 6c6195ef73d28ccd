"""``oboe cluster``: each command sends the request that OBShell's interface documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from oboe.cli.failure import Exit
from oboe.cli.main import oboe

from .replay import replaying

MADE = {"id": "22130706433028861", "name": "Some operation", "state": "READY", "operator": "RUN"}
TARGET = {"ip": "127.0.0.1", "port": 2887}

REQUESTS = [
    (
        ["join", "--master", "127.0.0.1:2887", "--zone", "zone2"],
        "/agent/join",
        {"agentInfo": TARGET, "zoneName": "zone2"},
    ),
    (
        ["join", "--master", "127.0.0.1:2887", "--zone", "zone2", "--master-password-file", "{secret}"],
        "/agent/join",
        {"agentInfo": TARGET, "zoneName": "zone2", "masterPassword": "hush"},
    ),
    (["remove", "127.0.0.1:2887"], "/agent/remove", TARGET),
    (
        ["config", "observer", "memory_limit=2G", "mysql_port=2881"],
        "/observer/config",
        {"observerConfig": {"memory_limit": "2G", "mysql_port": "2881"}, "restart": False, "scope": {"type": "GLOBAL", "target": []}},
    ),
    (
        ["config", "observer", "memory_limit=2G", "--zone", "zone1", "--zone", "zone2"],
        "/observer/config",
        {"observerConfig": {"memory_limit": "2G"}, "restart": False, "scope": {"type": "ZONE", "target": ["zone1", "zone2"]}},
    ),
    (
        ["config", "observer", "mysql_port=1", "--server", "127.0.0.1:2887"],
        "/observer/config",
        {"observerConfig": {"mysql_port": "1"}, "restart": False, "scope": {"type": "SERVER", "target": ["127.0.0.1:2887"]}},
    ),
    (
        ["config", "cluster", "--id", "1", "--name", "demo", "--root-password-file", "{secret}"],
        "/obcluster/config",
        {"clusterId": 1, "clusterName": "demo", "rootPwd": "hush"},
    ),
    (["init"], "/ob/init", {"create_proxyro_user": False, "import_script": False}),
    (
        ["scale-out", "127.0.0.1:2887", "rpc_port=2882", "--zone", "zone2", "--target-password-file", "{secret}"],
        "/ob/scale_out",
        {"agentInfo": TARGET, "zone": "zone2", "obConfigs": {"rpc_port": "2882"}, "targetAgentPassword": "hush"},
    ),
    (["scale-in", "127.0.0.1:2887"], "/ob/scale_in", {"agent_info": TARGET, "force_kill": False}),
    (["scale-in", "127.0.0.1:2887", "--force-kill"], "/ob/scale_in", {"agent_info": TARGET, "force_kill": True}),
    (["start", "--all"], "/ob/start", {"scope": {"type": "GLOBAL", "target": []}}),
    (
        ["start", "--zone", "zone2", "--force-pass", "2213070643302886101"],
        "/ob/start",
        {"scope": {"type": "ZONE", "target": ["zone2"]}, "forcePassDag": {"id": ["2213070643302886101"]}},
    ),
    (
        ["stop", "--server", "127.0.0.1:2887", "--force"],
        "/ob/stop",
        {"scope": {"type": "SERVER", "target": ["127.0.0.1:2887"]}, "force": True, "terminate": False},
    ),
    (["stop", "--all", "--terminate"], "/ob/stop", {"scope": {"type": "GLOBAL", "target": []}, "force": False, "terminate": True}),
]


@pytest.mark.parametrize("is_dry", [False, True])
@pytest.mark.parametrize(("args", "route", "body"), REQUESTS, ids=lambda value: " ".join(value) if isinstance(value, list) else None)
def test_a_command_sends_the_documented_request(tmp_path: Path, args: list[str], route: str, body: dict[str, Any], is_dry: bool) -> None:
    (tmp_path / "secret").write_text("hush\n")
    said = [word.format(secret=tmp_path / "secret") for word in args] + (["--dry-run"] if is_dry else ["--no-wait"])
    answers = {
        f"/api/v1{route}": (200, json.dumps({"data": {"name": "Some operation", "effects": []} if is_dry else MADE})),
        "/oboe/v1/ready": (200, json.dumps({"data": {"ready": True}})),
    }
    with replaying(extra=answers) as agent:
        done = CliRunner().invoke(oboe, ["cluster", *said], env={"OBOE_AGENT": str(agent.address), "OBOE_PASSWORD": "pw1"})
        asked = [(each.target, each.body) for each in agent.seen]
    assert done.exit_code == 0, done.output
    assert asked == [(f"/api/v1{route}{'?dry_run=true' if is_dry else ''}", body)]
    assert "hush" not in done.output
    assert done.stdout.startswith("Some operation: a dry run" if is_dry else "22130706433028861  Some operation")


def test_without_a_master_the_agent_joins_itself() -> None:
    with replaying(identity="SINGLE", extra={"/api/v1/agent/join": (200, json.dumps({"data": MADE}))}) as agent:
        CliRunner().invoke(oboe, ["cluster", "join", "--zone", "zone1", "--no-wait"], env={"OBOE_AGENT": str(agent.address)})
        assert agent.seen[0].body == {"agentInfo": {"ip": agent.address.ip, "port": agent.address.port}, "zoneName": "zone1"}


def test_status_shows_the_agents_while_the_cluster_cannot_be_asked() -> None:
    statuses = {"127.0.0.1:2886": {"agent": {"ip": "127.0.0.1", "port": 2886, "identity": "CLUSTER AGENT"}, "version": "4", "obState": 0}}
    away = {"error": {"errCode": "Agent.OceanBase.Useless", "message": "no primary (start it)"}}
    answers = {"/api/v1/ob/info": (500, json.dumps(away)), "/api/v1/agents/status": (200, json.dumps({"data": statuses}))}
    with replaying(extra=answers) as agent:
        result = CliRunner().invoke(oboe, ["cluster", "status"], env={"OBOE_AGENT": str(agent.address), "OBOE_PASSWORD": "pw1"})
    assert result.exit_code == 1
    assert "127.0.0.1:2886" in result.stdout
    assert "no process" in result.stdout
    assert "no cluster yet" not in result.stdout
    assert "no primary (start it) [Agent.OceanBase.Useless]" in result.stderr


def test_status_shows_members_databases_and_who_does_not_answer() -> None:
    server = {"svr_ip": "127.0.0.1", "svr_port": 2882, "sql_port": 2881, "agent_port": 2886, "with_rootserver": "YES", "status": "ACTIVE"}
    members = [{"ip": "127.0.0.1", "port": port, "zone": "zone1", "identity": "CLUSTER AGENT", "version": "0.1.0"} for port in (2886, 2887)]
    seen = {"agent_info": members, "obcluster_info": {"id": 1, "name": "demo", "version": "1.4", "topology": {"zone1": [server]}}}
    statuses = {"127.0.0.1:2886": {"obState": 3, "sqlPort": 2881}}
    answers = {"/api/v1/ob/info": (200, json.dumps({"data": seen})), "/api/v1/agents/status": (200, json.dumps({"data": statuses}))}
    with replaying(extra=answers) as agent:
        env = {"OBOE_AGENT": str(agent.address), "OBOE_PASSWORD": "pw1"}
        shown = CliRunner().invoke(oboe, ["cluster", "status"], env=env).stdout.splitlines()
        in_json = CliRunner().invoke(oboe, ["cluster", "status", "--json"], env=env).stdout
    assert shown[0] == "demo  id 1  version 1.4"
    assert "available 2881 primary ACTIVE" in " ".join(shown[2].split())
    assert "agent does not answer" in shown[3]
    assert json.loads(in_json) == {"info": seen, "agents": statuses}


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["scale-out", "127.0.0.1:2887", "rpc_port", "--zone", "z"], Exit.REFUSED),
        (["scale-out", "127.0.0.1:many", "--zone", "z"], Exit.REFUSED),
        (["scale-out", "127.0.0.1:2887"], Exit.USAGE),
        (["config", "cluster", "--id", "0", "--name", "x"], Exit.USAGE),
        (["config", "observer", "a=b", "--zone", "z", "--server", "127.0.0.1:1"], Exit.USAGE),
        (["join", "--zone", "z", "--password-file", "/nowhere"], Exit.REFUSED),
        (["start"], Exit.USAGE),
        (["stop", "--all", "--zone", "z"], Exit.USAGE),
    ],
)
def test_what_is_wrong_with_the_command_line_is_found_before_anything_is_sent(args: list[str], code: Exit) -> None:
    with replaying() as agent:
        refused = CliRunner().invoke(oboe, ["cluster", *args], env={"OBOE_AGENT": str(agent.address), "OBOE_PASSWORD": "pw1"})
        assert agent.seen == []
    assert refused.exit_code == code
