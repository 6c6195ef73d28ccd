"""A client of OBShell's HTTP API v1 with authentication v2, for oboe's agents and for the vendor's.

Who is root, or the agent's own user, on the agent's host needs no password: then the agent's unix socket is asked, without headers.

One connection, kept open while the agent allows it. A request is never sent twice, except where the first copy was certainly not
carried out: the agent could not read its header, or refused its password (`obshell-wire.md` §4.11, §6.4).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from oboe.cli.connection import is_here, open_connection, open_local, socket_of
from oboe.cli.failure import AnswerError
from oboe.config import Settings
from oboe.domain.errors import OboeError, Refused, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret

__all__ = ["API", "HOSTS", "OWN", "AgentClient", "Answer", "agent_request", "operate_agent"]

API = "/api/v1"
OWN = "/oboe/v1"
HOSTS = f"{OWN}/hosts"

_HEADER_UNREADABLE = 1
"""Legacy error number: the agent could not decrypt the header, because it has another key now."""
_REFUSAL_BYTES_MAX = 64 << 10
_WRONG_PASSWORD = ("IncorrectOceanbasePassword", "IncorrectAgentPassword", "WithAgentPassword", "WithOceanBasePassword")
"""How the codes end that another password may mend."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an agent answered well: ``data`` of the envelope (None when absent) and the agent's clock at that moment."""

    status: int
    data: Any
    timestamp: str


class AgentClient:
    """Speaks to one agent. Not thread-safe.

    ``socket`` is the agent's unix socket: nothing else is asked then. Without one and without a password, an agent of this host is asked
    over the socket of the home that it names, if that lets us in and is the same agent.

    ``ask_password`` is called, once, when the agent refuses the password that is known; None means that there is nobody to ask.
    `candidate` is a password that becomes the right one while a request is under way: a cluster's, as it is being set.
    `stale_seconds` is how old the oldest answer was, said by an agent that cannot reach its cluster's home; 0: all were current.
    """

    def __init__(
        self,
        address: Address,
        *,
        settings: Settings,
        password: Secret | None = None,
        ask_password: Callable[[], Secret | None] | None = None,
        socket: Path | None = None,
    ) -> None:
        self.address = address
        self.socket = socket
        self.candidate: Secret | None = None
        self.stale_seconds = 0.0
        self._settings = settings
        self._password = password
        self._ask_password = ask_password
        self._looks_for_socket = password is None
        self._connection: http.client.HTTPConnection | None = None
        self._key: str | None = None
        self._info: dict[str, Any] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Requests

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Answer:
        return self.request("POST", path, query=query, body=body)

    def public(self, path: str) -> Answer:
        """A route that needs no password."""
        return self._answer(*self._exchange("GET", path, {}, b""))

    def request(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one authenticated request. `AnswerError` for an answer of 400 or more, `Unreachable` for none."""
        target = quote(path, safe="/:~") + ("?" + urlencode(query) if query else "")
        mended: set[str] = set()
        while True:
            try:
                return self._send(method, target, body)
            except AnswerError as error:
                mend = self._mend(error, mended)
                if not mend:
                    raise
                mended.add(mend)

    def events(self, path: str) -> Iterator[str]:
        """The names of server-sent events as they come, on a connection that nothing else uses meanwhile; ends when the agent ends it.

        `AnswerError`, `Refused` ``agent.not_obshell``, `Unreachable`."""
        target = quote(path, safe="/:~")
        headers, _ = self._sealed(target, None)
        self.close()
        try:
            response = self._asked("GET", target, headers, b"")
            if response.status != 200 or not response.headers.get("content-type", "").startswith("text/event-stream"):
                self._answer(response.status, response.read(_REFUSAL_BYTES_MAX))
                return
            for line in response:
                if line.startswith(b"event: "):
                    yield line[7:].decode(errors="replace").strip()
        except (http.client.HTTPException, OSError) as error:
            raise self._unreachable(error) from error
        finally:
            self.close()

    def twin(self, address: Address | None = None) -> AgentClient:
        """Another one that knows what this one knows, for another thread or another agent; it asks nobody for a password."""
        if address is not None:
            return AgentClient(address, settings=self._settings, password=self._password)
        twin = AgentClient(self.address, settings=self._settings, password=self._password, socket=self.socket)
        twin._key, twin._info, twin._looks_for_socket = self._key, self._info, self._looks_for_socket
        return twin

    def info(self) -> dict[str, Any]:
        """``/info`` of the agent, asked for once and again after a refusal."""
        if self._info is None:
            self._info = dict(self.public(f"{API}/info").data)
        return self._info

    # Authentication

    def _send(self, method: str, target: str, body: Mapping[str, Any] | None) -> Answer:
        headers, sent = self._sealed(target, body)
        return self._answer(*self._exchange(method, target, headers, sent))

    def _sealed(self, target: str, body: Mapping[str, Any] | None) -> tuple[dict[str, str], bytes]:
        """Headers and body as they travel: sealed, but over the unix socket as they are."""
        plain = json.dumps(body, ensure_ascii=False).encode() if body else b""
        if self.is_local():
            return {}, plain
        from oboe.remote import secrecy  # cryptography costs 50 ms: only who sends something pays

        header, password = self._credentials()
        if self._key is None:
            self._key = str(self.public(f"{API}/secret").data["public_key"])
        sealed = secrecy.seal_request(
            self._key, password=password, uri=target, body=plain, valid_seconds=self._settings.client_header_seconds
        )
        return {header: sealed.header}, sealed.body

    def is_local(self) -> bool:
        """Whether requests go over the agent's unix socket; looked for once, where no password is known."""
        if self.socket is None and self._looks_for_socket:
            self._looks_for_socket = False
            self.socket = self._find_socket()
        return self.socket is not None

    def _find_socket(self) -> Path | None:
        """Anybody may listen on a port of this host and name a home; what answers there must call itself by the address that was asked."""
        if not is_here(self.address.ip):
            return None
        path = socket_of(Path(str(self.info().get("homePath", ""))))
        try:
            with AgentClient(self.address, settings=self._settings, socket=path) as there:
                named = there.info()
        except (OboeError, OSError):
            return None
        if (named.get("ip"), named.get("port")) != (self.address.ip, self.address.port):
            return None
        self.close()
        return path

    def _credentials(self) -> tuple[str, Secret]:
        """A SINGLE agent has no root password: it is never told the cluster's, and its own only when it has set one."""
        info, password = self.info(), self._password or Secret("")
        if info.get("identity") != "SINGLE":
            return "X-OCS-Header", password
        return ("X-OCS-Agent-Header", password) if info.get("security") else ("X-OCS-Header", Secret(""))

    def _mend(self, error: AnswerError, mended: set[str]) -> str:
        """Find another way to say who asks; each way is tried once in a request. Its name, or empty when there is none left."""
        if error.status != 401:
            return ""
        if error.number == _HEADER_UNREADABLE:
            self._key = None
            return "" if "key" in mended else "key"
        if not error.code.endswith(_WRONG_PASSWORD):
            return ""
        if "identity" not in mended:
            before, self._info = self.info().get("identity"), None
            if self.info().get("identity") != before:
                return "identity"
        if self.candidate is not None:
            self._password, self.candidate = self.candidate, None
            return "candidate"
        if self._ask_password is None:
            return ""
        asked, self._ask_password = self._ask_password(), None
        self._password = asked or self._password
        return "asked" if asked else ""

    # Bytes

    def _exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send and read. A GET is sent again when the agent had closed the kept connection; anything else gets a new connection."""
        if method != "GET":
            self.close()
        kept = self._connection is not None
        try:
            return self._once(method, target, headers, body)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            if kept and not isinstance(error, TimeoutError):
                return self._exchange(method, target, headers, body)
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            "agent.unreachable",
            f"agent {self.address} does not answer: {_reason(error)}",
            hint="is it running there (`oboe agent status`), and is --agent (OBOE_AGENT) right?",
        )

    def _once(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        response = self._asked(method, target, headers, body)
        limit = self._settings.client_answer_bytes_max
        content = response.read(limit + 1)
        if len(content) > limit:
            raise http.client.HTTPException(f"its answer is longer than {limit} bytes")
        if response.will_close:
            self.close()
        self.stale_seconds = max(self.stale_seconds, _seconds(response.headers.get("x-oboe-stale", "")))
        return response.status, content

    def _asked(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> http.client.HTTPResponse:
        if self._connection is None:
            local = self.socket
            self._connection = open_local(local, self._settings) if local else open_connection(self.address, self._settings)
        self._connection.request(method, target, body=body or None, headers=dict(headers))
        return self._connection.getresponse()

    def _answer(self, status: int, content: bytes) -> Answer:
        """Open the envelope."""
        if status == 204:
            return Answer(status, None, "")
        try:
            envelope = json.loads(content)
            error = envelope.get("error")
            answer = Answer(status, envelope.get("data"), str(envelope.get("timestamp", "")))
        except (ValueError, AttributeError) as invalid:
            raise Refused(
                "agent.not_obshell",
                f"{self.address} answered HTTP {status} with something that is not OBShell's API",
                hint="is that the agent's port?",
            ) from invalid
        if status >= 400 or error:
            error = error or {}
            raise AnswerError(
                status,
                str(error.get("errCode") or f"HTTP.{status}"),
                str(error.get("message") or f"HTTP {status}"),
                number=int(error.get("code") or 0),
                hint=str(error.get("hint") or ""),
            )
        return answer


def _seconds(text: str) -> float:
    """0 for what is no number."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def agent_request(action: str, hosts: Sequence[str], *, package: str = "") -> tuple[str, dict[str, Any]]:
    """Path and body of an operation on the agents of hosts (names or numbers of the inventory).

    ``action`` is install, reinstall, uninstall, restart, stop or start; restart and stop take several hosts. ``package`` is a
    directory on the asked agent's host; empty: that agent packs what it runs."""
    if len(hosts) == 1:
        return f"{HOSTS}/{hosts[0]}/agent/{action}", {"package": package} if package else {}
    return f"{OWN}/host-agents/{action}", {"hosts": list(hosts)}


def operate_agent(client: AgentClient, action: str, *hosts: str, package: str = "") -> str:
    """Do that to the agents of these hosts, as `agent_request` says; the id of the dag that does it. It has begun when this returns.

    ::

        with AgentClient(Address("10.0.0.1", 2886), settings=Settings.from_env(), password=Secret("…")) as client:
            dag_id = operate_agent(client, "reinstall", "db7")

    `AnswerError` for what the agent refuses, `Unreachable` when it does not answer."""
    path, body = agent_request(action, hosts, package=package)
    return str(client.post(path, body).data["id"])


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
