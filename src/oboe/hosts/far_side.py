"""What oboe does on another host: one file of Python's standard library, sent there as the text of ``python -I -c``, one verb a call.

``argv`` is a verb and its request in JSON; the last line of the output is the answer in JSON, or ``{"error": {code, message, hint}}``.
Nothing secret goes through here. Each verb may be asked again with the same request: it finds its work done and says so.

What it keeps below a host's *prefix*::

    versions/NAME/            an environment; whole once it has the file .complete
    current -> versions/NAME  the version in use; replaced in one step
    packages/NAME/            wheels on their way in
    lock.json                 which dag is at work here, of which agent, since when
"""

from __future__ import annotations

import glob
import hashlib
import http.client
import importlib.util
import json
import os
import platform
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.request
from typing import Any

STOP_SECONDS = 40.0
START_SECONDS = 120.0
PIP_SECONDS = 5000.0
HTTP_SECONDS = 5.0
ARCHIVE = "package.tar"
FULL = ("No space left on device", "Disk quota exceeded")


class Failed(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "hint": hint}


def look(asked: dict[str, Any]) -> dict[str, Any]:
    """Facts for the checks; touches nothing."""
    prefix, home = _path(asked["prefix"]), _path(asked["home"])
    running = _agents(home)
    return {
        "python": list(sys.version_info[:3]),
        "executable": sys.executable,
        "venv": all(importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip")),
        "system": platform.system(),
        "machine": platform.machine(),
        "user": _user(),
        "now": time.time_ns(),
        "free_bytes": shutil.disk_usage(_existing(prefix)).free,
        "home_free_bytes": shutil.disk_usage(_existing(home)).free,
        "prefix_writable": os.access(_existing(prefix), os.W_OK),
        "home_writable": os.access(_existing(home), os.W_OK),
        "ports": {} if running else {str(port): _listener(asked["ip"], port) for port in asked["ports"]},
        "agent": running[0] if running else None,
        "known": _json(os.path.join(home, "address.json")),
        "current": _current(prefix),
        "versions": _versions(prefix),
        "lock": _json(os.path.join(prefix, "lock.json")),
        "legacy": _legacy(),
        "answers": _answers(asked["ip"], asked["port"]),
    }


def lock(asked: dict[str, Any]) -> dict[str, Any]:
    """Take the host for one dag; again by the same is harmless, and what the same agent's earlier dag left is taken over."""
    prefix, mine = _path(asked["prefix"]), {"dag": asked["dag"], "agent": asked["agent"], "name": asked["name"], "at": time.time_ns()}
    made = [each for each in _upward(prefix) if not os.path.isdir(each)]
    os.makedirs(prefix, mode=0o700, exist_ok=True)
    path = os.path.join(prefix, "lock.json")
    held = _json(path)
    if held is not None and held.get("dag") != mine["dag"] and held.get("agent") != mine["agent"]:
        raise Failed(
            "host.busy",
            "{} of agent {} is at work on this host".format(held.get("name"), held.get("agent")),
            "wait until it settles, or roll it back there; if that agent is gone for good: oboe host unlock NAME",
        )
    if held is None:
        mine["made"] = made
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise Failed("host.busy", "another dag has just taken this host", "try again in a moment") from None
        with os.fdopen(descriptor, "w") as file:
            json.dump(mine, file)
    elif held.get("dag") != mine["dag"]:
        mine["made"] = held.get("made", [])
        _write(path, json.dumps(mine))
    return {"held": True}


def unlock(asked: dict[str, Any]) -> dict[str, Any]:
    """Let the host go, if that dag has it (``dag`` empty: whoever has it); directories made for nothing go too."""
    prefix = _path(asked["prefix"])
    path = os.path.join(prefix, "lock.json")
    held = _json(path)
    if held is None or (asked["dag"] and held.get("dag") != asked["dag"]):
        return {"held": False}
    os.unlink(path)
    for name in ("packages", "versions"):
        _remove_empty(os.path.join(prefix, name))
    for each in held.get("made", []):
        _remove_empty(each)
    return {"held": False}


def stop(asked: dict[str, Any]) -> dict[str, Any]:
    """End the agents of that home: TERM, and KILL for one that does not go. Databases go on."""
    stopped, killed = [], []
    for agent in _agents(_path(asked["home"])):
        stopped.append(agent)
        if not _end(agent["pid"], signal.SIGTERM, asked.get("seconds", STOP_SECONDS)):
            killed.append(agent["pid"])
            if not _end(agent["pid"], signal.SIGKILL, 10.0):
                raise Failed("host.agent_not_stopped", f"process {agent['pid']} does not end", f"look at it there: ps -p {agent['pid']}")
    return {"stopped": stopped, "killed": killed}


def start(asked: dict[str, Any]) -> dict[str, Any]:
    """Start the agent with the Python of a version, and wait for its first answer."""
    home = _path(asked["home"])
    running = _agents(home)
    if not running:
        options = ["--ip", asked["ip"], "--port", str(asked["port"]), "--driver", asked["driver"]]
        options += ["--rpc-port", str(asked["rpc_port"])] if asked["rpc_port"] else []
        command = [_path(asked["python"]), "-m", "oboe", "agent", "start", "--home", home, "--json"]
        ended = _call(command + options, START_SECONDS)
        if ended.returncode != 0:
            raise Failed("host.agent_not_started", _last_words(ended), "its own words are in {}".format(os.path.join(home, "log")))
        running = _agents(home)
    if not running:
        raise Failed("host.agent_not_started", "the agent ended right after it had started", "look at {}".format(os.path.join(home, "log")))
    return {"agent": running[0]}


def check(asked: dict[str, Any]) -> dict[str, Any]:
    """What the agent answers on its port; null when it does not."""
    return {"answers": _answers(asked["ip"], asked["port"]), "running": bool(_agents(_path(asked["home"])))}


def receive(asked: dict[str, Any]) -> dict[str, Any]:
    """An empty place for a package; its files come in one archive."""
    place = os.path.join(_path(asked["prefix"]), "packages", asked["name"])
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place, mode=0o700)
    return {"archive": os.path.join(place, ARCHIVE)}


def install(asked: dict[str, Any]) -> dict[str, Any]:
    """An environment from a package: its checksums are compared, and pip takes nothing from anywhere else."""
    prefix = _path(asked["prefix"])
    package, version = os.path.join(prefix, "packages", asked["name"]), os.path.join(prefix, "versions", asked["name"])
    python = os.path.join(version, "bin", "python")
    if not os.path.exists(os.path.join(version, ".complete")):
        _unpack(package)
        _compare(package)
        shutil.rmtree(version, ignore_errors=True)
        os.makedirs(os.path.dirname(version), mode=0o700, exist_ok=True)
        _must([sys.executable, "-I", "-m", "venv", "--without-pip", version], 300.0, "host.venv_failed")
        wheels = ["--no-index", "--find-links", package, "--requirement", os.path.join(package, "requirements.txt")]
        quiet = ["--disable-pip-version-check", "--quiet", "--no-cache-dir", "--no-compile"]
        _must([python, "-I", _pip(), "install", "--require-hashes", *wheels, *quiet], PIP_SECONDS, "host.install_failed")
        _write(os.path.join(version, ".complete"), asked["name"])
    shown = _must([python, "-I", "-m", "oboe", "--version"], 60.0, "host.install_failed").stdout
    return {"python": python, "version": shown.split()[-1] if shown.split() else ""}


def switch(asked: dict[str, Any]) -> dict[str, Any]:
    """Make a version the current one; an empty name: none is."""
    prefix = _path(asked["prefix"])
    link = os.path.join(prefix, "current")
    before = _current(prefix)
    if asked["name"]:
        beside = link + ".new"
        if os.path.lexists(beside):
            os.unlink(beside)
        os.symlink(os.path.join("versions", asked["name"]), beside)
        os.replace(beside, link)
    elif os.path.lexists(link):
        os.unlink(link)
    return {"before": before}


def discard(asked: dict[str, Any]) -> dict[str, Any]:
    """Remove these versions and packages, whole or half; the current one never."""
    prefix = _path(asked["prefix"])
    for name in asked["names"]:
        shutil.rmtree(os.path.join(prefix, "packages", name), ignore_errors=True)
        if name != _current(prefix):
            version = os.path.join(prefix, "versions", name)
            if os.path.isdir(version):
                os.rename(version, version + ".gone") if not os.path.exists(version + ".gone") else None
            shutil.rmtree(version + ".gone", ignore_errors=True)
    return {"versions": _versions(prefix)}


def prune(asked: dict[str, Any]) -> dict[str, Any]:
    """Keep these versions and the current one; what else there is goes, with all packages."""
    prefix = _path(asked["prefix"])
    keep = set(asked["keep"]) | {_current(prefix)}
    gone = [name for name in _everything(prefix) if name not in keep]
    shutil.rmtree(os.path.join(prefix, "packages"), ignore_errors=True)
    return {"gone": gone, **discard({"prefix": prefix, "names": gone})}


def save(asked: dict[str, Any]) -> dict[str, Any]:
    """A copy of the agent's store beside it, once for each name, while the agent is stopped."""
    home = _path(asked["home"])
    store, copy = os.path.join(home, "oboe.db"), os.path.join(home, "oboe.db." + asked["name"])
    if os.path.exists(store) and not os.path.exists(copy):
        if _agents(home):
            raise Failed("host.agent_runs", "the agent runs, its store cannot be copied", "retry")
        source, target = sqlite3.connect(store), sqlite3.connect(copy + ".new")
        try:
            source.backup(target)
        finally:
            source.close()
            target.close()
        os.replace(copy + ".new", copy)
        os.chmod(copy, 0o600)
    return {"saved": os.path.exists(copy)}


def restore(asked: dict[str, Any]) -> dict[str, Any]:
    """If a later release has changed the tables since `save`, the copy takes the store's place; else only the copy goes."""
    home = _path(asked["home"])
    store, copy = os.path.join(home, "oboe.db"), os.path.join(home, "oboe.db." + asked["name"])
    changed = os.path.exists(copy) and _tables(copy) != _tables(store)
    if changed and asked["use"]:
        for suffix in ("-wal", "-shm"):
            if os.path.exists(store + suffix):
                os.unlink(store + suffix)
        os.replace(copy, store)
    for each in (copy, copy + ".new"):
        if os.path.exists(each):
            os.unlink(each)
    return {"restored": changed and asked["use"]}


# Inside


def _agents(home: str) -> list[dict[str, Any]]:
    """Processes of this user that are the agent of that home."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
            if "agent" not in words or "--foreground" not in words or "--home" not in words[:-1]:
                continue
            if os.path.realpath(os.path.join(os.readlink(f"/proc/{pid}/cwd"), words[words.index("--home") + 1])) != os.path.realpath(home):
                continue
            found.append({"pid": int(pid), "python": words[0]})
        except OSError:
            continue
    return found


def _legacy() -> list[dict[str, Any]]:
    """Agents of other products, by the names of their processes."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as file:
                name = file.read().strip()
        except OSError:
            continue
        if name in ("ob_agentd", "ob_mgragent", "ob_monagent", "ocp_agentd", "ocp_mgragent", "ocp_monagent"):
            found.append({"pid": int(pid), "name": name})
    return found


def _end(pid: int, number: int, seconds: float) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def _answers(ip: str, port: int) -> dict[str, Any] | None:
    """What the agent says of itself, over plain HTTP or else TLS. Its certificate is not looked at: this is its host, nothing is secret."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    address = f"[{ip}]" if ":" in ip else ip
    answers: dict[str, Any] = {}
    for scheme in ("http", "https"):
        for name, path in (("info", "/api/v1/info"), ("status", "/api/v1/status"), ("ready", "/oboe/v1/ready")):
            try:
                with opener.open(f"{scheme}://{address}:{port}{path}", timeout=HTTP_SECONDS) as answer:
                    answers[name] = json.loads(answer.read())["data"]
            except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
                if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                    return None
                if name == "info":
                    break
        if "info" in answers:
            # Before oboe's own release stands that of the interface it speaks.
            answers["info"]["version"] = answers["info"].get("version", "").rpartition("-")[2]
            return answers
    return None


def _pip() -> str:
    """Python's own pip, run from its wheel: an environment without one is made in a tenth of the time."""
    import ensurepip
    import sysconfig

    places = [sysconfig.get_config_var("WHEEL_PKG_DIR"), os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")]
    for place in filter(None, places):
        found = sorted(glob.glob(os.path.join(place, "pip-*.whl")))
        if found:
            return os.path.join(found[-1], "pip")
    raise Failed("host.no_venv", "its Python has no pip to install with", "install its venv package, or another Python")


def _unpack(package: str) -> None:
    """Plain files only, each under its last name."""
    archive = os.path.join(package, ARCHIVE)
    if not os.path.exists(archive):
        return
    with tarfile.open(archive) as source:
        for member in source:
            content = source.extractfile(member) if member.isfile() else None
            if content is not None:
                with open(os.path.join(package, os.path.basename(member.name)), "wb") as target:
                    shutil.copyfileobj(content, target)
    os.unlink(archive)


def _compare(package: str) -> None:
    with open(os.path.join(package, "SHA256SUMS")) as file:
        sums = [line.split(None, 1) for line in file.read().splitlines() if line.strip()]
    for wanted, name in sums:
        try:
            with open(os.path.join(package, os.path.basename(name)), "rb") as file:
                found = hashlib.sha256(file.read()).hexdigest()
        except FileNotFoundError:
            found = "missing"
        if found != wanted:
            raise Failed("host.package_damaged", f"{name} is not what its package says", "retry; if it stays so, make the package anew")


def _must(command: list[str], seconds: float, code: str) -> subprocess.CompletedProcess[str]:
    ended = _call(command, seconds)
    if ended.returncode != 0:
        if any(words in ended.stderr + ended.stdout for words in FULL):
            raise Failed("host.disk_full", "the disk is full", "make room there, then retry")
        raise Failed(code, _last_words(ended), "the host's Python and the package must fit: oboe host check NAME")
    return ended


def _call(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "OBOE_PASSWORD"))}
    environment["PIP_CONFIG_FILE"] = os.devnull
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, env=environment, check=False)


def _last_words(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (ended.stderr + "\n" + ended.stdout).splitlines() if line.strip()]
    return " | ".join(lines[-4:])[:800] or f"it ended with status {ended.returncode} and said nothing"


def _tables(store: str) -> Any:
    connection = sqlite3.connect(store)
    try:
        return connection.execute("SELECT max(version) FROM schema_version").fetchone()[0]
    except sqlite3.Error:
        return None
    finally:
        connection.close()


def _listener(ip: str, port: int) -> str:
    """Empty: free."""
    with socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or "taken"
    return ""


def _current(prefix: str) -> str:
    try:
        return os.path.basename(os.readlink(os.path.join(prefix, "current")))
    except OSError:
        return ""


def _everything(prefix: str) -> list[str]:
    found = []
    for each in ("versions", "packages"):
        if os.path.isdir(os.path.join(prefix, each)):
            found += os.listdir(os.path.join(prefix, each))
    return sorted(set(found))


def _versions(prefix: str) -> list[str]:
    return [name for name in _everything(prefix) if os.path.exists(os.path.join(prefix, "versions", name, ".complete"))]


def _path(text: str) -> str:
    return os.path.abspath(os.path.expanduser(text))


def _upward(path: str) -> list[str]:
    """The path and its parents, the deepest first."""
    found = [path]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def _existing(path: str) -> str:
    return next(each for each in _upward(path) if os.path.isdir(each))


def _remove_empty(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        return


def _json(path: str) -> dict[str, Any] | None:
    try:
        with open(path) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: str, text: str) -> None:
    with open(path + ".new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


VERBS = (look, lock, unlock, stop, start, check, receive, install, switch, discard, prune, save, restore)


def main(verb: str, asked: str) -> None:
    try:
        answer = {each.__name__: each for each in VERBS}[verb](json.loads(asked))
    except Failed as failed:
        answer = {"error": failed.error}
    except subprocess.TimeoutExpired as late:
        answer = {"error": {"code": "host.timeout", "message": f"{late.cmd[0]} took too long", "hint": "retry"}}
    except OSError as error:
        if error.errno in (28, 122):
            answer = {"error": {"code": "host.disk_full", "message": "the disk is full", "hint": "make room there, then retry"}}
        else:
            hint = "may the user read and write there?"
            answer = {"error": {"code": "host.not_done", "message": f"{error.filename or verb}: {error.strerror}", "hint": hint}}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
