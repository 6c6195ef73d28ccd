"""Installs the seekdb server where there is a wheel of it, and says so where there is none: an agent does not need it."""

from __future__ import annotations

import subprocess
import sys

_NO_WHEEL = ("No matching distribution", "Could not find a version", "not a supported wheel")


def main(requirements: str) -> int:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
    done = subprocess.run([*pip, "-r", requirements], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return 0
    if any(sign in done.stderr for sign in _NO_WHEEL):
        print("There is no pylibseekdb wheel for this platform: everything but the demo and the tests of seekdb works without it.")
        return 0
    print(done.stderr, file=sys.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
