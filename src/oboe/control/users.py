"""Local accounts: who may use the faces that have users, with which password or access keys, and what they may do.

They are a `SharedFact`, so that every agent of a cluster knows them, and people on call can log in while there is no primary. Passwords
are kept as argon2id hashes, secrets of access keys sealed, because a signature can only be verified with the secret itself.

Invariants: a user's number is never given twice; what a user may do is read anew for every request.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.kit.typed import converted
from oboe.membership.local import LocalAgent
from oboe.membership.shared_fact import ClusterFacts, SharedFact

__all__ = ["PERMISSIONS", "AccessKey", "Grant", "User", "Users"]

VERIFIED_SECONDS = 300.0
"""How long a password that was verified is known again without the work of its hash."""
VERIFIED_MAX = 1000
HASHES_AT_ONCE = 2
"""Each costs `_MEMORY_KIB` of memory and a good part of a processor for some 20 ms."""
USERS_MAX = 1000
KEYS_MAX = 8
"""Access keys of one user."""
PASSWORD_LENGTH_MIN = 8
PASSWORD_LENGTH_MAX = 256
KEY_SECRET_LENGTH_MIN = 16

PERMISSIONS = ("TASK_VIEWER", "TASK_MANAGER", "HOST_MANAGER")
_INCLUDES = {"TASK_MANAGER": ("TASK_VIEWER",)}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_OBJECT = re.compile(r"cluster|(?:tenant|host)=[^\s=]{1,128}")
_KEY = re.compile(r"[A-Za-z0-9]{8,64}")
_RESERVED = frozenset({"obshell", "root", "system"})
_TIME_COST, _MEMORY_KIB, _LANES = 2, 19 * 1024, 1
"""What OWASP recommends for argon2id where memory is scarce."""

Kept = dict[str, Any]


class Grant(msgspec.Struct, frozen=True):
    """A permission, on everything or on one object: ``cluster``, ``tenant=NAME`` or ``host=IP:PORT``."""

    permission: str
    object: str = ""

    @classmethod
    def parse(cls, text: str) -> Grant:
        """``PERMISSION`` or ``PERMISSION:OBJECT``. `Refused` ``user.grant``."""
        permission, _, thing = text.partition(":")
        if permission not in PERMISSIONS or (":" in text and not _OBJECT.fullmatch(thing)):
            hint = f"one of {', '.join(PERMISSIONS)}, alone or with :cluster, :tenant=NAME, :host=IP:PORT"
            raise Refused("user.grant", f"{text[:80]!r} is nothing that can be granted", hint=hint)
        return cls(permission, thing)

    def __str__(self) -> str:
        return f"{self.permission}:{self.object}" if self.object else self.permission

    def covers(self, permission: str, objects: Sequence[str]) -> bool:
        """Whether it allows that on something that is, or is part of, these objects."""
        named = permission == self.permission or permission in _INCLUDES.get(self.permission, ())
        return named and (not self.object or self.object in objects)


class AccessKey(msgspec.Struct, frozen=True):
    """An AK and its SK."""

    id: str
    secret: Secret


class User(msgspec.Struct, frozen=True):
    """One account. ``hash`` is argon2id's, in its usual form."""

    id: int
    name: str
    hash: str
    grants: tuple[Grant, ...] = ()
    keys: tuple[AccessKey, ...] = ()
    disabled: bool = False

    def __repr__(self) -> str:
        return f"User({self.id}, {self.name!r})"

    def may(self, permission: str, objects: Sequence[str] = ()) -> bool:
        return not self.disabled and any(grant.covers(permission, objects) for grant in self.grants)

    def holds(self, permission: str) -> bool:
        """At least on something."""
        return not self.disabled and any(grant.covers(permission, (grant.object,)) for grant in self.grants)


class _Accounts(msgspec.Struct, frozen=True):
    last_id: int = 99
    """Numbers of users begin at 100; 0 is whoever asks over OBShell."""
    users: tuple[User, ...] = ()


class Users:
    """The accounts that this agent answers to. Thread-safe."""

    def __init__(
        self, local: LocalAgent, cluster: ClusterFacts, audit: Callable[..., None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept = SharedFact("users", local, cluster, clock=clock)
        self._audit = audit
        self._clock = clock
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(HASHES_AT_ONCE)
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, float] = OrderedDict()

    # Who it is

    def by_password(self, name: str, password: Secret) -> User:
        """`Refused` ``user.refused``, whatever is wrong: it tells nobody which names there are."""
        user = self.find(name)
        if len(password.reveal()) > PASSWORD_LENGTH_MAX:
            raise _refused()
        fits = self._fits(user.hash if user else _nobody(), password)
        if user is None or user.disabled or not fits:
            raise _refused()
        return user

    def by_access_key(self, key: str) -> tuple[User, Secret]:
        """The user of an AK and its SK. `Refused` ``user.refused``."""
        for user in self.all():
            for each in user.keys:
                if each.id == key and not user.disabled:
                    return user, each.secret
        raise _refused()

    def find(self, name: str) -> User | None:
        return next((user for user in self.all() if user.name == name), None)

    def id_of(self, name: str) -> int | None:
        user = self.find(name)
        return None if user is None else user.id

    def all(self) -> tuple[User, ...]:
        """In order of their numbers."""
        return self._accounts().users

    # Changes; each leaves an audit record

    def add(self, name: str, password: Secret, grants: Sequence[str], *, who: str) -> User:
        """`Refused` ``user.name`` ``user.exists`` ``user.password`` ``user.grant`` ``user.limit``."""
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
            raise Refused(
                "user.name", f"{name[:80]!r} cannot be a user's name", hint="letters, digits, . _ @ -; at most 64; not root or obshell"
            )
        given = _grants(grants)
        hashed = self._hash(_checked(password))

        def change(known: _Accounts) -> _Accounts:
            if any(user.name == name for user in known.users):
                raise Refused("user.exists", f"there is a user {name} already")
            if len(known.users) >= USERS_MAX:
                raise Refused("user.limit", f"there are {USERS_MAX} users already")
            number = known.last_id + 1
            return _Accounts(number, (*known.users, User(number, name, hashed, given)))

        return self._named(self._change(change, who, "user add", name), name)

    def grant(self, name: str, grants: Sequence[str], *, who: str) -> User:
        """These and no others; none takes all away. `Refused` ``user.unknown``, ``user.grant``."""
        given = _grants(grants)
        return self._edit(name, who, "user grant", lambda user: msgspec.structs.replace(user, grants=given))

    def disable(self, name: str, *, disabled: bool, who: str) -> User:
        """Neither password nor keys are answered to, until it is enabled again."""
        word = "user disable" if disabled else "user enable"
        return self._edit(name, who, word, lambda user: msgspec.structs.replace(user, disabled=disabled))

    def set_password(self, name: str, password: Secret, *, who: str) -> User:
        hashed = self._hash(_checked(password))
        return self._edit(name, who, "user password", lambda user: msgspec.structs.replace(user, hash=hashed))

    def add_key(self, name: str, key: AccessKey, *, who: str) -> User:
        """An access key that its owner made. `Refused` ``user.keys``, ``user.key``."""
        if not _KEY.fullmatch(key.id) or not KEY_SECRET_LENGTH_MIN <= len(key.secret.reveal()) <= PASSWORD_LENGTH_MAX:
            hint = f"8 to 64 letters and digits; its secret has at least {KEY_SECRET_LENGTH_MIN} characters"
            raise Refused("user.key", "this is no access key", hint=hint)

        def change(known: _Accounts) -> _Accounts:
            user = self._named(known, name)
            if len(user.keys) >= KEYS_MAX:
                raise Refused("user.keys", f"{name} has {KEYS_MAX} access keys already", hint="drop one first")
            if any(each.id == key.id for other in known.users for each in other.keys):
                raise Refused("user.key", "there is such an access key already")
            return _with(known, msgspec.structs.replace(user, keys=(*user.keys, key)))

        return self._named(self._change(change, who, "user key", name), name)

    def drop_key(self, name: str, key: str, *, who: str) -> User:
        """`Refused` ``user.key_unknown``."""

        def edit(user: User) -> User:
            kept = tuple(each for each in user.keys if each.id != key)
            if len(kept) == len(user.keys):
                raise Refused("user.key_unknown", f"{name} has no such access key")
            return msgspec.structs.replace(user, keys=kept)

        return self._edit(name, who, "user drop key", edit)

    def remove(self, name: str, *, who: str) -> None:
        def change(known: _Accounts) -> _Accounts:
            self._named(known, name)
            return _Accounts(known.last_id, tuple(user for user in known.users if user.name != name))

        self._change(change, who, "user remove", name)

    # Where they are kept

    def _edit(self, name: str, who: str, what: str, edit: Callable[[User], User]) -> User:
        return self._named(self._change(lambda known: _with(known, edit(self._named(known, name))), who, what, name), name)

    def _change(self, change: Callable[[_Accounts], _Accounts], who: str, what: str, name: str) -> _Accounts:
        before: list[_Accounts] = []

        def apply(kept: Any) -> Any:
            before[:] = [_read(kept)]
            return _written(change(before[0]))

        known = _read(self._kept.change(apply))
        self._audit(who, what, _shown(before[0], name), _shown(known, name))
        return known

    def _accounts(self) -> _Accounts:
        return _read(self._kept.read())

    @staticmethod
    def _named(known: _Accounts, name: str) -> User:
        for user in known.users:
            if user.name == name:
                return user
        raise Refused("user.unknown", f"there is no user {name[:80]}")

    # Hashes

    def _fits(self, hashed: str, password: Secret) -> bool:
        known = hmac.new(self._key, f"{hashed}\0{password.reveal()}".encode(), sha256).digest()
        now = self._clock()
        with self._lock:
            if now - self._verified.get(known, -VERIFIED_SECONDS) < VERIFIED_SECONDS:
                return True
        with self._hashing:
            fits = _verify(hashed, password)
        if fits:
            with self._lock:
                self._verified[known] = now
                if len(self._verified) > VERIFIED_MAX:
                    self._verified.popitem(last=False)
        return fits

    def _hash(self, password: Secret) -> str:
        with self._hashing:
            return str(_hasher().hash(password.reveal()))


def _with(known: _Accounts, edited: User) -> _Accounts:
    return _Accounts(known.last_id, tuple(edited if user.name == edited.name else user for user in known.users))


def _grants(texts: Sequence[str]) -> tuple[Grant, ...]:
    return tuple(dict.fromkeys(Grant.parse(text) for text in texts))


def _checked(password: Secret) -> Secret:
    if not PASSWORD_LENGTH_MIN <= len(password.reveal()) <= PASSWORD_LENGTH_MAX:
        raise Refused("user.password", f"a password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters")
    return password


def _refused() -> Refused:
    return Refused("user.refused", "name and password, or the access key's signature, are not right")


def _hasher() -> Any:
    from argon2 import PasswordHasher  # only who has users pays for it

    return PasswordHasher(time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=_LANES)


def _verify(hashed: str, password: Secret) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHash

    try:
        return bool(_hasher().verify(hashed, password.reveal()))
    except (Argon2Error, InvalidHash):
        return False


_NOBODY: list[str] = []


def _nobody() -> str:
    """A hash that fits nothing: an unknown name costs as much as a wrong password."""
    if not _NOBODY:
        _NOBODY.append(str(_hasher().hash(secrets.token_hex(16))))
    return _NOBODY[0]


def _read(kept: Any) -> _Accounts:
    """From the fact; its secrets are `Secret` already."""
    return converted(kept or {}, _Accounts, dec_hook=lambda kind, value: value)


def _written(known: _Accounts) -> Kept:
    """As the fact: plain but for `Secret`."""
    users = [
        {
            "id": user.id,
            "name": user.name,
            "hash": user.hash,
            "grants": [{"permission": grant.permission, "object": grant.object} for grant in user.grants],
            "keys": [{"id": key.id, "secret": key.secret} for key in user.keys],
            "disabled": user.disabled,
        }
        for user in known.users
    ]
    return {"last_id": known.last_id, "users": users}


def _shown(known: _Accounts, name: str) -> Mapping[str, Any] | None:
    """For the record: nothing that is secret."""
    for user in known.users:
        if user.name == name:
            keys = [key.id for key in user.keys]
            return {"id": user.id, "name": name, "grants": [str(grant) for grant in user.grants], "keys": keys, "disabled": user.disabled}
    return None
