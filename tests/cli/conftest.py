"""A way to start processes of this project whose daemon is a stub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_FINDER = """
import importlib.util, sys

class StubFinder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, {stub!r}) if name == "oboe.daemon" else None

sys.meta_path.insert(0, StubFinder())
"""


@pytest.fixture
def stubbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory; processes started meanwhile have the stub for a daemon, and are ended afterwards."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_FINDER.format(stub=str(Path(__file__).with_name("stub_daemon.py"))))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("STUB_OF", str(tmp_path))
    yield tmp_path
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("STUB_OF") == str(tmp_path):
                process.kill()
        except psutil.Error:
            continue
