"""A server of each kind; OpenSSH's is skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ssh.servers import SSHD, OpenSsh, Server, StandIn

_OPENSSH = pytest.param("openssh", marks=pytest.mark.skipif(SSHD is None, reason="no sshd here: apt-get install openssh-server"))


@pytest.fixture(params=[_OPENSSH, "stand-in"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    made = (OpenSsh if request.param == "openssh" else StandIn)(tmp_path / "ssh")
    made.begin()
    try:
        yield made
    finally:
        made.end()
