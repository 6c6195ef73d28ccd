"""The far side's verbs, on this host, without SSH: each may be asked again, and nothing is half-done."""

from __future__ import annotations

import http.server
import json
import sqlite3
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.ports import free_ports
from oboe.hosts import far_side


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "oboe"


def _version(prefix: Path, name: str) -> None:
    (prefix / "versions" / name).mkdir(parents=True)
    (prefix / "versions" / name / ".complete").touch()


def test_a_host_is_taken_once_and_let_go_without_a_trace(prefix: Path) -> None:
    asked = {"prefix": str(prefix), "dag": "a", "agent": "1.2.3.4:5", "name": "dag 1"}
    assert far_side.lock(asked) == far_side.lock(asked) == {"held": True}
    with pytest.raises(far_side.Failed) as caught:
        far_side.lock(asked | {"dag": "b", "agent": "1.2.3.9:5"})
    assert caught.value.error["code"] == "host.busy"
    assert "dag 1 of agent 1.2.3.4:5" in caught.value.error["message"]
    far_side.unlock({"prefix": str(prefix), "dag": "b"})
    assert (prefix / "lock.json").exists(), "who has not taken it cannot let it go"
    far_side.lock(asked | {"dag": "c", "name": "dag 2"})
    assert json.loads((prefix / "lock.json").read_text())["name"] == "dag 2", "an agent takes over from itself: its own lock let it begin"
    far_side.unlock({"prefix": str(prefix), "dag": "c"})
    assert not prefix.parent.exists(), "what was made to hold the lock goes with it"


def test_the_version_in_use_changes_in_one_step_and_is_never_removed(prefix: Path) -> None:
    where = {"prefix": str(prefix)}
    for name in ("one", "two", "half"):
        _version(prefix, name)
    (prefix / "versions" / "half" / ".complete").unlink()
    assert far_side.switch(where | {"name": "one"}) == {"before": ""}
    assert far_side.switch(where | {"name": "two"}) == {"before": "one"}
    assert far_side.switch(where | {"name": "two"}) == {"before": "two"}
    far_side.discard(where | {"names": ["two"]})
    assert (prefix / "current").resolve().name == "two"
    assert far_side.prune(where | {"keep": ["one"]})["gone"] == ["half"]
    assert far_side.prune(where | {"keep": []})["gone"] == ["one"]
    far_side.switch(where | {"name": ""})
    assert far_side.prune(where | {"keep": []}) == {"gone": ["two"], "versions": []}


@pytest.mark.parametrize("later", [False, True])
def test_a_store_is_put_back_only_when_its_tables_have_changed(tmp_path: Path, later: bool) -> None:
    store = tmp_path / "oboe.db"

    def run(*statements: str) -> list[Any]:
        connection = sqlite3.connect(store)
        found = [connection.execute(each).fetchall() for each in statements]
        connection.commit()
        connection.close()
        return found

    run("CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (1)", "CREATE TABLE work (name TEXT)")
    where = {"home": str(tmp_path), "name": "before-x"}
    assert far_side.save(where) == {"saved": True}
    run("INSERT INTO work VALUES ('since')", *(["INSERT INTO schema_version VALUES (2)"] if later else []))
    far_side.save(where)
    assert far_side.restore(where | {"use": True}) == {"restored": later}
    assert run("SELECT name FROM work") == [[] if later else [("since",)]]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["oboe.db"]
    assert far_side.restore(where | {"use": True}) == {"restored": False}


def test_a_package_is_unpacked_flat_and_compared(prefix: Path, tmp_path: Path) -> None:
    import tarfile
    from hashlib import sha256

    place = Path(far_side.receive({"prefix": str(prefix), "name": "n"})["archive"])
    wheel, sums = tmp_path / "a.whl", tmp_path / "SHA256SUMS"
    wheel.write_bytes(b"content")
    sums.write_text(f"{sha256(b'content').hexdigest()}  a.whl\n")
    with tarfile.open(place, "w") as archive:
        archive.add(wheel, "../../a.whl")
        archive.add(sums, "SHA256SUMS")
    far_side._unpack(str(place.parent))
    far_side._compare(str(place.parent))
    assert sorted(each.name for each in place.parent.iterdir()) == ["SHA256SUMS", "a.whl"]
    (place.parent / "a.whl").write_bytes(b"changed")
    with pytest.raises(far_side.Failed) as caught:
        far_side._compare(str(place.parent))
    assert caught.value.error["code"] == "host.package_damaged"


@pytest.fixture
def agent(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"data": {"version": "4.5.0.0-1.2.3"}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

    (port,) = free_ports(1)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers)
    if request.param == "https":
        files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", *files]
        subprocess.run(words, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield port
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize("agent", ["http", "https"], indirect=True)
def test_an_agent_is_heard_over_plain_http_and_over_tls(agent: int) -> None:
    found = far_side._answers("127.0.0.1", agent)
    assert found is not None
    assert found["info"]["version"] == "1.2.3"


def test_where_nobody_listens_nobody_answers() -> None:
    (port,) = free_ports(1)
    assert far_side._answers("127.0.0.1", port) is None


@pytest.mark.parametrize(
    ("verb", "error", "code"),
    [
        ("look", OSError(28, "No space left on device"), "host.disk_full"),
        ("look", OSError(13, "Permission denied"), "host.not_done"),
        ("look", far_side.Failed("host.x", "m"), "host.x"),
        ("look", subprocess.TimeoutExpired(["pip"], 1.0), "host.timeout"),
    ],
)
def test_whatever_goes_wrong_there_comes_back_as_a_code(
    verb: str, error: Exception, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(asked: dict[str, Any]) -> dict[str, Any]:
        raise error

    fail.__name__ = verb
    monkeypatch.setattr(far_side, "VERBS", (fail,))
    far_side.main(verb, "{}")
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
