"""The agent's own log: one JSON object a line, rotated, with what looks like a secret masked before it is written."""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["JsonLines", "masked", "start_logging"]

_MAX_BYTES = 10 << 20
_BACKUPS = 5
_SECRET = re.compile(
    r"(?i)(password|passwd|pwd|secret|token|authorization|identified by|x-ocs-(?:agent-)?header)"
    r"(['\"]?\s*[:=]?\s*)(['\"][^'\"]*['\"]|[^\s,;})]+)"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


def masked(text: str) -> str:
    """The text with secrets masked: a second net under the rule that nobody logs one."""
    return _SECRET.sub(r"\1\2***", _PEM.sub("*** private key ***", text))


class JsonLines(logging.Formatter):
    """``{"at","level","logger","message"[,"error"]}``, times in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def start_logging(directory: Path, *, level: str = "INFO") -> logging.Handler:
    """Send the log of this process to ``directory/agent.log``, mode 0600."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / "agent.log"
    path.touch(mode=0o600)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8")
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return handler
