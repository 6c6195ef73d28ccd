"""What the cluster knows of itself: its members, zones, servers and facts. Every method is one transaction; the reads work on a standby."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oboe.store.database import Session
from oboe.store.encoding import decode, encode
from oboe.store.mysql.connection import Connect, Mysql
from oboe.store.sealing import Sealer, sealed_json, unsealed

__all__ = ["Directory"]

_MEMBERS = "SELECT body FROM member ORDER BY ip, port"
_PUT_MEMBER = "INSERT INTO member (ip, port, body) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE body = VALUES(body)"
_REMOVE_MEMBER = "DELETE FROM member WHERE ip = ? AND port = ?"
_ZONES = "SELECT name, status FROM zone ORDER BY name"
_PUT_ZONE = "INSERT INTO zone (name, status) VALUES (?, ?) ON DUPLICATE KEY UPDATE status = VALUES(status)"
_REMOVE_ZONE = "DELETE FROM zone WHERE name = ?"
_SERVER = ("ip", "rpc_port", "sql_port", "zone", "agent_ip", "agent_port", "status", "with_rootserver", "build_version")
_SERVERS = f"SELECT {', '.join(_SERVER)} FROM server ORDER BY ip, rpc_port"
_PUT_SERVER = (
    f"INSERT INTO server ({', '.join(_SERVER)}) VALUES ({', '.join('?' * len(_SERVER))}) "
    f"ON DUPLICATE KEY UPDATE {', '.join(f'{name} = VALUES({name})' for name in _SERVER[2:])}"
)
_SET_SERVER_STATUS = "UPDATE server SET status = ? WHERE ip = ? AND rpc_port = ?"
_MARK_PRIMARY = "UPDATE server SET with_rootserver = (ip = ? AND sql_port = ?)"
_REMOVE_SERVER = "DELETE FROM server WHERE ip = ? AND rpc_port = ?"
_FACTS = "SELECT name, body FROM cluster_fact ORDER BY name"
_PUT_FACT = "INSERT INTO cluster_fact (name, body) VALUES (?, ?) ON DUPLICATE KEY UPDATE body = VALUES(body)"
_FACT = "SELECT body FROM cluster_fact WHERE name = ?"
_MAKE_FACT = "INSERT IGNORE INTO cluster_fact (name, body) VALUES (?, 'null')"
_HOLD_FACT = "SELECT body FROM cluster_fact WHERE name = ? FOR UPDATE"
_SET_FACT = "UPDATE cluster_fact SET body = ? WHERE name = ?"
_CLEAR = ("DELETE FROM member", "DELETE FROM server", "DELETE FROM zone", "DELETE FROM cluster_fact")


class Directory:
    """Four small tables. With a sealer (the cluster key's), facts may hold `Secret` values."""

    def __init__(self, source: Connect | Mysql, *, sealer: Sealer | None = None) -> None:
        self._database = Mysql.of(source)
        self._sealer = sealer

    # Members: any JSON-able mapping with ``ip`` and ``port``

    def members(self) -> list[dict[str, Any]]:
        return [decode(body) for (body,) in self._database.read(lambda session: session.rows(_MEMBERS))]

    def put_member(self, row: Mapping[str, Any]) -> None:
        self._run_many(_PUT_MEMBER, (row["ip"], row["port"], encode(row)))

    def remove_member(self, ip: str, port: int) -> None:
        self._run(_REMOVE_MEMBER, ip, port)

    # Zones: name → INACTIVE or ACTIVE

    def zones(self) -> dict[str, str]:
        return dict(self._database.read(lambda session: session.rows(_ZONES)))

    def put_zone(self, name: str, status: str) -> None:
        self._run_many(_PUT_ZONE, (name, status))

    def remove_zone(self, name: str) -> None:
        self._run(_REMOVE_ZONE, name)

    # Servers

    def servers(self) -> list[dict[str, Any]]:
        """``ip rpc_port sql_port zone agent_ip agent_port status with_rootserver build_version``, by address."""
        rows = self._database.read(lambda session: session.rows(_SERVERS))
        found = [dict(zip(_SERVER, row, strict=True)) for row in rows]
        return [row | {"with_rootserver": bool(row["with_rootserver"])} for row in found]

    def put_server(self, row: Mapping[str, Any]) -> None:
        whole = {**row, "with_rootserver": int(row["with_rootserver"])}
        self._run_many(_PUT_SERVER, tuple(whole[name] for name in _SERVER))

    def set_server_status(self, ip: str, rpc_port: int, status: str) -> None:
        self._run(_SET_SERVER_STATUS, status, ip, rpc_port)

    def mark_primary(self, ip: str, sql_port: int) -> None:
        """``with_rootserver`` is true of that one alone."""
        self._run(_MARK_PRIMARY, ip, sql_port)

    def remove_server(self, ip: str, rpc_port: int) -> None:
        self._run(_REMOVE_SERVER, ip, rpc_port)

    # Facts

    def facts(self) -> dict[str, Any]:
        rows = self._database.read(lambda session: session.rows(_FACTS))
        found = {name: decode(body) for name, body in rows}
        return {name: unsealed(value, self._sealer) for name, value in found.items()} if self._sealer else found

    def put_facts(self, **values: Any) -> None:
        rows = [(name, encode(sealed_json(value, self._sealer) if self._sealer else value)) for name, value in values.items()]
        self._run_many(_PUT_FACT, *rows)

    def fact(self, name: str) -> Any:
        """One of them; None: there is none."""
        rows = self._database.read(lambda session: session.rows(_FACT, (name,)))
        return self._opened(rows[0][0]) if rows else None

    def change_fact(self, name: str, change: Callable[[Any], Any]) -> Any:
        """Replace a fact by what ``change`` makes of it (None: there is none yet), with nobody in between; the new one.

        ``change`` may be called more than once; what it raises leaves everything as it was."""

        def work(session: Session) -> Any:
            session.run(_MAKE_FACT, (name,))
            ((body,),) = session.rows(_HOLD_FACT, (name,))
            changed = change(self._opened(body))
            session.run(_SET_FACT, (encode(sealed_json(changed, self._sealer) if self._sealer else changed), name))
            return changed

        return self._database.write(work)

    def clear(self) -> None:
        """Forget everything of the above."""

        def work(session: Session) -> None:
            for statement in _CLEAR:
                session.run(statement)

        self._database.write(work)

    def _opened(self, body: str) -> Any:
        value = decode(body)
        return unsealed(value, self._sealer) if self._sealer else value

    def _run(self, statement: str, *values: Any) -> None:
        self._database.write(lambda session: session.run(statement, values))

    def _run_many(self, statement: str, *rows: tuple[Any, ...]) -> None:
        if rows:
            self._database.write(lambda session: session.many(statement, rows))
