"""Settings: where they come from, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oboe.config import Settings, describe
from oboe.domain.errors import Refused
from tools import settings_docs


def test_the_environment_is_stronger_than_the_file_and_that_stronger_than_the_default(tmp_path: Path) -> None:
    (tmp_path / "oboe.toml").write_text("port = 4000\nclient_connect_seconds = 2\n")
    settings = Settings.from_home(tmp_path, {"OBOE_PORT": "5000", "HOME": "/"})
    assert (settings.port, settings.client_connect_seconds, settings.rpc_port_offset) == (5000, 2.0, 1000)


def test_variables_that_are_no_settings_are_not_looked_at() -> None:
    assert Settings.from_env({"OBOE_PASSWORD": "pw1", "OBOE_AGENT": "host:1", "OBOE_DEMO": "/x"}) == Settings()


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"prot": 1}, "config.unknown", "did you mean 'port'?"),
        ({"port": "many"}, "config.wrong_type", "port = 'many' is not an int"),
        ({"port": 70000}, "config.out_of_bounds", "between 1 and 65535 port"),
        ({"client_answer_bytes_max": 1}, "config.out_of_bounds", "at least 1048576 bytes"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(values: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(Refused) as raised:
        Settings.of(values, source="oboe.toml")
    assert (raised.value.code, words in str(raised.value)) == (code, True)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oboe.toml").write_text("port: 2886\n")
    with pytest.raises(Refused) as raised:
        Settings.from_home(tmp_path, {})
    assert raised.value.code == "config.unreadable"


def test_every_setting_has_a_unit_a_sentence_and_a_default_within_its_bounds() -> None:
    settings = describe()
    assert Settings.of({each.name: each.default for each in settings}, source="defaults") == Settings()
    assert [each.name for each in settings if not each.sentence.endswith(".")] == []


def test_the_page_of_settings_is_current() -> None:
    assert settings_docs.PATH.read_text(encoding="utf-8") == settings_docs.render(), "run `make docs`"
