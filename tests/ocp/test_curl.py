"""``docs/ocp-curl.md`` is true: every command is run by bash against a real agent, and prints what the page says.

``OBOE_WRITE=1`` writes the page anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from oboe.control.users import AccessKey
from oboe.kit.secret import Secret
from tests.ocp.site import Site
from tests.ocp.steps import Node
from tests.ocp.test_signing import HEADERS, SECRET, usual

ROOT = Path(__file__).parents[2]
PAGE, SIGNER = ROOT / "docs/ocp-curl.md", ROOT / "tools/ocp-curl"
KEY = AccessKey("aliceskey01", Secret("a-secret-of-her-own-0123456789"))
WORD = "a-password-without-spaces"
STEPS = (Node("Copy the package"), Node("Start the service", [0]))
_MARK = "=== end of a command ==="
_BLOCK = re.compile(r"```(sh|console)\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("bash", "curl", "openssl"))), reason="needs bash, curl and openssl")


def test_the_page_says_what_the_commands_print(site: Site, tmp_path: Path) -> None:
    for name, grant in (("alice", "TASK_MANAGER"), ("victor", "TASK_VIEWER")):
        site.users.add(name, Secret(WORD), [grant], who="test")
    site.users.add_key("alice", KEY, who="test")
    (tmp_path / "victor.netrc").write_text(f"machine 127.0.0.1 login victor password {WORD}\n")
    page = PAGE.read_text(encoding="utf-8")
    by_password, by_key = page.split("## With an access key")
    shown = (run(site, tmp_path, by_password), run(site, tmp_path, preparation(by_password) + by_key))
    new = "## With an access key".join(filled(part, found) for part, found in zip((by_password, by_key), shown, strict=True))
    if os.environ.get("OBOE_WRITE"):
        PAGE.write_text(new, encoding="utf-8")
    assert comparable(new) == comparable(page)


def preparation(part: str) -> str:
    """What is defined before the first section."""
    return next(f"```sh\n{body}```\n" for kind, body in _BLOCK.findall(part) if kind == "sh")


def run(site: Site, directory: Path, part: str) -> list[str]:
    """What each command of a part prints, in order."""
    going = {
        "FAILED": site.run(*STEPS, Start_the_service="fail"),
        "BROKEN": site.run(*STEPS, Start_the_service="fail"),
        "GOING": site.run(*STEPS, Start_the_service="hold"),
    }
    for name, each in going.items():
        each.until("RUNNING/EXECUTE" if name == "GOING" else "FAILED/EXECUTE", "SUCCESSFUL/EXECUTE", WORDS[name])
    ids = {"LAST": going["FAILED"].sub_id(1), "NOW": going["GOING"].sub_id(1)}
    environment = {name: str(each.id) for name, each in going.items()} | {name: str(number) for name, number in ids.items()}
    script = "".join(
        as_script(kind, body.replace("10.0.0.7:2886", str(site.address)).replace("10.0.0.7", "127.0.0.1"))
        for kind, body in _BLOCK.findall(part)
    )
    found = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env={"PATH": f"{SIGNER.parent}:{os.environ['PATH']}", "PASSWORD": WORD, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not found.stderr
    return found.stdout.split(_MARK + "\n")[:-1]


WORDS = {"FAILED": "FAILED/EXECUTE", "BROKEN": "FAILED/EXECUTE", "GOING": "RUNNING/EXECUTE"}


def as_script(kind: str, body: str) -> str:
    if kind == "sh":
        return body.replace("OCP_AK=… OCP_SK=…", f"OCP_AK={KEY.id} OCP_SK={KEY.secret.reveal()}")
    return "".join(f"{command}\necho; echo '{_MARK}'\n" for command in commands(body))


def commands(body: str) -> list[str]:
    return [line.removeprefix("$ ") for line in body.splitlines() if line.startswith("$ ")]


def filled(part: str, printed: Sequence[str]) -> str:
    """The part with what its commands printed now."""
    left = iter(printed)

    def block(match: re.Match[str]) -> str:
        if match[1] == "sh":
            return match[0]
        shown = [f"$ {command}\n" + "".join(f"{line}\n" for line in next(left).splitlines() if line) for command in commands(match[2])]
        return f"```console\n{''.join(shown)}```"

    return _BLOCK.sub(block, part)


def comparable(page: str) -> str:
    """Without what is another time another: times, durations, trace ids, addresses, ids."""
    page = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+([+-]\d\d:\d\d)?", "TIME", page)
    page = re.sub(r'"(duration|runTime)":\d+', r'"\1":N', page)
    page = re.sub(r'"traceId":"[0-9a-f]{16}"', '"traceId":"TRACE"', page)
    page = re.sub(r"\b45035996273\d{5}\b", "ID", page)
    return re.sub(r"127\.0\.0\.1(:\d+)?", "HOST", page)


def test_the_signer_signs_as_the_vendor_does() -> None:
    """The vectors that `test_signing` holds the server to, and what is hard to encode."""
    asked = [
        ("GET", "/api/v2/tasks/instances?status=RUNNING&status=FAILED&page=1&size=10&name=add%20host%2B1", ""),
        ("POST", "/api/v2/demo", '{"a":1}'),
        ("GET", "/p?b=~x*y&a=&a=2,1&c=%E5%90%8D", ""),
        ("GET", "/p?a=one+two&a=%0Ax", ""),
    ]
    for method, target, body in asked:
        wanted = usual(method, target, HEADERS, body.encode())
        found = signed(method, target, body)
        assert found[:-1] == wanted.split("\n"), target
    assert signed(*asked[0])[-1] == "A2DpFA0XKq95HK1tHKt8cZjhZBo="
    assert signed(*asked[1])[-1] == "C8PXTYy8Nv8LwEQMyIcUVqaPWlM="


def signed(method: str, target: str, body: str) -> list[str]:
    """The lines that are signed, and the signature."""
    environment = {"PATH": os.environ["PATH"], "OCP_AK": "x", "OCP_SK": SECRET.reveal(), "OCP_SHOW": "1", "OCP_DATE": HEADERS["date"]}
    command = [str(SIGNER), method, f"http://{HEADERS['host']}{target}", *(["--data-binary", body] if body else [])]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")
    return [*found[:-3], found[-2]]
