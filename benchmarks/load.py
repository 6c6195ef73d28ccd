"""A load generator, in a process of its own: ``python -m benchmarks.load PORT CONNECTIONS FILE`` prints the seconds that it took.

The file has whole requests, each after its length: what costs was done before.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from pathlib import Path

__all__ = ["packed"]

_LENGTH = struct.Struct(">I")


def packed(requests: list[bytes]) -> bytes:
    return b"".join(_LENGTH.pack(len(request)) + request for request in requests)


def _unpacked(whole: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(whole):
        (size,) = _LENGTH.unpack_from(whole, at)
        at += _LENGTH.size
        found.append(whole[at : at + size])
        at += size
    return found


async def _send(port: int, requests: list[bytes]) -> None:
    """One connection: the next request when the last is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while requests:
        writer.write(requests.pop())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
        if not head.startswith(b"http/1.1 200 "):
            raise SystemExit(f"{head!r} {body!r}")
    writer.close()


async def _run(port: int, connections: int, requests: list[bytes]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(_send(port, requests) for _ in range(connections)))
    return time.perf_counter() - began


if __name__ == "__main__":
    print(asyncio.run(_run(int(sys.argv[1]), int(sys.argv[2]), _unpacked(Path(sys.argv[3]).read_bytes()))))
