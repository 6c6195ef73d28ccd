"""Threads that meet a type for the first time at the same moment all read it right, and none ends the process."""

from __future__ import annotations

import subprocess
import sys
import textwrap

RACE = textwrap.dedent(
    """
    import sys, threading, types
    import msgspec
    from oboe.kit.typed import converted, decoder

    sys.setswitchinterval(1e-6)
    MEMBERS, DEEP, THREADS = 20, 30, 8
    source = ["from dataclasses import dataclass"]
    for at in range(DEEP):
        source += ["@dataclass(frozen=True, slots=True)", f"class C{at}:"]
        source += [f"    a{member}: int" for member in range(MEMBERS)] + ([f"    c: 'C{at - 1}'"] if at else [])
    module = sys.modules["made"] = types.ModuleType("made")
    exec("\\n".join(source), module.__dict__)

    def plain(at):
        return {f"a{member}": member for member in range(MEMBERS)} | ({"c": plain(at - 1)} if at else {})

    kind, text, start, read = getattr(module, f"C{DEEP - 1}"), msgspec.json.encode(plain(DEEP - 1)), threading.Barrier(THREADS), []

    def work(number):
        start.wait()
        read.append(converted(plain(DEEP - 1), kind) if number % 2 else decoder(kind).decode(text))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read) == THREADS and all(value == read[0] for value in read)
    print("all read it")
    """
)


def test_a_type_is_prepared_by_one_thread_at_a_time() -> None:
    """Without the lock about three of four such processes end by SIGSEGV."""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "all read it\n"), done.stderr
