"""Runs agents as processes of their own, gives them their next life when they are killed, and ends them when the story is over.

The processes are forked from one that has everything imported and never had a thread, so that a life costs what it does, not what Python
needs to start. They share nothing with it but files.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import select
import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from oboe.domain.values import Address
from tests.crash.agent import World, live
from tests.crash.fuse import Point
from tests.crash.stories import AGENT, HOME

__all__ = ["Broken", "Nursery"]

_RUN_SECONDS = 600.0
_PR_SET_PDEATHSIG = 1
_ABORT_SECONDS = 5.0


class Broken(Exception):
    """What must be true is not."""


class Nursery:
    """One run of a story. ``deadly`` has, for each agent, the deadly point of each of its lives; further lives have none.

    ``sweep``: the agents forget at once what they may, and go only when their inbox is empty."""

    def __init__(self, world: World, deadly: Mapping[Address, Sequence[Point]], *, sweep: bool = False) -> None:
        self._world = world
        self._sweep = sweep
        self._deadly = {agent: list(points) for agent, points in deadly.items()}
        self._pids: dict[Address, tuple[int, int]] = {}
        """Process id, and a descriptor that becomes readable when it ends."""
        self._over, self._say_over = os.pipe()
        self._is_over = False
        """The home's agent said so in the life that it has now."""
        self.kills = 0

    def run(self) -> None:
        """Until the story is over, both agents are quiet and have gone. `Broken` when one of them ends badly, or time runs out."""
        deadline = time.monotonic() + _RUN_SECONDS
        try:
            for agent in (AGENT, HOME):
                self._bear(agent)
            while self._pids:
                self._step(deadline - time.monotonic())
        finally:
            for pid, descriptor in self._pids.values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                os.close(descriptor)
            os.close(self._over)
            os.close(self._say_over)

    def _step(self, left: float) -> None:
        """Wait for the next thing that happens, and answer it."""
        watched = {descriptor: agent for agent, (_, descriptor) in self._pids.items()}
        ready, _, _ = select.select([self._over, *watched], [], [], max(0.0, left))
        if not ready:
            raise Broken(f"not over after {_RUN_SECONDS:g} s: {self._stacks()}")
        for descriptor in ready:
            if descriptor == self._over:
                os.read(self._over, 1)
                self._is_over = True
                self._end(AGENT)
            else:
                self._buried(watched[descriptor])

    def _buried(self, agent: Address) -> None:
        """It is dead: killed, it lives again; else it had nothing left to do, and the home's agent may go."""
        pid, descriptor = self._pids.pop(agent)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == -signal.SIGKILL:
            self.kills += 1
            self._is_over &= agent != HOME
        elif code:
            raise Broken(f"agent {agent.port} ended with {code}: {self._last_words(agent)}{self._stacks()}")
        for one in (AGENT, HOME):
            if one not in self._pids and (code or not self._is_over):
                self._bear(one)
        if self._is_over:
            self._end(AGENT if AGENT in self._pids else HOME)

    def _end(self, agent: Address) -> None:
        if agent in self._pids:
            os.kill(self._pids[agent][0], signal.SIGTERM)

    def _bear(self, agent: Address) -> None:
        points = self._deadly.get(agent)
        deadly = points.pop(0) if points else None
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the new process listens to it
        parent, pid = os.getpid(), os.fork()
        if pid == 0:
            self._child(agent, deadly, parent)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._pids[agent] = (pid, os.pidfd_open(pid))

    def _child(self, agent: Address, deadly: Point | None, parent: int) -> None:
        """The process of an agent; never returns."""
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(70)
            words = os.open(self._words_of(agent), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(words, 1)
            os.dup2(words, 2)
            faulthandler.enable()
            live(self._world, agent, deadly, sweep=self._sweep, say_over=lambda: os.write(self._say_over, b"."))
        except BaseException:  # noqa: BLE001 - a process ends here
            faulthandler.dump_traceback()
            with suppress(OSError):
                os.write(2, traceback.format_exc().encode())
        os._exit(70)

    def _words_of(self, agent: Address) -> Path:
        return self._world.directory / f"{agent.port}.words"

    def _stacks(self) -> str:
        """Where every thread of the agents stands."""
        for pid, descriptor in self._pids.values():
            os.kill(pid, signal.SIGABRT)
            select.select([descriptor], [], [], _ABORT_SECONDS)
        return "".join(f"agent {agent.port}: {self._last_words(agent)}" for agent in self._pids)

    def _last_words(self, agent: Address) -> str:
        return self._words_of(agent).read_text(encoding="utf-8")[-3000:]
