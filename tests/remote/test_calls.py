"""What holds for calls between agents over mutual TLS."""

from __future__ import annotations

import socket
import ssl
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oboe.domain.errors import Bug, OboeError, Refused, Stale, StepFailed, TryAgain, Unreachable
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote import client as client_module
from oboe.remote import server as server_module
from oboe.remote.authority import Authority
from oboe.remote.client import Peers
from oboe.remote.tls import Credentials, server_context
from tests.remote.agents import Agent, Echo, cluster, credentials


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make("oboe test")


@pytest.fixture
def agents(authority: Authority) -> Iterator[list[Agent]]:
    with cluster(3, authority) as found:
        yield found


@pytest.fixture
def hung() -> Iterator[tuple[Address, int]]:
    """An agent that is stopped: its kernel takes connections, nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address("127.0.0.1", 2999), listener.getsockname()[1]


def test_the_caller_is_who_its_certificate_names(agents: list[Agent]) -> None:
    one, two, three = agents
    assert one.echo(two.address) == Echo("hello", str(one.address))
    assert three.echo(two.address) == Echo("hello", str(three.address))


def test_an_agent_answers_itself_without_the_network(agents: list[Agent]) -> None:
    one = agents[0]
    one.server.stop()
    assert one.echo(one.address) == Echo("hello", str(one.address))


def test_an_agent_without_a_certificate_of_the_cluster_calls_nobody(agents: list[Agent]) -> None:
    one, two, _ = agents
    one.peers.reload(None)
    with pytest.raises(Unreachable) as caught:
        one.echo(two.address)
    assert (caught.value.code, str(two.address) in caught.value.message) == ("agent.no_certificate", True)


def test_a_caller_with_a_certificate_of_another_authority_is_refused(agents: list[Agent]) -> None:
    one, two, _ = agents
    foreign = credentials(Authority.make("another"), one.address)
    # It trusts the cluster's authority, so that only the listener can refuse.
    mixed = type(foreign)(one.credentials.authority_certificate, foreign.certificate, foreign.certificate_key)
    one.peers.reload(mixed)
    with pytest.raises(Unreachable):
        one.echo(two.address)


def test_a_listener_of_another_authority_is_refused(agents: list[Agent]) -> None:
    one, two, _ = agents
    one.peers.reload(credentials(Authority.make("another"), one.address))
    with pytest.raises(Unreachable, match="certificate verify failed"):
        one.echo(two.address)


def test_without_any_certificate_nothing_is_answered(agents: list[Agent]) -> None:
    context = ssl.create_default_context(cadata=agents[0].credentials.authority_certificate)
    plain = socket.create_connection(("127.0.0.1", agents[0].server.port), timeout=5)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
        secure.sendall(b"POST /rpc/v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n" + b'{"text":"hi"}')
        try:  # In TLS 1.3 the client learns with its first read that its handshake failed.
            answer = secure.recv(100)
        except (ssl.SSLError, ConnectionError):
            answer = b""
    assert answer == b""


def test_an_agent_that_answers_on_the_port_of_another_is_not_taken_for_it(agents: list[Agent]) -> None:
    one, two, three = agents
    peers = Peers(one.address, lambda agent: two.server.port, one.credentials)
    with pytest.raises(Unreachable, match=f"answered by {two.address}"):
        peers.call(three.address, "echo", Echo("x"), Echo)


def test_a_listener_whose_certificate_is_for_another_ip_is_refused(agents: list[Agent], authority: Authority) -> None:
    one, two, _ = agents
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    certificate = authority._issue(str(two.address), key.public_key(), ("127.0.0.9",))
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    two.server.reload(Credentials(authority.certificate_pem, text, Secret(pem)))
    with pytest.raises(Unreachable, match="IP address mismatch"):
        one.echo(two.address)


def test_a_databases_certificate_is_no_agents(agents: list[Agent], authority: Authority) -> None:
    one, two, _ = agents
    issued = authority.database_certificate("127.0.0.1")
    one.peers.reload(type(one.credentials)(issued.ca, issued.certificate, Secret(issued.key)))
    with pytest.raises(Refused) as caught:
        one.echo(two.address)
    assert caught.value.code == "rpc.no_agent"


def test_a_removed_member_is_refused_on_the_connection_that_it_has(agents: list[Agent]) -> None:
    one, two, _ = agents
    assert one.echo(two.address).text == "hello"
    two.members.remove(one.address)
    with pytest.raises(Refused) as caught:
        one.echo(two.address)
    assert caught.value.code == "agent.not_member"


def test_a_member_that_hangs_costs_no_more_than_the_timeout(agents: list[Agent], hung: tuple[Address, int]) -> None:
    one = agents[0]
    peers = Peers(one.address, lambda agent: hung[1], one.credentials)
    began = time.monotonic()
    with pytest.raises(Unreachable) as caught:
        peers.call(hung[0], "echo", Echo("x"), Echo, timeout=0.3)
    assert time.monotonic() - began < 4
    assert str(hung[0]) in caught.value.message


def test_a_handler_that_hangs_costs_no_more_than_the_timeout(agents: list[Agent]) -> None:
    one, two, _ = agents
    release = threading.Event()
    two.server.on("hang", Echo, lambda caller, request: release.wait(60), long=True)
    with pytest.raises(Unreachable, match="does not answer in time"):
        one.peers.call(two.address, "hang", Echo("x"), bool, timeout=0.3)
    release.set()
    assert one.echo(two.address).text == "hello"


def test_asking_all_is_bounded_by_one_deadline_and_keeps_the_answers(agents: list[Agent], hung: tuple[Address, int]) -> None:
    one, two, three = agents
    dead = Address("127.0.0.1", 2998)
    ports = {two.address: two.server.port, three.address: three.server.port, hung[0]: hung[1], dead: 1}
    peers = Peers(one.address, ports.__getitem__, one.credentials)
    began = time.monotonic()
    answers = peers.call_all([two.address, hung[0], three.address, dead], "echo", Echo("x"), Echo, timeout=3)
    assert time.monotonic() - began < 6
    assert answers[two.address] == answers[three.address] == Echo("x", str(one.address))
    assert {kind.__name__ for kind in (type(answers[hung[0]]), type(answers[dead]))} == {"Unreachable"}


def test_asking_all_is_bounded_though_this_agent_itself_hangs(agents: list[Agent]) -> None:
    one, two, _ = agents
    release = threading.Event()
    for agent, seconds in ((one, 20), (two, 0)):
        agent.server.on("wait", Echo, lambda caller, request, seconds=seconds: Echo(str(release.wait(seconds))))
    began = time.monotonic()
    answers = one.peers.call_all([one.address, two.address], "wait", Echo("x"), Echo, timeout=2)
    assert time.monotonic() - began < 8
    release.set()
    assert (type(answers[one.address]), answers[two.address]) == (Unreachable, Echo("False"))


@pytest.mark.parametrize(
    "raised",
    [
        Refused("maintenance.held", "another dag", hint="wait"),
        TryAgain("cluster.busy", "later", hint="", after_seconds=7.5),
        StepFailed("x.y", "broken"),
        Unreachable("cluster.no_primary", "nobody"),
        Bug("z", "oops"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_it_was_raised(agents: list[Agent], raised: OboeError) -> None:
    one, two, _ = agents
    raised.holder_id = 17  # type: ignore[attr-defined]

    def fail(caller: Address, request: Echo) -> None:
        raise raised

    two.server.on("fail", Echo, fail)
    with pytest.raises(type(raised)) as caught:
        one.peers.call(two.address, "fail", Echo("x"), Echo)
    assert type(caught.value) is type(raised)
    assert vars(caught.value) == vars(raised)


@pytest.mark.parametrize(("raised", "arrives"), [(Stale("v"), TryAgain), (KeyError("secret text"), Bug)])
def test_what_is_no_error_of_ours_does_not_leak(agents: list[Agent], raised: Exception, arrives: type[OboeError]) -> None:
    one, two, _ = agents

    def fail(caller: Address, request: Echo) -> None:
        raise raised

    for agent in (one, two):
        agent.server.on("fail", Echo, fail)
        with pytest.raises(arrives) as caught:
            one.peers.call(agent.address, "fail", Echo("x"), Echo)
        assert "secret text" not in str(caught.value)


def test_an_unknown_verb_and_an_unreadable_request_are_refused(agents: list[Agent]) -> None:
    one, two, _ = agents
    for verb, request, code in (("nothing", Echo("x"), "rpc.unknown_verb"), ("echo", {"text": 1}, "rpc.unreadable")):
        with pytest.raises(Refused) as caught:
            one.peers.call(two.address, verb, request, Echo)
        assert caught.value.code == code


def test_megabytes_pass_and_too_many_are_refused(agents: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, _ = agents
    text = "ü" * (3 << 20)
    assert one.echo(two.address, text, timeout=20).text == text
    monkeypatch.setattr(server_module, "BODY_BYTES_MAX", 1 << 20)
    with pytest.raises(OboeError):
        one.echo(two.address, text, timeout=20)
    assert one.echo(two.address).text == "hello"


def test_connections_are_kept_and_a_restarted_listener_is_found_again(agents: list[Agent], authority: Authority) -> None:
    one, two, _ = agents
    one.echo(two.address)
    kept = [connection for idle in one.peers._idle.values() for connection in idle]
    one.echo(two.address)
    assert [connection for idle in one.peers._idle.values() for connection in idle] == kept
    began = time.monotonic()
    two.server.stop()
    assert time.monotonic() - began < server_module.GRACE_SECONDS, "an idle connection held the listener up"
    assert not kept[0].usable()
    with pytest.raises(Unreachable):
        one.echo(two.address)
    again = server_module.RpcServer(two.address, two.server.verbs, port=two.server.port, allowed=lambda caller: True)
    again.start(credentials(authority, two.address))
    try:
        assert one.echo(two.address).text == "hello"
    finally:
        again.stop()


def test_a_kept_connection_that_is_closed_under_a_call_is_replaced(agents: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, _ = agents
    one.echo(two.address)
    two.server.reload(None)
    two.server.reload(two.credentials)
    monkeypatch.setattr(client_module._Connection, "usable", lambda connection: True)
    assert one.echo(two.address).text == "hello"


def test_new_credentials_take_over_while_a_call_is_under_way(agents: list[Agent]) -> None:
    one, two, _ = agents
    begun, release = threading.Event(), threading.Event()

    def slow(caller: Address, request: Echo) -> Echo:
        begun.set()
        release.wait(60)
        return Echo("slow")

    two.server.on("slow", Echo, slow, long=True)
    answers: list[Echo] = []
    caller = threading.Thread(target=lambda: answers.append(one.peers.call(two.address, "slow", Echo("x"), Echo, timeout=10)))
    caller.start()
    assert begun.wait(60)
    other = Authority.make("the next")
    two.server.reload(credentials(other, two.address))
    release.set()
    caller.join(60)
    assert answers == [Echo("slow")]
    with pytest.raises(Unreachable):
        one.echo(two.address)
    one.peers.reload(credentials(other, one.address))
    assert one.echo(two.address).text == "hello"


def test_a_handler_may_change_the_credentials_that_it_was_called_with(agents: list[Agent], authority: Authority) -> None:
    one, two, _ = agents

    def renew(caller: Address, request: Echo) -> Echo:
        two.server.reload(credentials(authority, two.address))
        return Echo("renewed")

    two.server.on("renew", Echo, renew)
    assert one.peers.call(two.address, "renew", Echo("x"), Echo).text == "renewed"
    assert one.echo(two.address).text == "hello"


def test_without_credentials_nobody_can_connect(agents: list[Agent]) -> None:
    one, two, _ = agents
    two.server.reload(None)
    with pytest.raises(Unreachable):
        one.echo(two.address)
    two.server.reload(two.credentials)
    assert one.echo(two.address).text == "hello"


def test_a_taken_port_is_refused_at_start(agents: list[Agent]) -> None:
    one = agents[0]
    second = server_module.RpcServer(one.address, one.server.verbs, port=one.server.port, allowed=lambda caller: True)
    with pytest.raises(Refused) as caught:
        second.start()
    assert caught.value.code == "rpc.port_taken"


def test_latency_of_a_call_on_loopback(agents: list[Agent]) -> None:
    """Printed, because what it should be depends on the machine; what is asserted is that the connection was kept."""
    one, two, _ = agents
    one.echo(two.address)
    took = []
    for _ in range(200):
        began = time.perf_counter()
        one.echo(two.address)
        took.append((time.perf_counter() - began) * 1000)
    print(f"\na call: median {statistics.median(took):.2f} ms, worst {max(took):.2f} ms")
    assert sum(len(idle) for idle in one.peers._idle.values()) == 1


def test_requests_beyond_what_may_wait_are_asked_to_try_again(agents: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, _ = agents
    begun, release = threading.Event(), threading.Event()

    def slow(caller: Address, request: Echo) -> Echo:
        begun.set()
        release.wait(60)
        return request

    two.server.on("slow", Echo, slow, long=True)
    monkeypatch.setattr(server_module, "WAITING_MAX", 0)
    two.server._long = server_module._Lane("test", 1)
    caller = threading.Thread(target=lambda: one.peers.call(two.address, "slow", Echo("x"), Echo, timeout=60))
    caller.start()
    assert begun.wait(60)
    with pytest.raises(TryAgain) as caught:
        one.peers.call(two.address, "slow", Echo("y"), Echo)
    assert caught.value.code == "rpc.busy"
    assert one.echo(two.address).text == "hello"
    release.set()
    caller.join(60)
    assert one.peers.call(two.address, "slow", Echo("z"), Echo).text == "z"


def test_calls_from_many_threads_at_once_get_their_own_answers(agents: list[Agent]) -> None:
    one, two, _ = agents
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda number: one.echo(two.address, str(number)).text, range(400)))
    assert answers == [str(number) for number in range(400)]
    assert sum(len(idle) for idle in one.peers._idle.values()) <= client_module.IDLE_CONNECTIONS_MAX


def test_an_answer_that_is_too_large_or_breaks_off_is_no_answer(agents: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, _ = agents
    monkeypatch.setattr(client_module, "ANSWER_BYTES_MAX", 1000)
    with pytest.raises(Unreachable, match="more than 1000 bytes"):
        one.echo(two.address, "x" * 2000)
    assert one.echo(two.address).text == "hello"


def test_a_member_that_stops_in_the_middle_of_an_answer_costs_no_more_than_the_timeout(agents: list[Agent]) -> None:
    one, two, _ = agents
    context = server_context(two.credentials)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def half() -> None:
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                secure.recv(1)

        peer = threading.Thread(target=half, daemon=True)
        peer.start()
        peers = Peers(one.address, lambda agent: listener.getsockname()[1], one.credentials)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            peers.call(two.address, "echo", Echo("x"), Echo, timeout=0.4)
        assert time.monotonic() - began < 4
        peer.join(5)


def test_an_ipv6_agent_is_called_like_any_other(authority: Authority) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    address = Address("::1", 2886)
    try:
        agent = Agent(address, authority, {})
    except Refused:
        pytest.skip("no IPv6 loopback here")
    try:
        peers = Peers(address, lambda _: agent.server.port, agent.credentials)
        assert peers.call(address, "echo", Echo("six"), Echo) == Echo("six", "[::1]:2886")
        peers.close()
    finally:
        agent.close()
