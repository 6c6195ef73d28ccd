"""Writes what the tutorial's commands print into its page: ``python -m tests.tutorial``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .page import PAGE, rewritten
from .test_tutorial import lived

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="oboe-tutorial-") as directory:
        printed, words = lived(Path(directory))
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), printed, words), encoding="utf-8")
