"""What a task was asked with may be secret; nothing that OCP's API answers shows it."""

from __future__ import annotations

import io
import zipfile

from oboe.kit.secret import Secret
from oboe.store.sealing import Sealer, sealed_json
from tests.domain.dags import node
from tests.ocp.site import Client, Site

WORD = "the password of the root user"


def test_no_route_shows_the_params_of_a_task(shared_site: Site) -> None:
    sealer = Sealer.at(shared_site.root / "home")
    params = sealed_json({"root_password": Secret(WORD), "note": "seen by nobody"}, sealer)
    held = shared_site.put(node(name="a"), params=params).wake().start(0)
    held.write(0, 1, "begins").finish(0, ok=False)
    archive = zipfile.ZipFile(io.BytesIO(shared_site.viewer.post(f"{held.path}/downloadDiagnosis").body))
    shown = [
        shared_site.viewer.get(held.path).body,
        shared_site.viewer.get("/instances", size=2000).body,
        shared_site.viewer.get(f"{held.sub_path(0)}/log").body,
        shared_site.manager.post(f"{held.path}/retry", headers={"Idempotency-Key": "secret"}).body,
        *(archive.read(name) for name in archive.namelist()),
    ]
    assert b"begins" in shown[2]
    for text in shown:
        assert WORD.encode() not in text
        assert b"$sealed" not in text
        assert b"seen by nobody" not in text


def test_a_password_that_was_refused_is_in_no_answer_and_in_no_log(shared_site: Site, caplog: object) -> None:
    wrong = Client.basic("manager", WORD)
    answers = [shared_site.client()("GET", "/instances", headers=wrong), shared_site.client()("POST", "/api/v2/iam/login", body=login())]
    assert [answer.status for answer in answers] == [401, 401]
    assert all(WORD.encode() not in answer.body for answer in answers)
    assert WORD not in caplog.text  # type: ignore[attr-defined]


def login() -> bytes:
    return b'{"username":"manager","password":"' + WORD.encode() + b'"}'
