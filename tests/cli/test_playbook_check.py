"""``oboe playbook check``: what is wrong with a playbook is said before an agent has it."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from oboe.cli.main import oboe

HEAD = """
import msgspec
from oboe.kit import Address, HomeKind, Run, Sketch, Step, playbook

class Params(msgspec.Struct):
    agents: list[str]

"""
GOOD = (
    HEAD
    + """
class Touch(Step):
    \"\"\"Touches it.\"\"\"
    timeout = 5
    irreversible = "it is touched"
    def run(self, run: Run) -> None: ...

@playbook("Good", home=HomeKind.AGENT, params=Params, example=Params(["10.0.0.1:2886"]))
def good(params: Params, sketch: Sketch) -> None:
    \"\"\"Touches.\"\"\"
    sketch.stage("Touch", Touch, agents=[Address.parse(each) for each in params.agents])
"""
)
LAX = (
    HEAD
    + """
def inner() -> type[Step]:
    class Hidden(Step):
        retryable = False
        def run(self, run: Run) -> None: ...
        def rollback(self, run: Run) -> None: ...
    return Hidden

class Silent(Step):
    def run(self, run: Run) -> None: ...

@playbook("Lax", home=HomeKind.AGENT, params=Params)
def lax(params: Params, sketch: Sketch) -> None:
    sketch.stage("Hidden", inner())

@playbook("Stuck", home=HomeKind.AGENT, params=Params)
def stuck(params: Params, sketch: Sketch) -> None:
    \"\"\"Is stuck.\"\"\"
    sketch.stage("Hidden", inner())
    sketch.stage("Silent", Silent)

@playbook("Crooked", home=HomeKind.AGENT, params=Params)
def crooked(params: Params, sketch: Sketch) -> None:
    \"\"\"Cannot be drawn.\"\"\"
    sketch.stage("Silent", Silent, agents=[Address.parse(each) for each in params.agents])

@playbook("Quiet", home=HomeKind.AGENT, params=Params)
def quiet(params: Params, sketch: Sketch) -> None:
    \"\"\"Says little.\"\"\"
    sketch.stage("Silent", Silent)
"""
)


def check(*places: Path, code: int) -> Result:
    result = CliRunner().invoke(oboe, ["playbook", "check", *map(str, places)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_a_good_one_is_shown_with_its_nodes(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    assert check(tmp_path, code=0).stdout == f"✔ Good  {tmp_path / 'good.py'}  Touch\n"


def test_what_does_not_load_is_named_with_its_line_and_nothing_else_is_printed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("a = 1\nb = = 2\n")
    result = check(tmp_path / "broken.py", code=1)
    assert result.stdout == f"✘ {tmp_path / 'broken.py'}\n    line 2: SyntaxError: invalid syntax\n"
    assert result.stderr == ""


def test_faults_and_advice_are_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "lax.py").write_text(LAX)
    told = check(tmp_path, code=1).stdout
    assert "step Hidden is not an attribute of its module: an agent could not find it again" in told
    assert "advice: it says nothing of what it does: the drawing function needs a docstring" in told
    assert "a failed dag could be stuck: 'Hidden' can be neither retried nor passed, and 'Silent' cannot be rolled back" in told
    assert "draws no plan for these params: ValueError: 'agents' is not ip:port; if plain params draw no plan, say example=" in told
    quiet = told[told.index("✔ Quiet") :]
    assert "advice: step Silent says neither how it is undone (rollback) nor why it cannot be (irreversible)" in quiet
    assert "advice: step Silent has no docstring: a dry run shows it" in quiet
    assert "advice: step Silent states no timeout: it may run for 3600 s" in quiet


def test_scripts_read_it_as_json(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    result = CliRunner().invoke(oboe, ["playbook", "check", "--json", str(tmp_path)])
    (one,) = json.loads(result.stdout)["playbooks"]
    assert one == {"source": str(tmp_path / "good.py"), "name": "Good", "nodes": ["Touch"], "faults": [], "advice": []}


def test_an_empty_directory_has_no_playbooks(tmp_path: Path) -> None:
    assert check(tmp_path, code=0).stdout == "no playbooks there\n"
