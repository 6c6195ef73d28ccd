"""Hosts: the inventory, and what is wrong with a host, for whoever holds the root password (`oboe.control.hosts`).

Credentials come in the body, which the command line encrypts, a private key in base64; no answer ever holds one.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import msgspec

from oboe.api.obshell.route import Call, Handler, Route
from oboe.api.own.callers import check_caller, who_asks
from oboe.api.shared.envelope import NO_DATA, Contents
from oboe.control.hosts import ACTIONS, HostReport
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.membership.inventory import Host

__all__ = ["ROUTES"]


class NewHost(msgspec.Struct):
    """As `Host`; ``private_key`` is base64. One of ``fingerprint`` and ``accept_new`` says that the host's key is the right one."""

    name: str
    address: str
    user: str
    agent: str
    port: int = 22
    password: Secret | None = None
    private_key: Secret | None = None
    passphrase: Secret | None = None
    rpc_port: int = 0
    home: str = "~/oboe-home"
    prefix: str = "~/oboe"
    python: str = "python3"
    driver: str = "seekdb"
    fingerprint: str = ""
    accept_new: bool = False


class Install(msgspec.Struct):
    """``package`` is a directory on the agent that is asked; without it, the agent packs what it runs itself."""

    package: str = ""


class Several(msgspec.Struct):
    """Names or numbers of hosts."""

    hosts: list[str]


class AcceptKey(msgspec.Struct):
    fingerprint: str = ""
    accept_new: bool = False


def _list(call: Call) -> Contents:
    """Every host, without anything secret."""
    check_caller(call)
    return Contents([host.shown() for host in call.control.hosts.all()])


def _get(call: Call) -> dict[str, Any]:
    check_caller(call)
    return call.control.hosts.find(call.path_values["name"]).shown()


def _add(call: Call) -> dict[str, Any]:
    """Take a host in, once its key is accepted."""
    check_caller(call)
    asked = call.bind(NewHost)
    host = Host(
        name=asked.name,
        address=asked.address,
        port=asked.port,
        user=asked.user,
        password=asked.password or None,
        private_key=_from_base64(asked.private_key),
        passphrase=asked.passphrase or None,
        agent=asked.agent,
        rpc_port=asked.rpc_port,
        home=asked.home,
        prefix=asked.prefix,
        python=asked.python,
        driver=asked.driver,
    )
    return call.control.hosts.add(host, fingerprint=asked.fingerprint, accept_new=asked.accept_new, who=who_asks(call)).shown()


def _accept_key(call: Call) -> dict[str, Any]:
    """Accept the key that a known host shows now."""
    check_caller(call)
    asked = call.bind(AcceptKey)
    name = call.path_values["name"]
    return call.control.hosts.accept_key(name, fingerprint=asked.fingerprint, accept_new=asked.accept_new, who=who_asks(call)).shown()


def _check(call: Call) -> dict[str, Any]:
    """Log in and look; nothing is touched."""
    check_caller(call)
    return report_object(call.control.hosts.check(call.path_values["name"]))


def _unlock(call: Call) -> Any:
    """Let a host go that a dag of a lost agent still holds."""
    check_caller(call)
    call.control.hosts.unlock(call.path_values["name"])
    return NO_DATA


def _operate(action: str) -> Handler:
    def handler(call: Call) -> Any:
        check_caller(call)
        package = call.bind(Install).package
        hosts, name = call.control.hosts, call.path_values["name"]
        return call.started(lambda dry_run: hosts.operate(action, [name], package=package, caller=call.caller, dry_run=dry_run))

    return handler


def _operate_many(action: str) -> Handler:
    def handler(call: Call) -> Any:
        check_caller(call)
        hosts, names = call.control.hosts, call.bind(Several).hosts
        return call.started(lambda dry_run: hosts.operate(action, names, caller=call.caller, dry_run=dry_run))

    return handler


def _remove(call: Call) -> Any:
    """Forget a host; nothing happens there."""
    check_caller(call)
    call.control.hosts.remove(call.path_values["name"], who=who_asks(call))
    return NO_DATA


def report_object(report: HostReport) -> dict[str, Any]:
    """``agent`` is what runs there: null, or its version and identity."""
    seen = report.seen
    info = ((seen.get("answers") or {}).get("info")) or None
    return {
        "name": report.host.name,
        "ok": not report.problems,
        "problems": [{"code": each.code, "message": each.message, "hint": each.hint} for each in report.problems],
        "python": ".".join(map(str, seen["python"])) if seen else None,
        "machine": seen.get("machine"),
        "free_bytes": seen.get("free_bytes"),
        "versions": seen.get("versions", []),
        "current": seen.get("current") or None,
        "agent": {"version": info.get("version"), "identity": info.get("identity")} if info else None,
        "held_by": (seen.get("lock") or {}).get("name"),
    }


def _from_base64(text: Secret | None) -> Secret | None:
    try:
        return Secret(b64decode(text.reveal(), validate=True).decode()) if text else None
    except (binascii.Error, UnicodeDecodeError):
        raise Refused("request.body", "private_key is not base64 of a key file") from None


ROUTES = (
    Route(method="GET", path="/hosts", handler=_list),
    Route(method="POST", path="/hosts", handler=_add, body=NewHost),
    Route(method="GET", path="/hosts/:name", handler=_get),
    Route(method="DELETE", path="/hosts/:name", handler=_remove),
    Route(method="POST", path="/hosts/:name/check", handler=_check),
    Route(method="POST", path="/hosts/:name/accept-key", handler=_accept_key, body=AcceptKey),
    Route(method="POST", path="/hosts/:name/unlock", handler=_unlock),
    *(
        Route(method="POST", path=f"/hosts/:name/agent/{action}", handler=_operate(action), body=Install, query=("dry_run",))
        for action in ACTIONS
    ),
    *(
        Route(method="POST", path=f"/host-agents/{action}", handler=_operate_many(action), body=Several, query=("dry_run",))
        for action, (_, batch) in ACTIONS.items()
        if batch
    ),
)
