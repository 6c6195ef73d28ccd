"""What the tests of the life cycle ask and see, beyond the spine's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oboe.cli.dags import SUCCEED, DagShown
from oboe.cli.failure import AnswerError
from oboe.kit.secret import Secret
from oboe.remote import secrecy
from tests.api.client import Received, send_raw
from tests.spine.host import Host
from tests.spine.world import PASSWORD, World, shape

__all__ = ["asked", "everything", "gone", "leaves", "names", "part", "refused", "runs", "scope", "status"]


def asked(host: Host, method: str, path: str, body: Any = None, *, password: str = PASSWORD) -> Received:
    """One request as a client of the network sends it, and the whole answer. The path is that below ``/api/v1``."""
    target = f"/api/v1{path}"
    plain = b"" if body is None else json.dumps(body).encode()
    key = str(host.public("/api/v1/secret")["public_key"])
    sealed = secrecy.seal_request(key, password=Secret(password), uri=target, body=plain)
    return send_raw(host.address.port, method, target, {"X-OCS-Header": sealed.header}, sealed.body)


def scope(*hosts: Host, **more: Any) -> dict[str, Any]:
    return {"scope": {"type": "SERVER", "target": [str(host.address) for host in hosts]}, **more}


def everything(**more: Any) -> dict[str, Any]:
    return {"scope": {"type": "GLOBAL", "target": []}, **more}


def leaves(host: Host, *, force: bool = False) -> dict[str, Any]:
    """The body of a scale in."""
    return {"agent_info": {"ip": host.address.ip, "port": host.address.port}, "force_kill": force}


def runs(host: Host) -> bool:
    return bool(host.public("/api/v1/status")["obState"])


def status(world: World, host: Host) -> str:
    return str(world.store.rows(f"SELECT status FROM server WHERE agent_port = {host.address.port}")[0][0])


def names(dag: DagShown) -> list[str]:
    assert all((node.state, node.operator) == (SUCCEED, "RUN") for node in dag.nodes), shape(dag)
    return [node.name for node in dag.nodes]


def part(world: World, asked: Host, main: DagShown, of: Host) -> dict[str, Any]:
    """The sub dag of a main dag on that agent, as any agent shows it."""
    found = world.get(asked, f"/task/dag/{main.id}", show_details="true")["additional_data"]["sub_dags"]
    return dict(world.get(asked, f"/task/dag/{found[str(of.address)]}", show_details="true"))


def refused(world: World, host: Host, path: str, body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(AnswerError) as told:
        world.client(host).post(f"/api/v1{path}", body)
    return told.value.status, told.value.code


def gone(world: World, host: Host) -> None:
    """It is SINGLE, its home is clean, and the cluster knows nothing of it."""
    assert host.identity == "SINGLE"
    local = host.agent.local
    assert (local.members(), local.instance(), local.zone(), local.cluster_id()) == ([], None, "", 0)
    assert [name for name in ("cluster_key", "authority_key", "root_password", "store_password") if local.secret(name)] == []
    assert not host.base.exists()
    assert host.public("/api/v1/status")["underMaintenance"] is False
    port = host.address.port
    assert port not in world.members() | world.servers()
    assert not world.store.rows("SELECT * FROM maintenance_lock")
