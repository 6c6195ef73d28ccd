"""What an agent knows about itself and its cluster: keyed JSON values, and the members. `Secret` values are sealed at rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oboe.store.database import Database, Session, listed
from oboe.store.encoding import decode, encode
from oboe.store.sealing import Sealer, sealed_json, unsealed

__all__ = ["Facts"]

_GET = "SELECT body FROM fact WHERE name = ?"
_ALL = "SELECT name, body FROM fact ORDER BY name"
_PUT = "REPLACE INTO fact (name, body) VALUES (?, ?)"
_DELETE = "DELETE FROM fact WHERE name IN ({keys})"
_MEMBERS = "SELECT body FROM member ORDER BY ip, port"
_PUT_MEMBER = "REPLACE INTO member (ip, port, body) VALUES (?, ?, ?)"
_REMOVE_MEMBER = "DELETE FROM member WHERE ip = ? AND port = ?"
_REMOVE_MEMBERS = "DELETE FROM member"


class Facts:
    """Each method is one transaction."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def get(self, name: str, default: Any = None) -> Any:
        """The value as plain JSON, secrets as `Secret`."""
        rows = self._database.read(lambda session: session.rows(_GET, (name,)))
        return unsealed(decode(rows[0][0]), self._sealer) if rows else default

    def all(self) -> dict[str, Any]:
        rows = self._database.read(lambda session: session.rows(_ALL))
        return {name: unsealed(decode(body), self._sealer) for name, body in rows}

    def put(self, **values: Any) -> None:
        rows = [(name, self._body(value)) for name, value in values.items()]
        self._database.write(lambda session: session.many(_PUT, rows))

    def delete(self, *names: str) -> None:
        if names:
            self._database.write(lambda session: session.run(*listed(_DELETE, names)))

    def members(self) -> list[dict[str, Any]]:
        """As they were put, in order of address."""
        rows = self._database.read(lambda session: session.rows(_MEMBERS))
        return [unsealed(decode(body), self._sealer) for (body,) in rows]

    def put_member(self, row: dict[str, Any]) -> None:
        """Add or replace the member named by its ``ip`` and ``port``."""
        self._database.write(lambda session: session.many(_PUT_MEMBER, [self._member(row)]))

    def remove_member(self, ip: str, port: int) -> None:
        self._database.write(lambda session: session.run(_REMOVE_MEMBER, (ip, port)))

    def replace_members(self, rows: Sequence[dict[str, Any]]) -> None:
        kept = [self._member(row) for row in rows]

        def work(session: Session) -> None:
            session.run(_REMOVE_MEMBERS)
            session.many(_PUT_MEMBER, kept)

        self._database.write(work)

    def _member(self, row: dict[str, Any]) -> tuple[str, int, str]:
        return (row["ip"], row["port"], self._body(row))

    def _body(self, value: Any) -> str:
        return encode(sealed_json(value, self._sealer))
