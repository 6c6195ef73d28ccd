"""Stands in for `oboe.daemon` in a process that ``oboe agent start`` makes: answers, or does not, as ``STUB`` says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def run(*, home: Path, ip: str, port: int, rpc_port: int | None, driver: str, playbooks: tuple[Path, ...]) -> int:
    mode = os.environ.get("STUB", "")
    if mode == "dies":
        print("port is taken\nby another program", flush=True)
        return 1
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if mode == "database":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (home / "run").mkdir(exist_ok=True)
    told = {"pid": os.getpid(), "started": time.time_ns(), "ip": ip, "port": port}
    (home / "run" / "agent.json").write_text(json.dumps(told))
    (home / "how.json").write_text(json.dumps({"rpc_port": rpc_port, "driver": driver, "playbooks": [str(each) for each in playbooks]}))
    if mode == "mute":
        threading.Event().wait(600)
    server = ThreadingHTTPServer((ip, port), _Handler)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else lambda *_: sys.exit(0))
    server.serve_forever()
    return 0


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        waits = ["the database: its password is wrong"] if os.environ.get("STUB") == "waits" else []
        data: dict[str, Any] = {
            "/api/v1/status": {"pid": os.getpid(), "state": 2, "obState": 3, "sqlPort": 2881, "underMaintenance": True},
            "/api/v1/info": {"identity": "CLUSTER AGENT", "zone": "zone1", "version": "0.1.0"},
            "/oboe/v1/ready": {"ready": not waits, "waits_for": waits},
        }
        content = json.dumps({"status": 200, "data": data[self.path]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""
