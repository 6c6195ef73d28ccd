"""What tests of several directories share.

There is one real server for each process that runs tests, because an idle one costs a tenth of a core. Made-up examples are the same in
every run, and may take their time: what they find does not depend on the day, nor on what else the machine has to do.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.store.seekdb_server import SeekdbServer, missing

settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeekdbServer]:
    """Whoever uses it makes databases of its own in it."""
    if missing():
        pytest.skip(missing())
    directory = tmp_path_factory.mktemp("store")
    server = SeekdbServer(directory)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def store_port(store_server: SeekdbServer) -> int:
    return store_server.port
