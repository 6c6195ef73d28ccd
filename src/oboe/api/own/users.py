"""Accounts of the faces that have users: made and changed by whoever holds the root password (`oboe.control.users`).

Passwords and access keys come in the body, which the command line encrypts; the secret of a key is made by who asks, so that no answer
ever holds one. An agent that nobody has given a password yet listens to its own host only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from oboe.api.obshell.route import Call, Route
from oboe.api.own.callers import check_caller, who_asks
from oboe.api.shared.envelope import NO_DATA, Contents
from oboe.control.users import AccessKey, User
from oboe.kit.secret import Secret

__all__ = ["ROUTES"]


class NewUser(msgspec.Struct):
    name: str
    password: Secret
    grants: list[str] = []


class Grants(msgspec.Struct):
    grants: list[str]


class Password(msgspec.Struct):
    password: Secret


class Disabled(msgspec.Struct):
    disabled: bool = True


class Key(msgspec.Struct):
    id: str
    secret: Secret


def _list(call: Call) -> Contents:
    """Every user, without anything secret."""
    check_caller(call)
    return Contents([_object(user) for user in call.control.users.all()])


def _add(call: Call) -> dict[str, Any]:
    check_caller(call)
    asked = call.bind(NewUser)
    return _object(call.control.users.add(asked.name, asked.password, asked.grants, who=who_asks(call)))


def _grant(call: Call) -> dict[str, Any]:
    """These and no others."""
    check_caller(call)
    return _object(call.control.users.grant(_name(call), call.bind(Grants).grants, who=who_asks(call)))


def _password(call: Call) -> dict[str, Any]:
    check_caller(call)
    return _object(call.control.users.set_password(_name(call), call.bind(Password).password, who=who_asks(call)))


def _disable(call: Call) -> dict[str, Any]:
    check_caller(call)
    return _object(call.control.users.disable(_name(call), disabled=call.bind(Disabled).disabled, who=who_asks(call)))


def _key(call: Call) -> dict[str, Any]:
    check_caller(call)
    asked = call.bind(Key)
    return _object(call.control.users.add_key(_name(call), AccessKey(asked.id, asked.secret), who=who_asks(call)))


def _drop_key(call: Call) -> dict[str, Any]:
    check_caller(call)
    return _object(call.control.users.drop_key(_name(call), call.path_values["key"], who=who_asks(call)))


def _remove(call: Call) -> Any:
    check_caller(call)
    call.control.users.remove(_name(call), who=who_asks(call))
    return NO_DATA


def _name(call: Call) -> str:
    return call.path_values["name"]


def _object(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "grants": [str(grant) for grant in user.grants],
        "keys": [key.id for key in user.keys],
        "disabled": user.disabled,
    }


_CODES = {
    "user.unknown": "request.not_found",
    "user.name": "config.invalid",
    "user.exists": "config.conflict",
    "user.password": "config.invalid",
    "user.grant": "config.invalid",
    "user.limit": "config.invalid",
    "user.keys": "config.invalid",
    "user.key": "config.invalid",
    "user.key_unknown": "request.not_found",
}

ROUTES = (
    Route(method="GET", path="/users", handler=_list),
    Route(method="POST", path="/users", handler=_add, body=NewUser, lookup=_CODES),
    Route(method="DELETE", path="/users/:name", handler=_remove, lookup=_CODES),
    Route(method="POST", path="/users/:name/grant", handler=_grant, body=Grants, lookup=_CODES),
    Route(method="POST", path="/users/:name/password", handler=_password, body=Password, lookup=_CODES),
    Route(method="POST", path="/users/:name/disable", handler=_disable, body=Disabled, lookup=_CODES),
    Route(method="POST", path="/users/:name/keys", handler=_key, body=Key, lookup=_CODES),
    Route(method="DELETE", path="/users/:name/keys/:key", handler=_drop_key, lookup=_CODES),
)
