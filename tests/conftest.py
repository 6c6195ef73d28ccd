"""What tests of several directories share: one real server for each process that runs them, because an idle one costs a tenth of a core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.store.seekdb_server import SeekdbServer, missing


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
