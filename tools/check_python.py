"""Says in one sentence when this Python cannot carry oboe. Runs on any Python 3, before anything is installed."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells older ones
    sys.exit(f"oboe needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}. Name another: make PYTHON=python3.12 …")
if not sys.platform.startswith("linux"):
    sys.exit(f"oboe runs on Linux; this is {sys.platform}")
try:
    import ensurepip
    import venv
except ImportError as error:
    sys.exit(f"oboe needs Python's venv with pip ({error}); on Debian and Ubuntu: apt install python3-venv")

__all__ = ["ensurepip", "venv"]
