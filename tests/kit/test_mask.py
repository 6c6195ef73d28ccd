"""What people are shown of texts in which a secret stands."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oboe.kit.mask import LENGTH_MIN, Mask
from oboe.kit.secret import Secret

SECRET = "pa/ss+w örd%\"1'"


class Params(msgspec.Struct):
    name: str
    inner: dict[str, list[Secret]]


def mask(*secrets: str) -> Mask:
    made = Mask()
    made.learn(Params("ada", {"all": [Secret(each) for each in secrets]}))
    return made


@pytest.mark.parametrize(
    "form",
    [
        str,
        lambda text: text.encode().hex(),
        lambda text: quote(text, safe=""),
        lambda text: json.dumps(text),
        repr,
        lambda text: b64encode(text.encode()).decode(),
        lambda text: b64encode(b"user:" + text.encode() + b"@host").decode(),
        lambda text: urlsafe_b64encode(b"u:" + text.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_in_every_form(form: Callable[[str], str]) -> None:
    shown = mask(SECRET).hide(f"before {form(SECRET)} after")
    assert "***" in shown
    assert (shown.startswith("before "), shown.endswith(" after")) == (True, True)
    assert form(SECRET)[4:-4] not in shown


@given(st.text(min_size=LENGTH_MIN), st.text(), st.text())
def test_whatever_stands_around_it(secret: str, before: str, after: str) -> None:
    assert secret not in mask(secret).hide(f"{before}{secret}{after}").replace("***", "\0") or secret in "***"


def test_other_texts_stay_as_they_are() -> None:
    assert mask(SECRET).hide("nothing to hide") == "nothing to hide"
    assert mask().hide(SECRET) == SECRET
    assert mask("abc").hide("abc") == "abc"


def test_names_and_members_of_values_are_hidden_too() -> None:
    assert mask("hunter22").hide_in({"hunter22": ["a hunter22", 7, None, ("hunter22",)]}) == {"***": ["a ***", 7, None, ["***"]]}


def test_of_two_secrets_the_longer_is_hidden_whole() -> None:
    assert mask("hunter2", "hunter2-long").hide("hunter2-long hunter2") == "*** ***"


def test_a_key_of_many_lines_is_hidden_line_by_line() -> None:
    pem = "-----BEGIN KEY-----\n" + "A1b2" * 16 + "\n" + "C3d4" * 16 + "\n-----END KEY-----\n"
    assert "C3d4" not in mask(pem).hide(f"one line: {'C3d4' * 16}")
    assert mask(pem).hide("-----BEGIN KEY-----") == "-----BEGIN KEY-----"
