"""Signatures with an access key: ``Authorization: OCP-ACCESS-KEY-HMACSHA1 AK:signature`` (`ocp-task.md` §1.4).

The vendor's page ("AK/SK signature generation rules" of its API reference) contradicts itself, so what its own examples and programs sign
is taken:

- the values of an ``x-ocp-`` header, as they were sent, though the text says sorted; values of the query are sorted;
- a parameter without a value keeps its ``name=``;
- the text of 4.2 encodes by RFC 3986, the program of 4.3 by the rules of HTML forms (``+`` for a space, ``*`` as it is): either;
- the request of its newest example has a bare ``+`` in the query and signs ``%2B``; a form's reader takes it for a space: either;
- the time is in ``Date``, or in ``x-ocp-date`` where a client cannot set that.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import md5, sha1
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from oboe.api.shared.exchange import Request
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["SCHEME", "check_date", "is_signed", "messages_of", "signature_of"]

SCHEME = "OCP-ACCESS-KEY-HMACSHA1"
SKEW_SECONDS = 15 * 60
"""A clock must be nearer than this."""


Text = Callable[[str], str]


def messages_of(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """The seven lines that are signed, in each of the forms that clients sign, the usual one first.

    ``headers`` have lower-case names, several values of one joined by commas."""
    path, _, query = target.partition("?")
    signed = sorted(name for name in headers if name.startswith("x-ocp"))
    lines = (
        method.upper(),
        md5(body, usedforsecurity=False).hexdigest().upper() if body else "",
        headers.get("content-type", ""),
        _date(headers),
        headers.get("host", ""),
        "\n".join(f"{name}:{headers[name]}" for name in signed),
    )
    forms = dict.fromkeys(_canonical(query, read, write) for read in (unquote_plus, unquote) for write in (_rfc_3986, _form))
    for form in forms:
        yield "\n".join((*lines, path + form))


def signature_of(secret: Secret, message: str) -> str:
    return b64encode(hmac.new(secret.reveal().encode(), message.encode(), sha1).digest()).decode()


def is_signed(request: Request, secret: Secret, signature: str) -> bool:
    found = [
        hmac.compare_digest(signature_of(secret, message).encode(), signature.encode())
        for message in messages_of(request.method, request.target, request.headers, request.body)
    ]
    return any(found)


def check_date(request: Request) -> None:
    """`Refused` ``auth.expired`` for a ``Date`` that is missing, is none, or is too far from now."""
    try:
        date = parsedate_to_datetime(_date(request.headers))
    except ValueError:
        raise Refused("auth.expired", "the request has no Date in the form of RFC 1123") from None
    sent = date.replace(tzinfo=date.tzinfo or UTC)
    away = abs((sent - datetime.fromtimestamp(request.received_at, UTC)).total_seconds())
    if away > SKEW_SECONDS:
        raise Refused("auth.expired", f"the request's Date is {away:.0f} s away", hint="are the clocks right?")


def _date(headers: Mapping[str, str]) -> str:
    return headers.get("date", "") or headers.get("x-ocp-date", "")


def _canonical(query: str, read: Text, write: Text) -> str:
    """Keys sorted, those that are repeated made one, empty values left out, values sorted."""
    values: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        kept = values.setdefault(read(name), [])
        kept += [read(value)] if value else []
    joined = "&".join(f"{write(name)}={write(','.join(sorted(values[name])))}" for name in sorted(values))
    return f"?{joined}" if joined else ""


def _rfc_3986(text: str) -> str:
    return quote(text, safe="")


def _form(text: str) -> str:
    """As Java's ``URLEncoder`` does."""
    return quote_plus(text, safe="*").replace("~", "%7E")
