"""The vendor's SDK against recorded answers: what the demo prints of its objects is there."""

from __future__ import annotations

import json

import pytest

from demo.sdk import show_what_the_sdk_reads

from .replay import RECORDINGS, replaying


def test_the_sdk_reads_dags_and_the_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (RECORDINGS / "scale_out.jsonl").read_text().splitlines()]
    dags = [row["response"]["text"] for row in rows if row["request"]["uri"] == "/api/v1/task/dag/11"]
    cluster = {"id": 1, "name": "demo", "version": "1.4", "topology": {}}
    member = {"ip": "127.0.0.1", "port": 2886, "zone": "zone1", "identity": "CLUSTER AGENT", "version": "4.5.0.0-0"}
    info = {"successful": True, "status": 200, "data": {"agent_info": [member], "obcluster_info": cluster}}
    newest = {f"/api/v1/task/dag/maintain/{each}": (200, dags[-1]) for each in ("ob", "agent")}
    with replaying("scale_out.jsonl", extra=newest | {"/api/v1/ob/info": (200, json.dumps(info))}) as agent:
        show_what_the_sdk_reads(agent.address, "pw1")
    told = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert told[:4] == [
        "maintain/ob 11 Cluster scale out 9/9 SUCCEED RUN",
        "maintain/agent 11 Cluster scale out 9/9 SUCCEED RUN",
        "unfinish []",
        "dag 11",
    ]
    assert (len(told), told[-1]) == (14, "ob/info demo: 127.0.0.1:2886 CLUSTER AGENT")
