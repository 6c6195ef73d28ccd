"""Agents of the tests: wheels of a tiny program that starts, answers and ends as oboe's agent does, so that installing one costs little.

What it says of itself is in its version; it writes a store with a table version, and refuses one that a later version has written.
"""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path

from oboe.hosts.packages import Package, package_of_wheels

__all__ = ["trial_package"]

_MAIN = """
import json, os, signal, socket, sqlite3, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
VERSION, TABLES = "@VERSION@", @TABLES@
def option(name): return sys.argv[sys.argv.index(name) + 1]
if "--version" in sys.argv:
    print("oboe, version " + VERSION); sys.exit()
home, ip, port = option("--home"), option("--ip"), int(option("--port"))
if "--foreground" not in sys.argv:
    os.makedirs(home, exist_ok=True)
    log = open(os.path.join(home, "out"), "ab")
    words = [sys.executable, "-m", "oboe", "agent", "start", "--foreground", "--home", home, "--ip", ip, "--port", str(port)]
    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    for _ in range(600):
        if child.poll() is not None:
            sys.exit(open(os.path.join(home, "out")).read()[-500:])
        with socket.socket() as probe:
            if probe.connect_ex((ip, port)) == 0:
                print(json.dumps({"pid": child.pid})); sys.exit()
        time.sleep(0.02)
    sys.exit("no answer")
store = sqlite3.connect(os.path.join(home, "oboe.db"))
store.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER)")
store.execute("CREATE TABLE IF NOT EXISTS life (version TEXT)")
known = store.execute("SELECT max(version) FROM schema_version").fetchone()[0] or 0
if known > TABLES:
    sys.exit("store.newer: tables of version %d" % known)
if known < TABLES:
    store.execute("INSERT INTO schema_version VALUES (?)", (TABLES,))
store.execute("INSERT INTO life VALUES (?)", (VERSION,))
store.commit(); store.close()
class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        running = len(os.listdir(os.path.join(home, "running"))) if os.path.isdir(os.path.join(home, "running")) else 0
        said = {
            "/api/v1/info": {"version": "4.5.0.0-" + VERSION, "identity": "SINGLE"},
            "/api/v1/status": {"underMaintenance": False},
            "/oboe/v1/ready": {"ready": True, "waits_for": [], "running": running},
        }[self.path]
        body = json.dumps({"data": said}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer((ip, port), Answers).serve_forever()
"""


def trial_package(directory: Path, version: str, *, tables: int = 1) -> Package:
    """A package with an agent of that version."""
    wheels = directory / "wheels"
    wheels.mkdir(parents=True)
    info = f"oboe_ops-{version}.dist-info"
    files = {
        "oboe/__init__.py": f'__version__ = "{version}"\n',
        "oboe/__main__.py": _MAIN.replace("@VERSION@", version).replace("@TABLES@", str(tables)),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: oboe-ops\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text.encode())}"
        for name, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(wheels / f"oboe_ops-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return package_of_wheels(directory / "package", wheels)
