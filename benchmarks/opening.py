"""Opens headers and does nothing else: ``python -m benchmarks.opening COUNT`` prints the seconds that it took.

It reads a private key (PEM) and, after an empty line, one sealed header from the standard input, says ``ready``, and begins at the
next line.
"""

from __future__ import annotations

import sys
import time

from oboe.kit.secret import Secret
from oboe.remote import secrecy


def main() -> None:
    lines = iter(sys.stdin.readline, "\n")
    private = secrecy.load_private_key(Secret("".join(lines)))
    sealed = sys.stdin.readline().strip()
    secrecy.open_text(private, sealed)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    for _ in range(int(sys.argv[1])):
        secrecy.open_text(private, sealed)
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
