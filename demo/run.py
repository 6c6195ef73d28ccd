"""Runs the demo. ``--keep`` leaves the cluster up. Whatever ends it, nothing is left running but what was asked to be kept."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import signal
import sys
import time
from pathlib import Path
from typing import Any

from demo.sdk import show_what_the_sdk_reads
from demo.story import Story
from demo.world import DemoError, World

__all__ = ["ROOT", "main"]

ROOT = Path(__file__).parent.parent / ".demo"
_NO_WHEEL = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up; `make demo-stop` takes it down")
    keep = parser.parse_args().keep
    if importlib.util.find_spec("pylibseekdb") is None:
        print(f"The demo needs the seekdb server, and there is no pylibseekdb wheel for {_platform()}.", file=sys.stderr)
        return _NO_WHEEL
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    world = World(ROOT)
    try:
        world.begin()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return _run(world, keep=keep)


def _run(world: World, *, keep: bool) -> int:
    began, kept, code = time.monotonic(), False, 1
    try:
        _tell(world, keep=keep)
        kept, code = keep, 0
    except DemoError as error:
        kept = keep
        print(f"\ndemo: {error}\n  what the agents wrote is in {world.root}/agent*/log", file=sys.stderr)
        if keep:
            print("  it stays up as it is, to be looked at; `make demo-stop` takes it down", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        code = 130
    finally:
        if not kept:
            _take_down(world, remove=code != 1)
    if code == 0:
        print(f"\ndone in {time.monotonic() - began:.0f} s")
    return code


def _tell(world: World, *, keep: bool) -> None:
    print("Three agents", flush=True)
    began = time.monotonic()
    world.start_agents(3)
    print(f"  … {time.monotonic() - began:.1f} s", flush=True)
    story = Story(world)
    if keep:
        world.describe(password=story.password, databases=[])
    try:
        story.tell()
        print("\nWhat the vendor's SDK (obshell, from PyPI) reads back", flush=True)
        show_what_the_sdk_reads(world.agents[0].address, story.password)
        if keep:
            world.describe(password=story.password, databases=story.databases())
            _say_how_to_look_around(world, story.databases())
    finally:
        story.close()


def _say_how_to_look_around(world: World, databases: list[dict[str, Any]]) -> None:
    oboe = Path(sys.executable).parent / "oboe"
    print(f"""
It stays up. Addresses and password: {world.root}/cluster.json

  export OBOE_AGENT={world.agents[0].address} OBOE_PASSWORD="$(cat {world.root}/password)"
  {oboe} cluster status
  {oboe} task list --all
  {oboe} task show ob
  {oboe} agent status --home {world.agents[0].home}
  mysql -h {databases[0]["ip"]} -P {databases[0]["mysql_port"]} -u root -p"$OBOE_PASSWORD" concert
  make demo-stop""")


def _take_down(world: World, *, remove: bool) -> None:
    """A second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print("\nTaking everything down", flush=True)
    world.end(lambda text: print(f"  {text}", flush=True))
    if remove:
        world.remove()


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _platform() -> str:
    libc, version = platform.libc_ver()
    return f"{sys.platform}-{platform.machine()} with Python {platform.python_version()} and {libc or 'an unknown libc'} {version}".strip()


if __name__ == "__main__":
    sys.exit(main())
