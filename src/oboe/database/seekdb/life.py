"""Starting and stopping a server: launched under the wrapper, so that it outlives the agent; waited for by its lock and its socket.

Invariants: a directory that ever served is never wiped here; one that never did is, before the next try, because a first start that
did not come to its end never recovers (measured for clones, and for a primary killed 0.2 to 1.1 s after its birth); who is interrupted
before the server answered ends it, so that no second start runs beside the first.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable

from oboe.database.port import Endpoint, Instance
from oboe.database.seekdb import statements
from oboe.database.seekdb.binary import Binary
from oboe.database.seekdb.connecting import by_socket
from oboe.database.seekdb.layout import Layout
from oboe.domain.errors import Interrupted, Refused, StepFailed, Unreachable
from oboe.hosts import process
from oboe.hosts.ports import is_free, listeners, silence
from oboe.kit.run import Run
from oboe.kit.secret import Secret

__all__ = ["CLONE_TRIES_MAX", "start", "stop"]

CLONE_TRIES_MAX = 4
_LOOK_SECONDS = 0.05
_PRIMARY_SECONDS = 120.0
_RECOVERY_SECONDS = 600.0
_CLONE_SECONDS = 1800.0
_STUCK_SECONDS = 45.0
"""A clone that writes nothing for so long hangs: it met a primary that was too young, and never wakes up."""
_PAUSE_SECONDS = 2.0
_YOUNG_SECONDS = statements.PRIMARY_AGE_SECONDS + 2.0
"""Before a source that has just come back may be cloned."""
_SOURCE_SECONDS = 300.0
"""How long a source that went away is waited for."""
_GRACEFUL_SECONDS = 15.0
_KILLED_SECONDS = 20.0
_VARIABLES = ("time_zone=+00:00", "auto_increment_cache_size=100")
_GAVE_UP = r"errcode=%d\].*(?:start fail|startup|did not become ready)"
_RECYCLED, _DIVERGED = re.compile(_GAVE_UP % -4233), re.compile(_GAVE_UP % -4234)
_FULL = re.compile(r"errcode=-4184\].* size is (\d+)")
_TOLD = " ERROR "
_TELL_ALL = ("--parameter", "enable_async_syslog=False", "--parameter", "syslog_io_bandwidth_limit=1G")
"""It keeps them; at a log level of ERROR they cost nothing."""


class _Ended(Exception):
    """The server ended before it served. ``log``: what it said since it was launched."""

    def __init__(self, reason: str, log: str, status: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.log = log
        self.silent = status == 1 and _TOLD not in log


def start(instance: Instance, binary: Binary, source: Endpoint | None, run: Run) -> None:
    """See `oboe.database.port.Driver.start`."""
    layout = Layout(instance)

    def first() -> list[str]:
        if layout.has_store:
            run.log(f"what an earlier start left in {layout.base} is removed: it never served")
            layout.wipe()
        return _first_command(instance, layout, binary, source)

    if layout.served:
        _again(instance, layout, run, binary)
    elif source is None:
        _once(instance, layout, run, first, binary, _PRIMARY_SECONDS)
    else:
        _clone(instance, layout, run, first, binary, source)
    layout.mark_served()


def stop(instance: Instance, *, graceful: bool, run: Run) -> None:
    """See `oboe.database.port.Driver.stop`."""
    layout = Layout(instance)
    if graceful and (pid := layout.holder()):
        run.log(f"asking seekdb {pid} to stop")
        _signal(pid, signal.SIGUSR1)
        try:
            run.wait_until(lambda: not layout.holder(), why="seekdb closes its sessions", timeout=_GRACEFUL_SECONDS, every=_LOOK_SECONDS)
        except StepFailed:
            run.warn(f"seekdb {pid} did not stop within {_GRACEFUL_SECONDS:g} s; it is killed")
    if pid := layout.holder():
        run.log(f"killing seekdb {pid}")
        _signal(pid, signal.SIGKILL)
        run.wait_until(lambda: not layout.holder(), why=f"seekdb {pid} lets go of its lock", timeout=_KILLED_SECONDS, every=0.01)
    process.end_recorded(layout.record)


def _signal(pid: int, number: signal.Signals) -> None:
    """To who holds the lock at this moment, so to nobody else."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _clone(instance: Instance, layout: Layout, run: Run, command: Callable[[], list[str]], binary: Binary, source: Endpoint) -> None:
    """A bounded number of tries."""
    reason = silent = ""
    for attempt in range(1, CLONE_TRIES_MAX + 1):
        run.log(f"cloning {source} into {layout.base}, try {attempt} of {CLONE_TRIES_MAX}")
        try:
            _serve(instance, layout, run, command, binary, _CLONE_SECONDS, clone=True)
            return
        except _Ended as ended:
            if _FULL.search(ended.log):
                stop(instance, graceful=False, run=run)
                layout.wipe()
                raise _failure(instance, layout, ended) from None
            silent = silence(source.ip, source.port)
            reason = f"its source, {source}, does not answer: {silent}" if silent else ended.reason
            run.warn(f"the clone failed: {reason}")
        stop(instance, graceful=False, run=run)
        if attempt == CLONE_TRIES_MAX or (silent and not _returns(source, run)):
            break
        _pause(run, _YOUNG_SECONDS if silent else _PAUSE_SECONDS)
    layout.wipe()
    hint = "is the primary up for more than 10 s, reachable, and does its certificate name that address?"
    raise StepFailed(
        "database.clone_failed",
        f"cloning {source} failed, {attempt} of {CLONE_TRIES_MAX} tries, at last: {reason}",
        hint="RETRY once it runs and this host reaches it" if silent else hint,
    )


def _returns(source: Endpoint, run: Run) -> bool:
    """Wait for a source that is away: each try without it would fail."""
    try:
        return run.wait_until(
            lambda: not silence(source.ip, source.port), why=f"{source}, which is cloned, to answer", timeout=_SOURCE_SECONDS, every=1.0
        )
    except StepFailed:
        return False


def _pause(run: Run, seconds: float) -> None:
    until = time.monotonic() + seconds
    run.wait_until(lambda: time.monotonic() >= until, why="a moment before the next try", timeout=seconds + 5, every=0.2)


def _again(instance: Instance, layout: Layout, run: Run, binary: Binary) -> None:
    """seekdb writes its log behind, and loses the end of it when it gives up (measured: the reason was gone in 1 of 4 starts of a standby
    without redo). One that gave none is started once more so that it loses nothing."""
    command = _restart_command(instance, binary)
    try:
        _serve(instance, layout, run, lambda: command, binary, _RECOVERY_SECONDS)
        return
    except _Ended as ended:
        process.end_recorded(layout.record)
        if not ended.silent:
            raise _failure(instance, layout, ended) from None
    run.warn("seekdb ended, and its reason was lost with the end of its log; it is started once more, with a log that loses nothing")
    _once(instance, layout, run, lambda: [*command, *_TELL_ALL], binary, _RECOVERY_SECONDS)


def _once(instance: Instance, layout: Layout, run: Run, command: Callable[[], list[str]], binary: Binary, timeout: float) -> None:
    try:
        _serve(instance, layout, run, command, binary, timeout)
    except _Ended as ended:
        process.end_recorded(layout.record)
        raise _failure(instance, layout, ended) from None


def _failure(instance: Instance, layout: Layout, ended: _Ended) -> StepFailed:
    hint = "rebuild it: it is wiped, and cloned anew from the primary"
    if _RECYCLED.search(ended.log):
        reason = f"this standby cannot go on: its primary has recycled the redo it needs ({ended.reason})"
        return StepFailed("database.redo_recycled", reason, hint=hint)
    if full := _FULL.search(ended.log):
        reason = f"the disk under {', '.join(map(str, layout.places))} is too full: seekdb lays out {int(full[1]) >> 20} MB there"
        hint = "RETRY once there is room; or ROLLBACK, and ask with a smaller log_disk_size or another place"
        return StepFailed("database.no_disk", reason, hint=hint)
    if _DIVERGED.search(ended.log):
        return StepFailed("database.diverged", f"this database has redo that its source has not ({ended.reason})", hint=hint)
    return StepFailed("database.start_failed", f"seekdb in {layout.base} did not start: {ended.reason}", hint=_port_hint(instance))


def _serve(
    instance: Instance, layout: Layout, run: Run, command: Callable[[], list[str]], binary: Binary, timeout: float, *, clone: bool = False
) -> None:
    """Launch it unless it runs, and wait until it answers. `_Ended` when it ended or hangs."""
    holder, log_size = layout.holder(), layout.log_size()
    running = process.recorded(layout.record)
    if holder:
        run.log(f"seekdb {holder} runs already")
    elif running is None or running.poll() is not None:
        process.forget(layout.record)
        ordered, log_size = command(), layout.log_size()
        running = process.launch(ordered, directory=layout.record, env=binary.environment, cwd=layout.base)
        run.log(f"seekdb started in {layout.base}, SQL on {instance.mysql_port}, RPC on {instance.rpc_port}")
    began, pulse = time.monotonic(), _Pulse(layout)

    def settled() -> str:
        if _answers(instance, layout):
            return "serving"
        status = running.poll() if running is not None else None
        if running is None and not layout.holder():
            return "it ended, and nobody saw how"
        if status is not None and not layout.holder():
            return layout.failure(status, log_size)
        if clone and pulse.silent_seconds() > _STUCK_SECONDS:
            return f"it hung: nothing was written for {_STUCK_SECONDS:g} s"
        return ""

    try:
        found = run.wait_until(
            settled, why=lambda: f"seekdb answers ({time.monotonic() - began:.0f} s)", timeout=timeout, every=_LOOK_SECONDS
        )
    except (Interrupted, StepFailed):
        if not holder:
            process.end_recorded(layout.record)
        raise
    if found != "serving" and holder and not layout.holder():
        # A server that was just killed keeps its lock for some 40 ms, and looks as if it ran.
        run.log(f"seekdb {holder} was about to end")
        return _serve(instance, layout, run, command, binary, timeout, clone=clone)
    if found != "serving":
        raise _Ended(found, layout.log_since(log_size), running.poll() if running is not None else None)
    run.log(f"seekdb answers after {time.monotonic() - began:.1f} s")


class _Pulse:
    """Whether a clone still writes; looks once a second, because it looks at every file."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._size = -1
        self._changed_at = self._looked_at = time.monotonic()

    def silent_seconds(self) -> float:
        now = time.monotonic()
        if now - self._looked_at >= 1.0:
            self._looked_at = now
            if (size := self._layout.written_bytes()) != self._size:
                self._size, self._changed_at = size, now
        return now - self._changed_at


def _answers(instance: Instance, layout: Layout) -> bool:
    """Whether it serves: refusing root is an answer too, because a restarted or cloned one has a password.

    The lock comes first: without it, a socket or a port that answers is another server's."""
    if not layout.holder():
        return False
    try:
        connection = by_socket(layout.socket, instance.mysql_port, user="root", password=Secret(""), timeout=2.0)
    except Refused:
        return True
    except Unreachable:
        return False
    try:
        statements.look(connection)
    finally:
        connection.close()
    return True


def _port_hint(instance: Instance) -> str:
    taken = [port for port in (instance.mysql_port, instance.rpc_port) if not is_free(port)]
    return "; ".join(f"port {port} is held by {who}" for port, who in listeners(taken).items())


def _restart_command(instance: Instance, binary: Binary) -> list[str]:
    """All else persists in the directory."""
    return [str(binary.path), "--base-dir", instance.base_dir, "--nodaemon"]


def _first_command(instance: Instance, layout: Layout, binary: Binary, source: Endpoint | None) -> list[str]:
    command = [*_restart_command(instance, binary), "--port", str(instance.mysql_port)]
    command += ["--data-dir", instance.data_dir] if instance.data_dir else []
    command += ["--redo-dir", str(layout.redo)] if layout.redo else []
    if source is not None:
        command += ["--role", "STANDBY"]
    for name, value in _parameters(instance, layout, source).items():
        command += ["--parameter", f"{name}={value}"]
    for variable in _VARIABLES:
        command += ["--variable", variable]
    return command


def _parameters(instance: Instance, layout: Layout, source: Endpoint | None) -> dict[str, str]:
    """The RPC port hands out the whole database to whoever asks: it is opened with mutual TLS or not at all."""
    found = {**instance.settings, "rpc_port": str(instance.rpc_port)}
    if layout.has_certificates:
        found |= {"enable_rpc_service": "True", "enable_rpc_tls": "True"}
    if source is not None:
        found["log_restore_source"] = str(source)
    return found
