"""What is at the top of the repository agrees with what it speaks of."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Command, Context, Group

from oboe.api.own.app import PREFIX, ROUTES
from oboe.cli.cluster import cluster
from oboe.cli.failure import Exit
from oboe.cli.main import oboe
from oboe.cli.task import task

ROOT = Path(__file__).parent.parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def test_there_are_lock_files_and_they_name_no_index() -> None:
    assert [each.name for each in LOCKS] == ["dev.txt", "peers.txt", "run.txt", "seekdb.txt", "tools.txt"]
    assert [each.name for each in LOCKS if re.search(r"https?://|--(extra-)?index-url", each.read_text())] == []


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_a_hash(path: Path) -> None:
    locked = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", path.read_text(), re.MULTILINE)
    assert locked == re.findall(r"^([a-z0-9-]+)==", path.read_text(), re.MULTILINE)
    assert locked


def test_seekdb_is_one_version_and_not_needed_for_the_rest() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["seekdb"]
    assert (ROOT / "requirements" / "seekdb.in").read_text().split() == extra
    assert "pylibseekdb" not in (ROOT / "requirements" / "dev.txt").read_text()


def test_make_runs_only_modules_that_exist() -> None:
    modules = re.findall(r"/python -m (?!pip|pytest|venv)(\S+)", (ROOT / "Makefile").read_text())
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []
    assert "demo.run" in modules


def test_the_unit_ends_the_agent_and_not_the_databases_it_started() -> None:
    lines = (ROOT / "packaging" / "oboe-agent@.service").read_text().splitlines()
    assert {"KillMode=process", "User=oboe", "NoNewPrivileges=yes"} <= set(lines)
    assert [line for line in lines if line.startswith(("MemoryDenyWriteExecute", "PrivateTmp", "PrivatePIDs", "ProtectProc"))] == []


def test_the_page_of_the_command_line_names_every_command_and_exit_code() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    commands = {*oboe.list_commands(None), *cluster.commands, *task.commands}  # type: ignore[arg-type]
    commands |= {f"config {name}" for name in cluster.commands["config"].commands if isinstance(cluster.commands["config"], Group)}
    assert [name for name in commands - {"config"} if f"`{name}`" not in page and f"`oboe {name}`" not in page] == []
    assert [code for code in Exit if f"| {int(code)} |" not in page] == []


def _all(command: Command, name: str = "oboe") -> Iterator[tuple[str, Command]]:
    yield name, command
    if isinstance(command, Group):
        context = Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from _all(found, f"{name} {each}")


def test_no_command_has_two_options_of_one_name() -> None:
    for name, command in _all(oboe):
        options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
        assert len(options) == len(set(options)), (name, options)


def test_the_page_of_oboes_own_api_names_every_route() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    dags = {route.path.replace(":id", "ID") for route in ROUTES if route.path.startswith("/dags")}
    others = {route.path.split("/")[1] for route in ROUTES} - {"dags"}
    assert [path for path in sorted(dags) if f"{PREFIX}{path}`" not in page] == []
    assert [first for first in sorted(others) if f"{PREFIX}/{first}" not in page] == []
