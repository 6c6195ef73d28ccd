"""Secrets at rest."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.kit.typed import decoder
from oboe.store.encoding import encode
from oboe.store.sealing import Sealer, open_params, resealed, seal_params

KEY = bytes(range(32))


class Endpoint(msgspec.Struct):
    host: str
    password: Secret


class Params(msgspec.Struct):
    zone: str
    root_password: Secret
    agents: list[Endpoint] = []
    proxy_password: Secret | None = None


def test_what_is_sealed_can_be_unsealed_and_never_looks_the_same() -> None:
    sealer = Sealer(KEY)
    first, second = sealer.seal("pässword"), sealer.seal("pässword")
    assert first != second
    assert "ssword" not in first
    assert sealer.unseal(first) == sealer.unseal(second) == Secret("pässword")
    assert sealer.unseal(sealer.seal("")) == Secret("")


@pytest.mark.parametrize("change", ["flip", "cut", "other key", "no form", "no base64", "empty"])
def test_what_was_not_sealed_so_is_refused(change: str) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal("secret")
    middle = len(sealed) // 2
    spoiled = {
        "flip": sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :],
        "cut": sealed[:6],
        "other key": Sealer(bytes(32)).seal("secret"),
        "no form": sealed[2:],
        "no base64": sealed + "!",
        "empty": "",
    }[change]
    with pytest.raises(Refused) as refusal:
        sealer.unseal(spoiled)
    assert refusal.value.code == "secret.unreadable"


def test_the_key_file_is_made_once_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    sealed = Sealer.at(home).seal("x")
    assert (home / "key").stat().st_mode & 0o777 == 0o600
    assert Sealer.at(home).unseal(sealed) == Secret("x")
    assert [path.name for path in home.iterdir()] == ["key"]


def test_all_that_open_a_new_home_at_once_get_the_same_key(tmp_path: Path) -> None:
    sealers: list[Sealer] = []
    start = threading.Barrier(8)

    def make() -> None:
        start.wait(10)
        sealers.append(Sealer.at(tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    sealed = Sealer.at(tmp_path).seal("x")
    assert [sealer.unseal(sealed) for sealer in sealers] == [Secret("x")] * 8


def test_a_damaged_key_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(Refused) as refusal:
        Sealer.at(tmp_path)
    assert refusal.value.code == "key.damaged"
    assert (tmp_path / "key").read_bytes() == b"short"


def test_params_are_sealed_wherever_a_secret_is_and_opened_by_their_type() -> None:
    sealer = Sealer(KEY)
    params = Params("zone1", Secret("hunter2"), [Endpoint("h", Secret("swordfish"))], None)
    sealed = seal_params(params, sealer)
    text = encode(sealed)
    assert "hunter2" not in text
    assert "swordfish" not in text
    assert sealed["root_password"].keys() == {"$sealed"}
    assert open_params(Params, decoder(object).decode(text), sealer) == params
    with_proxy = Params("z", Secret(""), [], Secret("p"))
    assert open_params(Params, seal_params(with_proxy, sealer), sealer) == with_proxy


def test_a_secret_goes_from_one_key_to_another() -> None:
    mine, theirs = Sealer(KEY), Sealer(bytes(32))
    params = seal_params(Params("z", Secret("hush"), [Endpoint("h", Secret("a"))], None), mine)
    moved = resealed(params, lambda: mine, lambda: theirs)
    assert open_params(Params, moved, theirs) == open_params(Params, params, mine)
    with pytest.raises(Refused, match="sealed under another key"):
        open_params(Params, moved, mine)


def test_no_key_is_asked_for_where_nothing_is_sealed() -> None:
    def none() -> Sealer:
        raise AssertionError

    assert resealed({"zone": "z", "list": [1, {"a": None}]}, none, none) == {"zone": "z", "list": [1, {"a": None}]}


def test_params_that_do_not_fit_are_refused() -> None:
    sealer = Sealer(KEY)
    with pytest.raises(Refused) as refusal:
        open_params(Params, {"zone": 3}, sealer)
    assert refusal.value.code == "params.unreadable"
    with pytest.raises(Refused) as refusal:
        open_params(Params, {"zone": "z", "root_password": {"$sealed": Sealer(bytes(32)).seal("x")}}, sealer)
    assert refusal.value.code == "secret.unreadable"


def test_a_key_file_that_others_could_read_is_theirs_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sealed = Sealer.at(tmp_path).seal("hunter2")
    (tmp_path / "key").chmod(0o644)
    assert Sealer.at(tmp_path).unseal(sealed) == Secret("hunter2")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert "could be read by others" in caplog.text


def test_a_key_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    with pytest.raises(Refused) as refusal:
        Sealer.at(tmp_path)
    assert (refusal.value.code, str(tmp_path / "key") in refusal.value.message) == ("key.unreadable", True)
