"""A database of the cluster as a row of the cluster's tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oboe.database.port import Endpoint
from oboe.domain.values import Address

__all__ = ["ServerRow", "server_from_row", "server_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRow:
    """A database of the cluster, as its tables keep it."""

    ip: str
    rpc_port: int
    sql_port: int
    zone: str
    agent: Address
    status: str
    with_rootserver: bool = False
    build_version: str = ""

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.ip, self.rpc_port)


def server_from_row(row: Mapping[str, Any]) -> ServerRow:
    return ServerRow(
        ip=row["ip"],
        rpc_port=row["rpc_port"],
        sql_port=row["sql_port"],
        zone=row["zone"],
        agent=Address(row["agent_ip"], row["agent_port"]),
        status=row["status"],
        with_rootserver=bool(row["with_rootserver"]),
        build_version=row["build_version"],
    )


def server_row(row: ServerRow) -> dict[str, Any]:
    return {
        "ip": row.ip,
        "rpc_port": row.rpc_port,
        "sql_port": row.sql_port,
        "zone": row.zone,
        "agent_ip": row.agent.ip,
        "agent_port": row.agent.port,
        "status": row.status,
        "with_rootserver": row.with_rootserver,
        "build_version": row.build_version,
    }
