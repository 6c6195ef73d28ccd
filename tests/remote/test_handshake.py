"""What holds for the sealed exchanges of the public port."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from oboe.domain.errors import OboeError, Refused, TryAgain, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote import handshake, sealing
from oboe.remote.authority import Authority, check_certificate, make_request
from oboe.remote.handshake import (
    Acceptance,
    Dismissal,
    Enlister,
    JoinAnswer,
    Joiner,
    JoinRequest,
    LeaveRequest,
    MayJoinRequest,
    Offer,
    OfferRequest,
)
from oboe.remote.reception import handshake_routes
from oboe.remote.secrecy import KeyPair, new_key_pair

JOINER = Address("10.0.0.9", 2886)
PASSWORD = Secret("of the agent")
CLUSTER_KEY = Secret("c1" * 32)
TOKEN = Secret("t" * 40)
Http = Callable[..., tuple[int, str | None, bytes]]


class Handlers:
    """An agent that is MASTER to joiners and SINGLE to enlisters; ``heard`` is all that it carried out."""

    def __init__(self, keys: KeyPair) -> None:
        self.keys = keys
        self.authority = Authority.make("oboe test")
        self.heard: list[Any] = []
        self.token: Secret | None = None
        self.skew = 0.0
        self.guesses: list[str] = []

    def guessed(self, source: str) -> float:
        self.guesses.append(source)
        return 0.0

    def private_key(self) -> Secret:
        return self.keys.private_pem

    def authenticate(self, password: Secret) -> None:
        if password != PASSWORD:
            raise Refused("auth.wrong_password", "that is not the password")

    def cluster_key(self) -> Secret | None:
        return CLUSTER_KEY

    def dismissal_token(self) -> Secret | None:
        return self.token

    def may_join(self, request: MayJoinRequest) -> None:
        self.heard.append(request)

    def join(self, request: JoinRequest) -> JoinAnswer:
        self.heard.append(request)
        certificate = self.authority.sign(request.csr, address=request.address)
        return JoinAnswer(self.authority.certificate_pem, certificate, CLUSTER_KEY.reveal(), [request.member], "10.0.0.1:2886")

    def leave(self, request: LeaveRequest) -> None:
        self.heard.append(request)

    def offer(self, request: OfferRequest) -> Offer:
        self.heard.append(request)
        return Offer({"ip": JOINER.ip, "port": JOINER.port}, make_request(JOINER)[0])

    def accept(self, request: Acceptance) -> None:
        self.heard.append(request)
        self.token = request.token

    def dismiss(self, request: Dismissal) -> None:
        self.heard.append(request)
        self.token = None


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Address, Handlers]]:
    handlers = Handlers(new_key_pair())

    async def secret(request: Any) -> JSONResponse:
        return JSONResponse({"successful": True, "data": {"public_key": handlers.keys.public_key}})

    routes = [
        Route("/api/v1/secret", secret),
        *handshake_routes(handlers, clock=lambda: time.time() + handlers.skew, guessed=handlers.guessed),
    ]
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield Address("127.0.0.1", listener.getsockname()[1]), handlers
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def master(served: tuple[Address, Handlers]) -> tuple[Address, Handlers]:
    address, handlers = served
    handlers.heard, handlers.guesses, handlers.token, handlers.skew = [], [], None, 0.0
    return address, handlers


def _request() -> tuple[JoinRequest, Secret]:
    csr, key = make_request(JOINER)
    return JoinRequest({"ip": JOINER.ip, "port": JOINER.port, "rpc_port": 3886}, csr, "zone1"), key


def _acceptance() -> Acceptance:
    return Acceptance("ca", "certificate", CLUSTER_KEY, [{"ip": "10.0.0.1", "port": 2886}], Address("10.0.0.1", 2886), TOKEN)


def test_a_joiner_gets_a_certificate_and_the_clusters_key(master: tuple[Address, Handlers]) -> None:
    address, handlers = master
    request, key = _request()
    answer = Joiner().join(address, request, PASSWORD)
    check_certificate(answer.certificate, key, answer.authority_certificate, address=JOINER)
    assert (answer.cluster_key, answer.members, handlers.heard) == (CLUSTER_KEY.reveal(), [request.member], [request])
    assert handlers.guesses == []
    assert CLUSTER_KEY.reveal() not in repr(answer)


def test_a_wrong_password_lets_nobody_in(master: tuple[Address, Handlers]) -> None:
    address, handlers = master
    for call in (
        lambda: Joiner().join(address, _request()[0], Secret("guess")),
        lambda: Enlister().offer(address, OfferRequest(JOINER), Secret("")),
        lambda: Enlister().accept(address, _acceptance(), Secret("guess")),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "auth.wrong_password"
    assert (handlers.heard, handlers.guesses) == ([], ["127.0.0.1"] * 3)


def test_an_agent_is_enlisted_and_dismissed_by_who_holds_the_token(master: tuple[Address, Handlers]) -> None:
    address, handlers = master
    enlister, leader = Enlister(), Address("10.0.0.1", 2886)
    offer = enlister.offer(address, OfferRequest(leader, "0.1.0"), PASSWORD)
    assert offer.address == JOINER
    enlister.accept(address, _acceptance(), PASSWORD)
    with pytest.raises(Refused) as caught:
        enlister.dismiss(address, leader, Secret("another token"))
    assert caught.value.code == "handshake.not_understood"
    enlister.dismiss(address, leader, TOKEN)
    enlister.dismiss(address, leader, TOKEN)
    assert handlers.heard == [OfferRequest(leader, "0.1.0"), _acceptance(), Dismissal(leader)]


def test_a_joiner_leaves_with_the_clusters_key_and_not_without(master: tuple[Address, Handlers]) -> None:
    address, handlers = master
    with pytest.raises(Refused):
        Joiner().leave(address, JOINER, Secret("another key"))
    Joiner().leave(address, JOINER, None)
    assert handlers.heard == []
    Joiner().leave(address, JOINER, CLUSTER_KEY)
    assert handlers.heard == [LeaveRequest(JOINER)]


def test_an_error_of_the_master_arrives_sealed_and_as_it_was_raised(
    master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handlers = master
    seen: list[bytes] = []
    original: Http = handshake._http

    def watched(*args: Any) -> tuple[int, str | None, bytes]:
        answer = original(*args)
        if args[1] == "POST":
            seen.append(base64.b64decode(answer[2], validate=True))
        return answer

    def refuse(password: Secret) -> None:
        raise TryAgain("maintenance.held", "an init runs", hint="wait", after_seconds=3.0)

    monkeypatch.setattr(handshake, "_http", watched)
    monkeypatch.setattr(handlers, "authenticate", refuse)
    with pytest.raises(TryAgain) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert (caught.value.code, caught.value.hint, caught.value.after_seconds) == ("maintenance.held", "wait", 3.0)
    assert len(seen) == 1
    assert b"maintenance" not in seen[0]


def _flip(text: bytes, at: int) -> bytes:
    """Another base64 character in that place."""
    place = at % len(text)
    return text[:place] + (b"A" if text[place : place + 1] != b"A" else b"B") + text[place + 1 :]


PLACES = [0, 1, 100, 343, 344, 700, -3]


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("part", ["header", "seal", "body"])
def test_a_request_that_was_altered_changes_nothing(
    master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch, part: str, at: int
) -> None:
    address, handlers = master
    original: Http = handshake._http

    def altered(agent: Address, method: str, path: str, headers: dict[str, str], body: bytes, deadline: float) -> Any:
        if method == "POST":
            name = {"header": sealing.HEADER, "seal": sealing.SEAL}.get(part)
            if name:
                headers = headers | {name: _flip(headers[name].encode(), at).decode()}
            else:
                body = _flip(body, at)
        return original(agent, method, path, headers, body, deadline)

    monkeypatch.setattr(handshake, "_http", altered)
    with pytest.raises(Refused) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert (caught.value.code, handlers.heard) == ("handshake.not_understood", [])


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("part", ["status", "seal", "body", "unsealed"])
def test_an_answer_that_was_altered_is_not_taken(
    master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch, part: str, at: int
) -> None:
    address, _ = master
    original: Http = handshake._http

    def altered(agent: Address, method: str, *rest: Any) -> Any:
        status, seal, body = original(agent, method, *rest)
        if method == "GET" or seal is None:
            return status, seal, body
        return {
            "status": (409, seal, body),
            "seal": (status, _flip(seal.encode(), at).decode(), body),
            "body": (status, seal, _flip(body, at)),
            "unsealed": (status, None, body),
        }[part]

    monkeypatch.setattr(handshake, "_http", altered)
    with pytest.raises((Refused, Unreachable)) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert caught.value.code == ("handshake.unsealed" if part == "unsealed" else "handshake.altered")


def test_a_request_for_one_purpose_does_not_serve_another(master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch) -> None:
    address, handlers = master
    original: Http = handshake._http

    def redirected(agent: Address, method: str, path: str, *rest: Any) -> Any:
        return original(agent, method, handshake.ACCEPT if path == handshake.OFFER else path, *rest)

    monkeypatch.setattr(handshake, "_http", redirected)
    with pytest.raises(Refused):
        Enlister().offer(address, OfferRequest(JOINER), PASSWORD)
    assert handlers.heard == []


def test_a_request_is_carried_out_once(master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch) -> None:
    address, handlers = master
    original: Http = handshake._http

    def twice(agent: Address, method: str, *rest: Any) -> Any:
        original(agent, method, *rest)
        return original(agent, method, *rest)

    monkeypatch.setattr(handshake, "_http", twice)
    with pytest.raises(Refused) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert (caught.value.code, len(handlers.heard)) == ("handshake.replayed", 1)


@pytest.mark.parametrize("skew", [sealing.VALID_SECONDS + 5, -sealing.AHEAD_SECONDS_MAX])
def test_a_request_out_of_time_is_refused_and_told_why(master: tuple[Address, Handlers], skew: float) -> None:
    address, handlers = master
    handlers.skew = skew
    with pytest.raises(Refused) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert (caught.value.code, caught.value.hint, handlers.heard) == ("handshake.expired", "compare the hosts' clocks", [])


def test_another_key_in_place_of_the_masters_gets_no_answer_of_the_master(
    master: tuple[Address, Handlers], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handlers = master
    other = new_key_pair().public_key
    monkeypatch.setattr(handshake, "ask_public", lambda agent, path, **options: {"public_key": other})
    with pytest.raises(Refused) as caught:
        Joiner().join(address, _request()[0], PASSWORD)
    assert (caught.value.code, handlers.heard) == ("handshake.not_understood", [])


def test_an_agent_that_is_away_or_is_none_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
            Joiner().join(Address("127.0.0.1", port), _request()[0], PASSWORD, timeout=0.3)
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        Joiner().join(Address("127.0.0.1", port), _request()[0], PASSWORD, timeout=0.3)


def test_the_memory_of_replays_is_bounded_and_forgets_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "REPLAYS_MAX", 2)
    replays = sealing.Replays()
    replays.note("a", 100, 50)
    replays.note("b", 200, 50)
    with pytest.raises(TryAgain):
        replays.note("c", 100, 60)
    replays.note("c", 300, 150)
    with pytest.raises(OboeError) as caught:
        replays.note("b", 200, 150)
    assert caught.value.code == "handshake.replayed"
