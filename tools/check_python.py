"""Says in one sentence when this Python cannot carry oboe. Runs on any Python 3, before anything is installed."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells older ones
    sys.exit(
        "oboe needs Python 3.11 or newer; {} is {}. Set PYTHON: make PYTHON=python3.12 …".format(sys.executable, sys.version.split()[0])
    )  # noqa: UP032
if not sys.platform.startswith("linux"):
    sys.exit("oboe runs on Linux; this is {}".format(sys.platform))  # noqa: UP032
try:
    import ensurepip
    import venv
except ImportError as error:
    sys.exit("oboe needs Python's venv with pip ({}); on Debian and Ubuntu: apt install python3-venv".format(error))  # noqa: UP032

__all__ = ["ensurepip", "venv"]
