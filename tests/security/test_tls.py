"""TLS on the public port: which clients are answered, by which certificate, and that nobody holds anything by being slow."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from obshell import ClientSet
from obshell.auth import PasswordAuth
from obshell.request import ProtocolOptions

from oboe.api.serve import PortTls
from oboe.api.shared.bounds import Bounds
from oboe.cli.main import oboe
from oboe.domain.values import Address
from oboe.kit.secret import Secret
from oboe.remote.authority import Authority, make_request
from oboe.remote.tls import Credentials, public_context
from tests.api.client import Received, send_raw
from tests.api.fakes import FakeControl, served
from tests.api.living import Living, living
from tests.security.test_local_socket import ask

HERE = "127.0.0.1"


def credentials(name: str = "one") -> Credentials:
    authority, (request, key) = Authority.make(name), make_request(Address(HERE, 2886))
    return Credentials(authority.certificate_pem, authority.sign(request, address=Address(HERE, 2886)), key)


def trusting(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority)


def get(port: int, path: str, context: ssl.SSLContext | None) -> Received:
    return send_raw(port, "GET", path, tls=context)


@contextmanager
def port_of(shown: Credentials, *, tls_only: bool = False, bounds: Bounds | None = None) -> Iterator[tuple[int, PortTls]]:
    tls = PortTls()
    tls.show(public_context(shown))
    with served(FakeControl(), tls_only=tls_only, tls=tls, bounds=bounds) as serving:
        yield serving.port, tls


def test_one_port_answers_both_and_the_first_byte_tells() -> None:
    shown = credentials()
    with port_of(shown) as (port, _):
        for context in (trusting(shown.authority_certificate), None) * 2:
            assert get(port, "/api/v1/info", context).status == 200


def test_a_port_without_tls_answers_a_hello_with_an_error_and_goes_on() -> None:
    with served(FakeControl()) as serving:
        with pytest.raises(ssl.SSLError):
            get(serving.port, "/api/v1/info", trusting(credentials().authority_certificate))
        assert get(serving.port, "/api/v1/info", None).status == 200


def test_where_tls_is_required_plain_requests_are_told_so_in_each_dialect() -> None:
    shown = credentials()
    with port_of(shown, tls_only=True) as (port, _):
        for path in ("/api/v1/task/dag/unfinish", "/api/v1/time", "/oboe/v1/users", "/openapi.json", "/docs", "/nosuch", "/rpc/v1/nosuch"):
            refused = get(port, path, None)
            assert (refused.status, refused.code) == (400, "Common.BadRequest"), path
            assert "over TLS only" in refused.envelope["error"]["message"]
        refused = get(port, "/api/v2/tasks/instances", None)
        assert (refused.status, "over TLS only" in refused.envelope["error"]["message"]) == (400, True)
        assert get(port, "/api/v1/time", trusting(shown.authority_certificate)).status == 200


def test_a_body_sent_in_clear_where_tls_is_required_reaches_nobody() -> None:
    with port_of(credentials(), tls_only=True) as (port, _):
        refused = send_raw(port, "POST", "/api/v1/ob/init", {}, b"x" * (1 << 20))
        assert (refused.status, refused.code) == (400, "Common.BadRequest")


def test_what_agents_ask_before_they_share_an_authority_stays_open() -> None:
    with port_of(credentials(), tls_only=True) as (port, _):
        assert [get(port, f"/api/v1/{name}", None).status for name in ("info", "secret", "status")] == [200] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_protocols_are_refused() -> None:
    shown = credentials()
    context = trusting(shown.authority_certificate)
    with port_of(shown) as (port, _):
        for version, taken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
            context.set_ciphers("ALL:@SECLEVEL=0")
            if taken:
                assert get(port, "/api/v1/info", context).status == 200
            else:
                with pytest.raises(ssl.SSLError):
                    get(port, "/api/v1/info", context)


def test_a_client_that_trusts_another_authority_goes_away() -> None:
    with port_of(credentials("one")) as (port, _), pytest.raises(ssl.SSLCertVerificationError):
        get(port, "/api/v1/info", trusting(credentials("two").authority_certificate))


def test_new_certificates_are_shown_to_the_next_connection() -> None:
    before, after = credentials("before"), credentials("after")
    with port_of(before) as (port, tls):
        kept = http.client.HTTPSConnection(HERE, port, context=trusting(before.authority_certificate), timeout=10)
        kept.request("GET", "/api/v1/info")
        kept.getresponse().read()
        tls.show(public_context(after))
        assert get(port, "/api/v1/info", trusting(after.authority_certificate)).status == 200
        kept.request("GET", "/api/v1/info")
        assert kept.getresponse().status == 200
        kept.close()


def closed_within(stream: socket.socket, seconds: float) -> bool:
    begun = time.monotonic()
    stream.settimeout(seconds + 5)
    with suppress(ConnectionResetError):
        while stream.recv(4096):
            pass
    return time.monotonic() - begun < seconds


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"G", b"GET /api/v1/info HTTP/1.1\r\nX: ", b"\r\n"])
def test_who_stops_in_the_middle_is_cut_off_and_holds_nobody_up(said: bytes) -> None:
    bounds = Bounds(head_seconds=0.3)
    with port_of(credentials(), bounds=bounds) as (port, _), socket.create_connection((HERE, port), timeout=10) as stream:
        stream.sendall(said)
        assert get(port, "/api/v1/info", None).status == 200
        assert closed_within(stream, 8)


def test_a_head_that_drips_is_cut_off_however_steadily() -> None:
    bounds = Bounds(head_seconds=0.4)
    with served(FakeControl(), bounds=bounds) as serving, socket.create_connection((HERE, serving.port), timeout=10) as stream:
        stream.sendall(b"GET /api/v1/info HTTP/1.1\r\n")
        stream.settimeout(0.05)
        begun = time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begun < 15:
                stream.sendall(b"X: y\r\n")
                with suppress(TimeoutError):
                    if not stream.recv(100):
                        break
        assert time.monotonic() - begun < 8


def test_silent_connections_beyond_the_bound_are_closed_and_the_port_answers_again() -> None:
    with port_of(credentials(), bounds=Bounds(head_seconds=0.5, connections_max=20)) as (port, _):
        silent = [socket.create_connection((HERE, port), timeout=10) for _ in range(60)]
        assert all(closed_within(one, 5) for one in silent)
        assert get(port, "/api/v1/info", None).status == 200
        for one in silent:
            one.close()


@pytest.mark.parametrize("mode", ["allowed", "required"])
def test_the_vendors_client_speaks_to_an_agent_before_and_after_it_has_a_cluster(tmp_path: Path, mode: str) -> None:
    with living(tmp_path, settings={"tls": mode}) as one:
        authority = tmp_path / "run" / "ca.pem"
        before = authority.read_text()
        client = ClientSet(HERE, one.port, PasswordAuth(""), protocol_options=ProtocolOptions.https(verify_cert=str(authority)))
        assert client.v1.get_info().identity == "SINGLE"
        dag = client.v1.join(HERE, one.port, "zone1")
        assert client.v1.wait_dag_succeed(dag.generic_id)
        assert authority.read_text() != before == authority_of_agent(one)
        assert client.v1.get_info().identity == "MASTER"


def authority_of_agent(one: Living) -> str:
    return one.agent.local.text("own_authority_certificate")


def test_a_joiner_reaches_a_master_whose_port_requires_tls(tmp_path: Path) -> None:
    with living(tmp_path / "a", settings={"tls": "required"}) as one, living(tmp_path / "b", settings={"tls": "required"}) as other:
        for host in (one, other):
            body = json.dumps({"agentInfo": {"ip": HERE, "port": one.port}, "zoneName": f"zone{host.port}"}).encode()
            host.finish(host.send("POST", "/api/v1/agent/join", body))
        assert other.agent.local.identity().name == "FOLLOWER"
        assert (tmp_path / "a" / "run" / "ca.pem").read_text() == (tmp_path / "b" / "run" / "ca.pem").read_text()


def test_no_key_of_a_certificate_is_written_down_in_plain(tmp_path: Path) -> None:
    with living(tmp_path, settings={"tls": "required"}) as one:
        key = one.agent.local.secret("own_certificate_key")
        assert key is not None
        line = key.reveal().splitlines()[1].encode()
        found = [path for path in tmp_path.rglob("*") if path.is_file() and (line in (text := path.read_bytes()) or b"PRIVATE KEY" in text)]
        assert found == []


def test_the_command_line_speaks_tls_where_it_knows_an_authority(tmp_path: Path) -> None:
    with living(tmp_path / "home", settings={"tls": "required"}) as one:
        one.agent.local.remember(agent_password=Secret("known to few"))
        (tmp_path / "other.pem").write_text(credentials("other").authority_certificate)
        words = ["task", "list", "--agent", str(one.agent.address)]

        def asked(**settings: str) -> tuple[int, str]:
            result = CliRunner().invoke(oboe, words, env={"OBOE_PASSWORD": "known to few", **settings})
            return result.exit_code, result.stderr

        assert asked(OBOE_CLIENT_CA_FILE=str(one.agent.port.authority_file)) == (0, "")
        code, told = asked()
        assert (code, "over TLS only" in told) == (1, True)
        code, told = asked(OBOE_CLIENT_CA_FILE=str(tmp_path / "other.pem"))
        assert (code, "certificate verify failed" in told) == (4, True)
        code, told = asked(OBOE_CLIENT_CA_FILE=str(tmp_path / "none.pem"))
        assert (code, "tls.authority" in told) == (1, True)


def test_a_browsers_cookie_goes_over_tls_only_where_it_came_over_tls(tmp_path: Path) -> None:
    with living(tmp_path, settings={"tls": "allowed"}) as one:
        body = {"name": "ada", "password": "long enough", "grants": []}
        assert ask(one.agent.port.socket, "POST", "/oboe/v1/users", body).status == 200
        login = json.dumps({"username": "ada", "password": "long enough"}).encode()
        for tls, secure in ((trusting(one.agent.port.authority_file.read_text()), True), (None, False)):
            answer = send_raw(one.port, "POST", "/api/v2/iam/login", {}, login, tls=tls)
            assert (answer.status, "; Secure" in answer.headers["set-cookie"]) == (200, secure)
