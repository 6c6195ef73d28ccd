"""Who asks: the order in which a protected request is verified (`obshell-wire.md` §4.5), for every identity.

::

    over the agent's unix socket, and no header?  ->  root or the agent's own user: passes

    header there?  ->  opened?  ->  for this target?  ->  by identity: who, until when, for the first time?

    SINGLE         anybody, until an agent password is set; then that
    FOLLOWER       not verified here: the MASTER verifies what is passed on to it
    others         X-OCS-Header: root's password, else what the database says of it; X-OCS-Agent-Header: the agent password.
                   A MASTER without either takes the empty root password and any agent header; with an agent password that alone

Beyond the original: a header is used once, it expires at most ten minutes from now, and whatever cannot be opened is answered alike.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from hashlib import sha256
from pathlib import Path

from oboe.api.obshell.opening import Ahead, Opener
from oboe.api.obshell.regulars import Regulars
from oboe.api.obshell.replays import Replays
from oboe.api.obshell.sessions import Sessions
from oboe.api.shared.exchange import Request
from oboe.control.port import Keys
from oboe.domain.errors import Refused
from oboe.domain.values import Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy

__all__ = ["AGENT_HEADER", "ROOT_HEADER", "Admitted", "Door", "Rule"]

ROOT_HEADER = "X-OCS-Header"
AGENT_HEADER = "X-OCS-Agent-Header"

VALID_SECONDS_MAX = 600
"""The furthest a header may expire from now."""
_TIMESTAMP_DIGITS_MAX = 19


class Rule(Enum):
    """What a route asks of its callers beside the common order."""

    NORMAL = 1
    AGENT_PASSWORD_ONLY = 2
    """Ids of obproxy's tasks."""
    NEW_AGENT_PASSWORD = 3
    """Setting it: the old one, or root's (§4.6)."""
    LOGIN = 4
    """A session cannot begin a session."""
    TOKEN = 5
    """The one-time token in the header is all."""


_OPEN_ON_SINGLE = (Rule.NORMAL, Rule.NEW_AGENT_PASSWORD, Rule.LOGIN)
"""While it has no agent password."""


@dataclass(frozen=True, slots=True)
class _Used:
    keys: bytes = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may pass. With ``forward`` its password was not verified: the MASTER has to."""

    name: str
    header: secrecy.RequestHeader
    forward: _Used | None = None
    plain: bool = False
    """Its body is not encrypted: it came over the agent's unix socket, without a header."""


_NO_HEADER = secrecy.RequestHeader(password=Secret(""), expires="", uri="", keys=b"", session_id=Secret(""), sso_token=Secret(""))


class Door:
    """Verifies requests. Thread-safe."""

    def __init__(self, keys: Keys, used_headers: Path | None = None) -> None:
        """``used_headers``: the file that keeps what was used across restarts."""
        self._keys = keys
        self._replays = Replays(file=used_headers)
        self._opener = Opener()
        self._regulars = Regulars()
        self.sessions = Sessions(lambda: (keys.root_password(), keys.agent_password()))

    def admit(self, request: Request, rule: Rule, ahead: Ahead | None = None) -> Admitted:
        """``ahead``: what its answer will need, begun while the header is opened if who asks was verified a moment ago.

        A stranger has nothing begun: what he sends costs this agent one opened header, and no other host anything.

        `Refused` ``auth.*``, ``secrecy.undecipherable``, ``agent.wrong_identity``."""
        if request.local and not any(name.lower() in request.headers for name in (AGENT_HEADER, ROOT_HEADER)):
            return Admitted("", _NO_HEADER, plain=True)
        known = ahead is not None and self._regulars.knows(request.source, request.received_at)
        admitted = self.read(request, ahead if known else None)
        if not hmac.compare_digest(admitted.header.uri.encode(), request.target.encode()):
            raise Refused("auth.other_uri", "the header was made for another request")
        identity = self._keys.identity()
        if identity is Identity.SINGLE and rule in _OPEN_ON_SINGLE and self._keys.agent_password() is None:
            return admitted
        expires = _in_time(admitted.header.expires, request.received_at)
        self._verify(admitted, request, rule, identity)
        used = _Used(admitted.header.keys or _digest(request, admitted.name), expires)
        if not self._replays.use(used.keys, used.expires, request.received_at):
            raise Refused("auth.expired", "the header was used before", hint="make a header for every request")
        forward = identity is Identity.FOLLOWER and rule not in (Rule.AGENT_PASSWORD_ONLY, Rule.TOKEN)
        if not forward and rule is not Rule.TOKEN:
            self._regulars.note(request.source, request.received_at)
        return Admitted(admitted.name, admitted.header, used if forward else None)

    def close(self) -> None:
        """When the agent stops."""
        self._replays.close()

    def disown(self, admitted: Admitted) -> None:
        """The MASTER refused the password: the header counts as not used."""
        if admitted.forward is not None:
            self._replays.release(admitted.forward.keys, admitted.forward.expires)

    def read(self, request: Request, ahead: Ahead | None = None) -> Admitted:
        """Open the header, if there is one; nothing is verified."""
        open_blocks = partial(self._opener.open_blocks, ahead=ahead) if request.alone else secrecy.open_blocks
        for name in (AGENT_HEADER, ROOT_HEADER):
            value = request.headers.get(name.lower())
            if value:
                return Admitted(name, secrecy.open_header(self.private_key(), value, open_blocks=open_blocks))
        raise Refused("auth.no_header", f"the request has neither {AGENT_HEADER} nor {ROOT_HEADER}")

    def private_key(self) -> secrecy.PrivateKey:
        return secrecy.load_private_key(self._keys.private_key_pem())

    def check_password(self, name: str, password: Secret, *, new: bool = False) -> None:
        """Of a MASTER, CLUSTER AGENT and the like. ``new``: the agent password is about to be set."""
        root, agent = self._keys.root_password(), self._keys.agent_password()
        unset = root is None and self._keys.identity() is Identity.MASTER
        if name == AGENT_HEADER:
            if agent is None:
                if unset:
                    return
                raise _needs_root_password()
            if not _same(password, agent):
                raise _wrong_agent_password()
            return
        if agent is not None and (root is None or new):
            raise _needs_agent_password()
        if (_same(password, root) and self._keys.root_password_holds()) if root is not None else unset and not password:
            return
        if not self._keys.try_root_password(password):
            raise Refused("auth.root_password", "the root password is wrong")

    def _verify(self, admitted: Admitted, request: Request, rule: Rule, identity: Identity) -> None:
        header = admitted.header
        if rule is Rule.TOKEN:
            return
        if header.session_id and identity is Identity.CLUSTER_AGENT and rule is not Rule.LOGIN:
            self.sessions.check(header.session_id, request.received_at)
        elif rule is Rule.AGENT_PASSWORD_ONLY or identity is Identity.SINGLE:
            self._check_agent_password(admitted, sealed_too=rule is not Rule.AGENT_PASSWORD_ONLY)
        elif identity is not Identity.FOLLOWER:
            self.check_password(admitted.name, header.password, new=rule is Rule.NEW_AGENT_PASSWORD)
        elif rule is Rule.NEW_AGENT_PASSWORD:
            raise Refused("agent.wrong_identity", "a FOLLOWER takes no agent password", hint="set it before the agent joins, or after init")
        elif admitted.name != ROOT_HEADER:
            raise Refused("auth.no_forward_header", f"a FOLLOWER passes requests on with {ROOT_HEADER} only")

    def _check_agent_password(self, admitted: Admitted, *, sealed_too: bool) -> None:
        """``sealed_too``: it may also come encrypted once more for this agent."""
        if admitted.name != AGENT_HEADER:
            raise _needs_agent_password()
        known, given = self._keys.agent_password(), admitted.header.password
        if known is None:
            raise Refused("auth.no_agent_password", "no agent password is set")
        if not _same(given, known) and not (sealed_too and self._same_sealed(given, known)):
            raise _wrong_agent_password()

    def _same_sealed(self, password: Secret, known: Secret) -> bool:
        try:
            return hmac.compare_digest(secrecy.open_text(self.private_key(), password.reveal()), known.reveal().encode())
        except Refused:
            return False


def _in_time(text: str, now: float) -> int:
    """When the header expires: not before now, not in ten minutes only."""
    if not text.isascii() or not text.isdigit() or len(text) > _TIMESTAMP_DIGITS_MAX:
        raise Refused("auth.bad_timestamp", "the header's time is not a decimal number of seconds")
    expires = int(text)
    if int(now) > expires:
        raise Refused("auth.expired", "the header has expired", hint="are the clocks right?")
    if expires > now + VALID_SECONDS_MAX:
        raise Refused("auth.bad_timestamp", f"the header expires more than {VALID_SECONDS_MAX} s from now", hint="are the clocks right?")
    return expires


def _digest(request: Request, name: str) -> bytes:
    return sha256(request.headers[name.lower()].encode()).digest()


def _same(password: Secret, known: Secret) -> bool:
    return hmac.compare_digest(password.reveal().encode(), known.reveal().encode())


def _needs_agent_password() -> Refused:
    return Refused("auth.needs_agent_password", f"an agent password is asked for, in {AGENT_HEADER}")


def _needs_root_password() -> Refused:
    return Refused("auth.needs_root_password", f"no agent password is set: root's is asked for, in {ROOT_HEADER}")


def _wrong_agent_password() -> Refused:
    return Refused("auth.agent_password", "the agent password is wrong")
