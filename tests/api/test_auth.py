"""Who may ask: every identity, every header, every wrong moment."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oboe.api.app import app
from oboe.api.obshell import opening
from oboe.api.obshell.replays import Replays
from oboe.api.obshell.sessions import Sessions
from oboe.api.shared.throttle import DELAY_SECONDS_MAX, FREE_FAILURES, Throttle
from oboe.control.port import ForwardedAnswer, ForwardedRequest
from oboe.domain.errors import Refused
from oboe.domain.values import Address, Identity
from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .client import get, send, send_raw
from .fakes import PAIR, FakeControl, FakeKeys, served
from .test_sdk import hold, recorded

ROUTE = "/api/v1/task/dag/unfinish"
ROOT, AGENT = "X-OCS-Header", "X-OCS-Agent-Header"

EXPIRED = "Security.Authentication.Expired"
WRONG_ROOT = "Security.Authentication.IncorrectOceanbasePassword"
WRONG_AGENT = "Security.Authentication.IncorrectAgentPassword"
NEEDS_AGENT = "Security.Authentication.WithAgentPassword"
NEEDS_ROOT = "Security.Authentication.WithOceanBasePassword"
UNREADABLE = "Security.Authentication.Header.DecryptFailed"
BAD_TIME = "Security.Authentication.Timestamp.Invalid"


def keys(identity: str, root: str | None, agent: str | None) -> FakeKeys:
    return FakeKeys(who=Identity[identity], root=root, agent=agent)


@pytest.mark.parametrize(
    ("identity", "root", "agent", "header", "password", "code"),
    [
        ("SINGLE", None, None, ROOT, "anything", ""),
        ("SINGLE", None, None, AGENT, "anything", ""),
        ("SINGLE", None, "ap", ROOT, "ap", NEEDS_AGENT),
        ("SINGLE", None, "ap", AGENT, "ap", ""),
        ("SINGLE", None, "ap", AGENT, "no", WRONG_AGENT),
        ("SINGLE", None, "ap", AGENT, secrecy.seal_text(PAIR.public_key, b"ap"), ""),
        ("MASTER", "", None, ROOT, "", ""),
        ("MASTER", "", None, ROOT, "x", WRONG_ROOT),
        ("CLUSTER_AGENT", "pw1", None, ROOT, "pw1", ""),
        ("CLUSTER_AGENT", "pw1", None, ROOT, "", WRONG_ROOT),
        ("CLUSTER_AGENT", "pw1", None, AGENT, "pw1", NEEDS_ROOT),
        ("CLUSTER_AGENT", "pw1", "ap", AGENT, "ap", ""),
        ("CLUSTER_AGENT", "pw1", "ap", AGENT, "pw1", WRONG_AGENT),
        ("CLUSTER_AGENT", "pw1", "ap", ROOT, "pw1", ""),
        ("CLUSTER_AGENT", "pw1", "ap", ROOT, "ap", WRONG_ROOT),
        ("SCALING_OUT", None, "ap", ROOT, "ap", NEEDS_AGENT),
        ("SCALING_OUT", None, "ap", AGENT, "ap", ""),
        ("SCALING_OUT", None, None, AGENT, "", NEEDS_ROOT),
        ("UNIDENTIFIED", None, None, ROOT, "", WRONG_ROOT),
        ("SCALING_IN", "pw1", None, ROOT, "pw1", ""),
    ],
)
def test_each_identity_asks_for_its_password(
    control: FakeControl, port: int, identity: str, root: str | None, agent: str | None, header: str, password: str, code: str
) -> None:
    vars(control.keys).update(vars(keys(identity, root, agent)))
    received = get(port, ROUTE, header=header, password=password)
    assert (received.status, "" if received.status == 200 else received.code) == (401 if code else 200, code)
    if code:
        assert received.envelope["error"]["code"] == 10008
        assert control.asked == []


@pytest.mark.parametrize(
    ("agent", "header", "password", "identity", "code"),
    [
        (None, ROOT, "pw1", "CLUSTER_AGENT", ""),
        (None, ROOT, "no", "CLUSTER_AGENT", WRONG_ROOT),
        (None, AGENT, "pw1", "CLUSTER_AGENT", NEEDS_ROOT),
        ("old", AGENT, "old", "CLUSTER_AGENT", ""),
        ("old", ROOT, "pw1", "CLUSTER_AGENT", NEEDS_AGENT),
        ("old", AGENT, "pw1", "CLUSTER_AGENT", WRONG_AGENT),
        (None, ROOT, "", "SINGLE", ""),
        ("old", AGENT, "old", "SINGLE", ""),
        ("old", AGENT, "", "SINGLE", WRONG_AGENT),
        (None, ROOT, "pw1", "MASTER", ""),
        (None, ROOT, "pw1", "FOLLOWER", "Agent.Identify.NotSupportOperation"),
    ],
)
def test_the_agent_password_is_set_by_whoever_knows_the_old_one(
    control: FakeControl, port: int, agent: str | None, header: str, password: str, identity: str, code: str
) -> None:
    vars(control.keys).update(vars(keys(identity, "pw1", agent)))
    received = send(port, "POST", "/api/v1/agent/password", {"password": "new"}, header=header, password=password)
    assert control.keys.agent == (agent if code else "new")
    if code:
        assert received.code == code
    else:
        assert list(received.envelope) == ["successful", "timestamp", "duration", "status", "traceId"]


@pytest.mark.parametrize(("password", "status"), [("x" * 1024, 200), ("x" * 1025, 400), ("\u043f" * 341, 200), ("\u043f" * 342, 400)])
def test_a_password_that_is_set_can_be_sent(control: FakeControl, port: int, password: str, status: int) -> None:
    """As JSON, which writes letters of other scripts in six."""
    assert send(port, "POST", "/api/v1/agent/password", {"password": password}).status == status
    if status == 200:
        header = secrecy.seal_text(PAIR.public_key, json.dumps(members_of(password)).encode())
        assert send_raw(port, "GET", ROUTE, {AGENT: header}).status == 200


def members_of(password: str) -> dict[str, str]:
    keys = base64.b64encode(secrecy.secrets.token_bytes(32)).decode()
    return {"auth": password, "ts": str(int(time.time()) + 60), "uri": ROUTE, "keys": keys}


def test_ids_of_obproxy_ask_for_the_agent_password_alone(control: FakeControl, port: int) -> None:
    route = "/api/v1/task/dag/42130706433038861"
    assert get(port, route).code == NEEDS_AGENT
    assert get(port, route, header=AGENT).code == "Security.Authentication.AgentPasswordNotInitialized"
    control.keys.agent = "ap"
    assert get(port, route, header=AGENT, password="no").code == WRONG_AGENT
    assert get(port, route, header=AGENT, password="ap").code == "Task.NotFound"


# The header itself


def test_a_header_for_another_target_is_refused(port: int) -> None:
    assert get(port, ROUTE, uri=ROUTE + "?show_details=true").code == "Security.Authentication.Header.UriMismatch"
    assert get(port, ROUTE + "?name=a%20b").status == 200


@pytest.mark.parametrize(("seconds", "code"), [(-2, EXPIRED), (599, ""), (700, BAD_TIME), (10**15, BAD_TIME)])
def test_a_header_is_valid_for_at_most_ten_minutes(port: int, seconds: int, code: str) -> None:
    received = get(port, ROUTE, valid_seconds=seconds)
    assert ("" if received.status == 200 else received.code) == code


def test_a_header_is_used_once(control: FakeControl, port: int) -> None:
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri=ROUTE)
    answers = [send_raw(port, "GET", ROUTE, {ROOT: sealed.header}) for _ in range(3)]
    assert [each.status for each in answers] == [200, 401, 401]
    assert answers[1].code == EXPIRED
    assert len(control.asked) == 1


def test_the_same_keys_in_another_header_are_a_replay(port: int) -> None:
    """Who sees a header may encrypt parts of it anew only with the keys, and those count."""
    members = {"auth": "pw1", "uri": ROUTE, "keys": base64.b64encode(b"k" * 32).decode()}
    times = [str(int(time.time()) + ahead) for ahead in (60, 60, 61, 300)]
    headers = [secrecy.seal_text(PAIR.public_key, json.dumps(members | {"ts": expires}).encode()) for expires in times]
    assert [send_raw(port, "GET", ROUTE, {ROOT: each}).status for each in headers] == [200, 401, 401, 401]


def test_of_many_replays_at_once_one_gets_through(port: int) -> None:
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri=ROUTE)
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: send_raw(port, "GET", ROUTE, {ROOT: sealed.header}).status, range(16)))
    assert sorted(statuses) == [200] + [401] * 15


def test_a_wrong_password_uses_nothing_up(control: FakeControl, port: int) -> None:
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw2"), uri=ROUTE)
    assert send_raw(port, "GET", ROUTE, {ROOT: sealed.header}).code == WRONG_ROOT
    control.keys.root = "pw2"
    assert send_raw(port, "GET", ROUTE, {ROOT: sealed.header}).status == 200


def _sealed(**members: Any) -> str:
    known = {"auth": "pw1", "ts": str(int(time.time()) + 60), "uri": ROUTE, "keys": base64.b64encode(b"k" * 32).decode()}
    return secrecy.seal_text(PAIR.public_key, json.dumps(known | members).encode())


GOOD = _sealed()


@pytest.mark.parametrize(
    "value",
    [
        "AAAA",
        "%%%",
        GOOD[:-8],
        GOOD[:-1],
        GOOD[4:],
        GOOD + GOOD[:64],
        GOOD[:400] + ("A" if GOOD[400] != "A" else "B") + GOOD[401:],
        base64.b64encode(b"\0" * 256).decode(),
        secrecy.seal_text(secrecy.new_key_pair().public_key, b"{}"),
        secrecy.seal_text(PAIR.public_key, b"[]"),
        _sealed(keys="*"),
        _sealed(auth=5),
        _sealed(auth="\ud800"),
        _sealed(uri=None, auth=["x"]),
        "A" * 15000,
    ],
)
def test_whatever_cannot_be_opened_is_answered_alike(port: int, value: str) -> None:
    received = send_raw(port, "GET", ROUTE, {ROOT: value})
    envelope = received.envelope
    assert (received.status, envelope["traceId"], received.headers["content-type"]) == (401, "", "application/json; charset=utf-8")
    message = "it cannot be decrypted (fetch the public key again: GET /api/v1/secret)"
    assert envelope["error"] == {"code": 1, "errCode": UNREADABLE, "message": message}


@pytest.mark.parametrize("body", [b"{}", b"eHh4", b"AAAA" * 6, b"\xff\xfe", base64.b64encode(b"\0" * 32)])
def test_a_body_that_cannot_be_opened_is_answered_like_a_header(port: int, body: bytes) -> None:
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri="/api/v1/ob/init")
    received = send_raw(port, "POST", "/api/v1/ob/init", {ROOT: sealed.header}, body)
    assert (received.status, received.envelope["error"]["code"], received.code) == (401, 1, UNREADABLE)


def test_no_header_and_an_empty_one_are_told(port: int) -> None:
    for headers in ({}, {ROOT: ""}, {"X-OCS-Auth": "AAAA"}):
        received = send_raw(port, "GET", ROUTE, headers)
        assert (received.status, received.code) == (400, "Request.Header.NotFound")


def test_of_two_headers_the_agents_counts(control: FakeControl, port: int) -> None:
    control.keys.agent = "ap"
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("ap"), uri=ROUTE)
    assert send_raw(port, "GET", ROUTE, {AGENT: sealed.header, ROOT: "AAAA"}).status == 200


def test_a_header_of_sixteen_kilobytes_is_read(port: int) -> None:
    target = ROUTE + "?x=" + "y" * 2200
    assert get(port, target).status == 200


# A FOLLOWER and its MASTER


def test_a_follower_passes_everything_on_and_the_master_verifies_it() -> None:
    master = FakeControl(keys=FakeKeys(who=Identity.MASTER, root="pw1"))
    view = recorded("Local scale out", "SUCCEED", file="20_scaleout_existing_zone.jsonl")
    owner = hold(master, view).home.agent
    assert owner is not None
    behind = app(master)
    follower = FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None), here=owner, master=behind.answer_forwarded)
    from .fakes import served

    with served(follower) as serving:
        route = "/api/v1/task/dag/maintain/agent"
        assert get(serving.port, route).data["name"] == "Local scale out"
        assert get(serving.port, route, password="no").code == WRONG_ROOT
        assert get(serving.port, route, header=AGENT).code == "Request.Forward.Header.NotExist"
        assert send(serving.port, "POST", "/api/v1/task/dag/11", {"operator": "RETRY"}).code == "Task.NotFound"
        assert get(serving.port, "/api/v1/info").data["identity"] == "FOLLOWER"
    asked = [request for name, request in follower.asked if name == "forward"]
    assert json.loads(asked[-1].body) == {"operator": "RETRY"}
    assert "pw1" not in repr(asked)
    behind.stop()


def test_a_header_that_the_master_refused_may_be_sent_again_and_one_it_took_may_not() -> None:
    statuses = iter([401, 200])

    def master(request: ForwardedRequest) -> ForwardedAnswer:
        return ForwardedAnswer(next(statuses), "application/json", b"{}")

    follower = FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None), master=master)
    from .fakes import served

    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw1"), uri=ROUTE)
    with served(follower) as serving:
        received = [send_raw(serving.port, "GET", ROUTE, {ROOT: sealed.header}) for _ in range(3)]
    assert [each.status for each in received] == [401, 200, 401]
    assert received[2].code == EXPIRED


def test_a_follower_without_a_master_says_so() -> None:
    from .fakes import served

    follower = FakeControl(keys=FakeKeys(who=Identity.FOLLOWER, root=None))
    follower.raises["forward"] = Refused("forward.no_master", "none is known")
    with served(follower) as serving:
        assert get(serving.port, ROUTE).code == "Request.Forward.MasterAgent.NotFound"


@pytest.mark.parametrize("key", [PAIR.public_key, secrecy.new_key_pair().public_key], ids=["the MASTER's key", "the FOLLOWER's"])
def test_a_password_encrypted_for_a_follower_cannot_be_used_by_the_master(key: str) -> None:
    control = FakeControl(keys=FakeKeys(who=Identity.MASTER, root="pw1"))
    behind = app(control)
    body = json.dumps({"clusterId": 1, "clusterName": "c", "rootPwd": secrecy.seal_text(key, b"new")}).encode()
    request = ForwardedRequest("POST", "/api/v1/obcluster/config", body, ROOT, Secret("pw1"), Address("127.0.0.1", 1))
    answer = behind.answer_forwarded(request)
    assert json.loads(answer.body)["error"]["errCode"] == "OB.Cluster.Password.Encrypted"
    assert control.changed == []
    behind.stop()


# Sessions


def opened(answer: Any, drawn: bytes) -> str:
    return secrecy.open_body(drawn, answer.data.encode()).decode()


def in_session(port: int, method: str, target: str, body: Any = None, **members: str) -> Any:
    drawn = secrecy.secrets.token_bytes(32)
    known = {"ts": str(int(time.time()) + 60), "uri": target, "keys": base64.b64encode(drawn).decode()}
    header = secrecy.seal_text(PAIR.public_key, json.dumps(known | members).encode())
    sent = b"" if body is None else secrecy.seal_body(drawn, json.dumps(body).encode())
    return send_raw(port, method, target, {ROOT: header}, sent), drawn


def login(port: int) -> str:
    received, drawn = in_session(port, "POST", "/api/v1/login", auth="pw1")
    return opened(received, drawn)


def test_a_session_stands_for_the_password_until_it_is_ended(control: FakeControl, port: int) -> None:
    session = login(port)
    assert len(session) == 64
    assert in_session(port, "GET", ROUTE, session_id=session)[0].status == 200
    assert in_session(port, "GET", ROUTE, session_id="f" * 64)[0].code == "Security.Authentication.SessionInvalid"
    other = login(port)
    foreign = in_session(port, "POST", "/api/v1/logout", {"session_id": other}, session_id=session)[0]
    assert foreign.code == "Security.Authentication.SessionInvalid"
    assert in_session(port, "POST", "/api/v1/logout", {"session_id": session}, session_id=session)[0].status == 200
    assert in_session(port, "GET", ROUTE, session_id=session)[0].code == "Security.Authentication.SessionInvalid"


def test_a_change_of_password_ends_every_session(control: FakeControl, port: int) -> None:
    session = login(port)
    control.keys.root = "pw2"
    assert in_session(port, "GET", ROUTE, session_id=session)[0].code == "Security.Authentication.SessionInvalid"


def test_a_single_agent_without_a_password_lets_anybody_log_in_until_there_is_one(control: FakeControl, port: int) -> None:
    control.keys.who, control.keys.root = Identity.SINGLE, None
    session = opened(*in_session(port, "POST", "/api/v1/login", auth="whatever"))
    control.keys.who, control.keys.root = Identity.CLUSTER_AGENT, "pw1"
    received, _ = in_session(port, "GET", ROUTE, session_id=session)
    assert received.code == "Security.Authentication.SessionInvalid"


def test_a_token_is_exchanged_once(port: int) -> None:
    received, drawn = in_session(port, "POST", "/api/v1/sso/token", session_id=login(port))
    token = opened(received, drawn)
    received, drawn = in_session(port, "GET", "/api/v1/sso/exchange", ssotoken=token)
    assert in_session(port, "GET", ROUTE, session_id=opened(received, drawn))[0].status == 200
    codes = [in_session(port, "GET", "/api/v1/sso/exchange", ssotoken=each)[0].code for each in (token, "", "f" * 64)]
    assert codes == ["Security.SSO.Token.AlreadyUsed", "Security.SSO.Token.Missing", "Security.SSO.Token.NotFound"]


@pytest.mark.parametrize("size", [0, 1, 15, 16, 31, 33, 48])
@pytest.mark.parametrize("route", ["POST /api/v1/login", "POST /api/v1/sso/token", "GET /api/v1/sso/exchange"])
def test_keys_that_encrypt_nothing_cost_no_session_and_no_token(port: int, route: str, size: int) -> None:
    method, target = route.split()
    received, drawn = in_session(port, "POST", "/api/v1/sso/token", auth="pw1")
    token = opened(received, drawn)
    keys = base64.b64encode(bytes(range(size))).decode()
    received, _ = in_session(port, method, target, auth="pw1", ssotoken=token, keys=keys)
    assert (received.status, received.code) == (400, "Request.AESKey.NotFound")
    received, drawn = in_session(port, "GET", "/api/v1/sso/exchange", ssotoken=token)
    assert len(opened(received, drawn)) == 64


def test_a_login_without_keys_cannot_be_answered(port: int) -> None:
    received, _ = in_session(port, "POST", "/api/v1/login", auth="pw1", keys="")
    assert received.code == "Request.AESKey.NotFound"


def test_an_idle_session_expires() -> None:
    sessions = Sessions(lambda: ())
    session = sessions.begin(0.0)
    sessions.check(session, 1700.0)
    sessions.check(session, 3400.0)
    with pytest.raises(Refused, match="idle"):
        sessions.check(session, 5300.0)


def test_an_old_token_is_refused() -> None:
    sessions = Sessions(lambda: ())
    token = sessions.new_token(100.0)
    with pytest.raises(Refused, match="too old"):
        sessions.exchange(token, 161.0)


# What is remembered has an end


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=200), st.integers(1, 12))
def test_no_header_is_ever_accepted_twice_however_little_room_there_is(sent: list[tuple[int, int]], limit: int) -> None:
    replays = Replays(limit)
    accepted: set[tuple[int, int]] = set()
    for drawn, expires in sent:
        if replays.use(bytes([drawn]), expires, 0.0):
            assert (drawn, expires) not in accepted
            accepted.add((drawn, expires))


def test_expired_headers_make_room_without_refusing_anybody() -> None:
    replays = Replays(2)
    assert all(replays.use(bytes([drawn]), 10 + drawn, float(drawn + 10)) for drawn in range(50))


def test_only_those_who_keep_failing_wait() -> None:
    throttle = Throttle()
    delays = [throttle.failed("10.0.0.1", 0.0) for _ in range(FREE_FAILURES + 8)]
    assert delays[:FREE_FAILURES] == [0.0] * FREE_FAILURES
    assert delays[FREE_FAILURES:] == sorted(delays[FREE_FAILURES:])
    assert 0.0 < delays[FREE_FAILURES] < delays[-1] == DELAY_SECONDS_MAX
    assert throttle.failed("10.0.0.2", 0.0) == 0.0
    assert throttle.failed("10.0.0.1", 1000.0) == 0.0


@pytest.fixture
def several_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("several_processors")
def test_work_begins_before_a_request_is_verified_only_for_who_was_verified_a_moment_ago(control: FakeControl) -> None:
    """A stranger costs this agent a header; no read of the cluster's store begins for him."""

    def begun(password: str, source: str, *, some: bool) -> bool:
        """One that comes while the last is still being counted is not alone: another one is."""
        for _ in range(20):
            control.foreseen.clear()
            get(serving.port, "/api/v1/task/dag/maintain/ob", password=password, source=source)
            if not some:
                return not control.foreseen
            if _comes(control.foreseen, [None], seconds=1):
                return True
        return False

    with served(control) as serving:
        assert begun("wrong", "127.0.0.1", some=False)
        assert begun("wrong", "127.0.0.1", some=False)
        assert begun("pw1", "127.0.0.1", some=False)
        assert begun("pw1", "127.0.0.1", some=True)
        assert begun("wrong", "127.0.0.2", some=False)
        assert begun("pw1", "127.0.0.2", some=False)
        assert begun("pw1", "127.0.0.2", some=True)


@pytest.mark.usefixtures("several_processors")
def test_a_request_that_was_not_verified_here_makes_nobody_known() -> None:
    control = FakeControl(keys=FakeKeys(who=Identity.FOLLOWER))
    control.master = lambda request: ForwardedAnswer(200, "application/json", b"{}")
    with served(control) as serving:
        for _ in range(2):
            get(serving.port, "/api/v1/task/dag/maintain/ob")
    assert control.foreseen == []


@pytest.mark.usefixtures("several_processors")
def test_only_dags_of_the_cluster_are_foreseen(control: FakeControl) -> None:
    with served(control) as serving:
        get(serving.port, ROUTE)
        for dag_id in ("2213070643328861", "nonsense", *["11"] * 20):
            get(serving.port, f"/api/v1/task/dag/{dag_id}")
            if dag_id == "11" and _comes(control.foreseen, [1], seconds=1):
                break
        assert control.foreseen == [1]


def _comes(found: list[int | None], wanted: list[int | None], seconds: float = 20) -> bool:
    """It is found by another thread."""
    deadline = time.monotonic() + seconds
    while found != wanted and time.monotonic() < deadline:
        time.sleep(0.002)
    return found == wanted
