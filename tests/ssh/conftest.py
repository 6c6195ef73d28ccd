"""A server of each kind; OpenSSH's is skipped where it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ssh.servers import SSHD, OpenSsh, Server, StandIn

LONG = "OBOE_SSH_LONG"
"""``make ssh`` sets it."""

_OPENSSH = pytest.param("openssh", marks=pytest.mark.skipif(SSHD is None, reason="no sshd here: apt-get install openssh-server"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ssh_long") and not os.environ.get(LONG):
            item.add_marker(pytest.mark.skip(reason="run by `make ssh`"))


@pytest.fixture(params=[_OPENSSH, "stand-in"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    made = (OpenSsh if request.param == "openssh" else StandIn)(tmp_path / "ssh")
    made.begin()
    try:
        yield made
    finally:
        made.end()
