"""An agent in a process of its own, as `tests.spine.host.Host` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from oboe.daemon import process
from tests.spine.host import HostDriver, Store


def main() -> int:
    home, port, rpc_port, shared, own, store_port, store = sys.argv[1:]
    driver = HostDriver(Path(shared), Path(own), Store(int(store_port), store))
    process._driver = lambda name, home: driver  # type: ignore[assignment]
    return process.run(home=Path(home), ip="127.0.0.1", port=int(port), rpc_port=int(rpc_port), driver="fake")


if __name__ == "__main__":
    sys.exit(main())
