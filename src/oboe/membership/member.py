"""A member of a cluster, as the others know it, and the row it is kept as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from oboe.domain.values import Address, Identity

__all__ = ["Member", "member_from_row", "member_row", "numbered"]


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
    number: int = 0
    """Given once by its cluster, for the ids of its own dags; 0: none yet."""

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


def numbered(member: Member, given: Mapping[str, int]) -> tuple[Member, dict[str, int]]:
    """The member with its number, and all numbers that its cluster has given.

    A number belongs to an agent's home, by its key pair: a home that was made anew begins to count its dags anew."""
    home = f"{member.address} {sha256(member.public_key.encode()).hexdigest()[:16]}"
    number = given.get(home)
    if number is None:
        taken = set(given.values())
        number = member.number if member.number and member.number not in taken else max(taken, default=0) + 1
    return replace(member, number=number), {**given, home: number}
