"""oboe itself, like any of its peers: its engine in one process, on SQLite."""

from __future__ import annotations

from benchmarks import engine
from benchmarks.peers import clock
from oboe.engine.ports import Draft

_CALLERS = 16


def main() -> None:
    asked = clock.given()
    made, _ = engine.bed(asked.directory)
    names: dict[str, str] = {}
    engine.Noop.run = lambda self, run: clock.tick(names[run.dag_key])  # type: ignore[method-assign]
    nine = engine.chain(clock.STEPS)

    def draft(name: str) -> Draft:
        one = engine.draft(nine)
        names[one.key] = name
        return one

    clock.measure(
        asked,
        lambda name: made.run([draft(name)]),
        lambda crowd: made.run([draft(name) for name in crowd], callers=_CALLERS),
    )
    made.engine.stop()


if __name__ == "__main__":
    main()
