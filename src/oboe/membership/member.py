"""A member of a cluster, as the others know it, and the row it is kept as."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from oboe.domain.values import Address, Identity

__all__ = ["Member", "member_from_row", "member_row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An agent as its cluster knows it; JSON-able."""

    address: Address
    rpc_port: int
    """Where the agent listens for other agents (mutual TLS)."""
    identity: Identity
    zone: str
    version: str
    home_path: str = ""
    os: str = ""
    architecture: str = ""
    public_key: str = ""
    """RSA, base64 of the PKCS#1 DER."""
    database_version: str = ""
    mysql_port: int = 0
    database_rpc_port: int = 0

    def become(self, identity: Identity) -> Member:
        return replace(self, identity=identity)


def member_row(member: Member) -> dict[str, Any]:
    """A flat JSON-able mapping, for the ``member`` tables and for other agents."""
    row = asdict(member)
    row.pop("address")
    return {"ip": member.address.ip, "port": member.address.port, **row, "identity": int(member.identity)}


def member_from_row(row: dict[str, Any]) -> Member:
    """The inverse of `member_row`; members that this release does not know are ignored."""
    known = {key: value for key, value in row.items() if key in Member.__slots__ and key not in ("address", "identity")}
    return Member(address=Address(row["ip"], row["port"]), identity=Identity(row["identity"]), **known)
