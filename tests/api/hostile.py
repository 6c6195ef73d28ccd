"""What strangers and fools may send: every route of the tables; headers, bodies, ids and queries that are wrong in one way each."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import count
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import inspect

from oboe.api.obshell import app as obshell
from oboe.api.obshell.auth import Rule
from oboe.api.obshell.route import Route
from oboe.api.own import app as own
from oboe.domain.errors import Refused
from oboe.kit.typed import decoder
from oboe.remote import secrecy

from .client import Received, send_raw
from .fakes import PAIR

ROOT, AGENT = "X-OCS-Header", "X-OCS-Agent-Header"
WITHIN_SECONDS = 5.0
OTHER_PAIR = secrecy.new_key_pair()
LATER = 10_000
PASSWORD = "pw1"
"""Of root, at the agent that is asked; with ``PAIR`` it is all that these requests know of it."""


class Shown(NamedTuple):
    """A route and a target that leads to it."""

    route: Route
    target: str

    @property
    def name(self) -> str:
        return f"{self.route.method} {self.target}"


def _shown(prefix: str, route: Route) -> Shown:
    return Shown(route, prefix + "/".join("11" if part.startswith(":") else part for part in route.path.split("/")))


ROUTES = [_shown(obshell.PREFIX, route) for route in obshell.ROUTES] + [_shown(own.PREFIX, route) for route in own.ROUTES]
PROTECTED = [shown for shown in ROUTES if not shown.route.public]
WITH_BODY = [shown for shown in PROTECTED if shown.route.body is not None and shown.target.startswith(obshell.PREFIX)]
WITH_ID = [shown for shown in PROTECTED if ":id" in shown.route.path and "/task/" in shown.route.path]

_sources = count(256)


def stranger() -> str:
    """A loopback address that nobody came from yet: nobody waits for what others guessed."""
    number = next(_sources)
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def hostile(port: int, shown: Shown, headers: Mapping[str, str], body: bytes = b"", *, target: str = "") -> Received:
    begun = time.monotonic()
    received = send_raw(port, shown.route.method, target or shown.target, headers, body, source=stranger())
    assert time.monotonic() - begun < WITHIN_SECONDS, shown.name
    return received


def seal(members: Any) -> str:
    return secrecy.seal_text(PAIR.public_key, json.dumps(members).encode())


def knows_its_key(monkeypatch: pytest.MonkeyPatch, public_key: str, password: str = PASSWORD) -> None:
    """From here on requests are sealed for an agent with this key, and say this password where they say the right one."""
    monkeypatch.setattr(f"{__name__}.PAIR", secrecy.KeyPair(secrecy.Secret(""), public_key))
    monkeypatch.setattr(f"{__name__}.PASSWORD", password)


KEYS = b"0123456789abcdef" * 2


def members(uri: str, **more: Any) -> dict[str, Any]:
    keys = secrecy.seal_request(PAIR.public_key, password=secrecy.Secret(""), uri=uri).keys
    known = {"auth": PASSWORD, "ts": str(int(time.time()) + 60), "uri": uri, "keys": base64.b64encode(keys).decode()}
    return known | more


def keys_of(said: Mapping[str, Any]) -> bytes:
    return base64.b64decode(said["keys"])


# Who asks

UNREADABLE = "Security.Authentication.Header.DecryptFailed"
NO_HEADER = "Request.Header.NotFound"
EXPIRED = "Security.Authentication.Expired"
BAD_TIME = "Security.Authentication.Timestamp.Invalid"
OTHER_URI = "Security.Authentication.Header.UriMismatch"
WRONG = "Security.Authentication.IncorrectOceanbasePassword"
NEEDS_ROOT = "Security.Authentication.WithOceanBasePassword"
NO_TOKEN = "Security.SSO.Token.Missing"

Made = tuple[dict[str, str], bytes]


def with_header(header: str) -> Made:
    return {ROOT: header}, b""


def flipped(text: str, at: int) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[at % len(raw)] ^= 4
    return base64.b64encode(bytes(raw)).decode()


def with_body(uri: str, change: Callable[[bytes], bytes], **more: Any) -> Made:
    said = members(uri, **more)
    return {ROOT: seal(said)}, change(secrecy.seal_body(KEYS if more else keys_of(said), b'{"operator":"CANCEL"}'))


def bad_padding(uri: str) -> Made:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    said = members(uri)
    keys = keys_of(said)
    encryptor = Cipher(algorithms.AES(keys[:16]), modes.CBC(keys[16:])).encryptor()
    block = encryptor.update(b'{"operator":"X"}' + b"\x00" * 16) + encryptor.finalize()
    return {ROOT: seal(said)}, base64.b64encode(block)


def of_other_keys(uri: str) -> Made:
    """One in 256 such bodies seems to be padded well; not this one."""
    said = members(uri)
    while True:
        body = secrecy.seal_body(secrets.token_bytes(32), b'{"operator":"CANCEL"}')
        try:
            secrecy.open_body(keys_of(said), body)
        except Refused:
            return {ROOT: seal(said)}, body


def short_keys(uri: str, size: int) -> Made:
    return with_body(uri, bytes, keys=base64.b64encode(secrets.token_bytes(size)).decode())


INTRUDERS: dict[str, tuple[Callable[[str], Made], str]] = {
    "no header": (lambda uri: ({}, b""), NO_HEADER),
    "no header, a body": (lambda uri: ({}, b'{"operator":"CANCEL"}'), NO_HEADER),
    "the header of the first version": (lambda uri: ({"X-OCS-Auth": seal(members(uri))}, b""), NO_HEADER),
    "an empty header": (lambda uri: with_header(""), NO_HEADER),
    "both headers": (lambda uri: ({ROOT: seal(members(uri)), AGENT: seal(members(uri))}, b""), NEEDS_ROOT),
    "the agent's header": (lambda uri: ({AGENT: seal(members(uri))}, b""), NEEDS_ROOT),
    "another path": (lambda uri: with_header(seal(members("/api/v1/other"))), OTHER_URI),
    "another query": (lambda uri: with_header(seal(members(uri + "?a=1"))), OTHER_URI),
    "no path": (lambda uri: with_header(seal(members(""))), OTHER_URI),
    "a full address": (lambda uri: with_header(seal(members(f"http://127.0.0.1{uri}"))), OTHER_URI),
    "expired": (lambda uri: with_header(seal(members(uri, ts=str(int(time.time()) - 2)))), EXPIRED),
    "of 1970": (lambda uri: with_header(seal(members(uri, ts="0"))), EXPIRED),
    "until the year 9999": (lambda uri: with_header(seal(members(uri, ts="253402300799"))), BAD_TIME),
    "until no time": (lambda uri: with_header(seal(members(uri, ts=""))), BAD_TIME),
    "until a word": (lambda uri: with_header(seal(members(uri, ts="soon"))), BAD_TIME),
    "until before time": (lambda uri: with_header(seal(members(uri, ts="-1"))), BAD_TIME),
    "until a fraction": (lambda uri: with_header(seal(members(uri, ts="1e12"))), BAD_TIME),
    "until digits of another script": (lambda uri: with_header(seal(members(uri, ts="\uff11\uff17"))), BAD_TIME),
    "until a number with no end": (lambda uri: with_header(seal(members(uri, ts="9" * 40))), BAD_TIME),
    "a wrong password": (lambda uri: with_header(seal(members(uri, auth="pw2"))), WRONG),
    "no password": (lambda uri: with_header(seal(members(uri, auth=""))), WRONG),
    "a long password": (lambda uri: with_header(seal(members(uri, auth="x" * 1500))), WRONG),
    "a session that never was": (
        lambda uri: with_header(seal(members(uri, session_id="f" * 64))),
        "Security.Authentication.SessionInvalid",
    ),
    "cut to half": (lambda uri: with_header(seal(members(uri))[:684]), UNREADABLE),
    "cut by one": (lambda uri: with_header(seal(members(uri))[:-1]), UNREADABLE),
    "a bit flipped": (lambda uri: with_header(flipped(seal(members(uri)), 3)), UNREADABLE),
    "a late bit flipped": (lambda uri: with_header(flipped(seal(members(uri)), -3)), UNREADABLE),
    "for another agent": (
        lambda uri: with_header(secrecy.seal_text(OTHER_PAIR.public_key, json.dumps(members(uri)).encode())),
        UNREADABLE,
    ),
    "no base64": (lambda uri: with_header("*" * 344), UNREADABLE),
    "zeros": (lambda uri: with_header(base64.b64encode(bytes(256)).decode()), UNREADABLE),
    "too many blocks": (lambda uri: with_header(base64.b64encode(bytes(256 * 60)).decode()), UNREADABLE),
    "no object": (lambda uri: with_header(seal([members(uri)])), UNREADABLE),
    "no text for a password": (lambda uri: with_header(seal(members(uri, auth=["pw1"]))), UNREADABLE),
    "half a letter for a password": (lambda uri: with_header(seal(members(uri, auth="\ud800"))), UNREADABLE),
    "a number for a time": (lambda uri: with_header(seal(members(uri, ts=5))), UNREADABLE),
    "keys that are none": (lambda uri: with_header(seal(members(uri, keys="!"))), UNREADABLE),
    "a body and no keys": (lambda uri: short_keys(uri, 0), UNREADABLE),
    "a body and too short a key": (lambda uri: short_keys(uri, 15), UNREADABLE),
    "a body and a key, no vector": (lambda uri: short_keys(uri, 16), UNREADABLE),
    "a body and too long a key": (lambda uri: short_keys(uri, 48), UNREADABLE),
    "a plain body": (lambda uri: with_body(uri, lambda _: b'{"operator":"CANCEL"}'), UNREADABLE),
    "a body of other keys": (of_other_keys, UNREADABLE),
    "a body of no whole block": (lambda uri: with_body(uri, lambda body: base64.b64encode(base64.b64decode(body)[:-5])), UNREADABLE),
    "a body that was cut": (lambda uri: with_body(uri, lambda body: body[:-3]), UNREADABLE),
    "a body of one byte": (lambda uri: with_body(uri, lambda _: b"\x00"), UNREADABLE),
    "a body of bad padding": (bad_padding, UNREADABLE),
}
_BEHIND_THE_PASSWORD = {NEEDS_ROOT, WRONG}


def expected(shown: Shown, case: str) -> str:
    """A one-time token needs no password; a session cannot begin a session, so its id counts for nothing there."""
    code = INTRUDERS[case][1]
    if shown.route.rule is Rule.TOKEN and (code in _BEHIND_THE_PASSWORD or "session" in case):
        return NO_TOKEN
    if shown.route.rule is Rule.LOGIN and "session" in case:
        return ""
    return code


def status_of(code: str) -> int:
    return 400 if code == NO_HEADER else 401


def assert_refused(received: Received, code: str, what: str) -> None:
    envelope = received.envelope
    assert (received.status, received.code) == (status_of(code), code), what
    assert (envelope["successful"], envelope["status"], "data" in envelope) == (False, received.status, False), what
    legacy = {UNREADABLE: 1, NO_HEADER: None, NO_TOKEN: None}.get(code, 10008)
    assert envelope["error"].get("code") == legacy, what


# What is asked


def valid(kind: Any) -> Any:
    """A body of that type, its optional members left out."""
    return _valid(inspect.type_info(kind))


def _valid(info: Any) -> Any:
    match info:
        case inspect.Metadata(type=kind, extra_json_schema=extra):
            return extra["enum"][0] if extra and "enum" in extra else _valid(kind)
        case inspect.StructType(fields=fields):
            return {field.encode_name: _valid(field.type) for field in fields if field.required}
        case inspect.UnionType(types=types):
            return _valid(types[0])
        case inspect.IntType():
            return 1
        case inspect.FloatType():
            return 1.5
        case inspect.BoolType():
            return True
        case inspect.StrType():
            return "10.9.9.9"
        case inspect.ListType() | inspect.SetType() | inspect.VarTupleType():
            return []
        case inspect.DictType() | inspect.AnyType() | inspect.RawType():
            return {}
        case inspect.NoneType():
            return None
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.CustomType():
            return "text"
    raise NotImplementedError(info)


_WRONG_VALUES: tuple[Any, ...] = (None, True, 7, -1.5, 10**40, "text", [[]], [1], {"a": []}, {"ip": 1, "port": "x"})


def paths_of(info: Any, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every member of a body, those of its members included."""
    if isinstance(info, inspect.Metadata):
        info = info.type
    if isinstance(info, inspect.UnionType):
        for each in info.types:
            yield from paths_of(each, at)
    if isinstance(info, inspect.StructType):
        for field in info.fields:
            yield (*at, field.encode_name)
            yield from paths_of(field.type, (*at, field.encode_name))


def broken_bodies(kind: Any) -> Iterator[tuple[str, bytes]]:
    """Bodies that are no ``kind``: no JSON, no object, and a good one with one member wrong or gone."""
    texts = (b"{", b"", b"nul", b'"text"', b"5", b"[]", b"[" * 3000, b"\xff\xfe{}", b'{"a":1}{}', b"{}\x00", b'{"a":"\\ud8"}')
    for text in texts:
        if text and not _is(kind, text):
            yield text[:12].decode("latin-1"), text
    good = valid(kind)
    for path in paths_of(inspect.type_info(kind)):
        for value in (*_WRONG_VALUES, LATER):
            body = deepcopy(good)
            if not _put(body, path, value):
                continue
            text = json.dumps(body).encode()
            if not _is(kind, text):
                yield f"{'.'.join(path)} = {'gone' if value == LATER else str(value)[:20]}", text


def _put(body: Any, path: tuple[str, ...], value: Any) -> bool:
    for name in path[:-1]:
        body = body.get(name)
        if not isinstance(body, dict):
            return False
    if value == LATER:
        return body.pop(path[-1], None) is not None
    body[path[-1]] = value
    return True


def _secret(kind: Any, value: Any) -> Any:
    if not isinstance(value, str):
        raise TypeError
    return secrecy.Secret(value)


def _is(kind: Any, text: bytes) -> bool:
    try:
        decoder(kind, dec_hook=_secret).decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def good_header(target: str, body: bytes) -> Made:
    sealed = secrecy.seal_request(PAIR.public_key, password=secrecy.Secret(PASSWORD), uri=target, body=body)
    return {ROOT: sealed.header}, sealed.body


STRANGE_IDS = {
    "0": 400,
    "9": 400,
    "x": 400,
    "-11": 400,
    "6213070643303886999": 400,
    "1": 400,
    "1x": 400,
    "1%201": 400,
    "1%00": 400,
    "1%0a1": 400,
    "1%EF%BC%91": 400,
    "1" + "9" * 19: 400,
    "1" + "9" * 1500: 400,
    "1-5": 404,
    "1+1": 404,
    "10": 404,
    "101": 404,
    "1999999999": 404,
    "1" + "9" * 18: 404,
    "2": 400,
    "2213070643": 400,
    "29999999999028861": 400,
    "22130706433000001": 400,
    "22130706433999991": 400,
    "2213070643302886": 400,
    "22130706433028860": 404,
    "2213070643302886-1": 404,
    "2213070643302886999": 404,
    "2017377792902886" + "1": 404,
    "3" + "0" * 38 + "1028861": 404,
    "3" + "9" * 39 + "028861": 400,
    "../../info": 404,
    "%2e%2e": 400,
    "';%20DROP%20TABLE%20dag;%20--": 400,
    "%F0%9F%92%A5": 400,
    "%FF%FE": 400,
}
"""The status; 404 is `Task.NotFound`, or no route at all."""


STRANGE_VALUES = {
    "show_details": ("2", "yes", "tru", "%00", "null"),
    "show_detail": ("2", "-1"),
    "limit": ("0", "-1", "x", "1e3", "99999999999999999999", "1001", ""),
    "before_id": ("-1", "x", "9" * 30, "1.5"),
    "settled": ("maybe", "2"),
    "dry_run": ("2", "please"),
    "ob_query_timeout": ("0", "-5", "x", "9" * 17, ""),
}
