"""Signatures with an access key: ``Authorization: OCP-ACCESS-KEY-HMACSHA1 AK:signature`` (`ocp-task.md` §1.4).

The vendor's page says that the values of an ``x-ocp-`` header are sorted; its own vector is signed with them as they were sent, and so
they are taken here. Values of the query are sorted.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import md5, sha1
from urllib.parse import quote, unquote_plus

from oboe.api.shared.exchange import Request
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret

__all__ = ["SCHEME", "check_date", "is_signed", "message_of", "signature_of"]

SCHEME = "OCP-ACCESS-KEY-HMACSHA1"
SKEW_SECONDS = 15 * 60
"""A clock must be nearer than this."""


def message_of(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """The seven lines that are signed; ``headers`` have lower-case names, several values of one joined by commas."""
    path, _, query = target.partition("?")
    signed = sorted(name for name in headers if name.startswith("x-ocp"))
    return "\n".join(
        (
            method.upper(),
            md5(body, usedforsecurity=False).hexdigest().upper() if body else "",
            headers.get("content-type", ""),
            headers.get("date", ""),
            headers.get("host", ""),
            "\n".join(f"{name}:{headers[name]}" for name in signed),
            path + _canonical(query),
        )
    )


def signature_of(secret: Secret, message: str) -> str:
    return b64encode(hmac.new(secret.reveal().encode(), message.encode(), sha1).digest()).decode()


def is_signed(request: Request, secret: Secret, signature: str) -> bool:
    message = message_of(request.method, request.target, request.headers, request.body)
    return hmac.compare_digest(signature_of(secret, message).encode(), signature.encode())


def check_date(request: Request) -> None:
    """`Refused` ``auth.expired`` for a ``Date`` that is missing, is none, or is too far from now."""
    try:
        date = parsedate_to_datetime(request.headers.get("date", ""))
    except ValueError:
        raise Refused("auth.expired", "the request has no Date in the form of RFC 1123") from None
    sent = date.replace(tzinfo=date.tzinfo or UTC)
    away = abs((sent - datetime.fromtimestamp(request.received_at, UTC)).total_seconds())
    if away > SKEW_SECONDS:
        raise Refused("auth.expired", f"the request's Date is {away:.0f} s away", hint="are the clocks right?")


def _canonical(query: str) -> str:
    """Keys sorted, those that are repeated made one, empty values dropped, values sorted."""
    values: dict[str, list[str]] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        kept = values.setdefault(unquote_plus(name), [])
        kept += [unquote_plus(value)] if value else []
    pairs = (f"{quote(name, safe='')}={quote(','.join(sorted(values[name])), safe='')}" for name in sorted(values) if values[name])
    joined = "&".join(pairs)
    return f"?{joined}" if joined else ""
