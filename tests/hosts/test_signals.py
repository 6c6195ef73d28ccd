"""A process that waits for a signal hears it whenever it comes."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os
import signal
from oboe.hosts.signals import Signals
heard = Signals(signal.SIGALRM, signal.SIGTERM)
for tries in range(20_000):
    signal.setitimer(signal.ITIMER_REAL, tries % 60 * 1e-6 + 1e-6)
    heard.wait()
for _ in range(70_000):
    os.kill(os.getpid(), signal.SIGTERM)
heard.wait()
print("heard")
"""


def test_a_signal_is_heard_at_whatever_moment_it_comes() -> None:
    """With a `threading.Event` that a handler sets, one of many thousand tries never ends."""
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
