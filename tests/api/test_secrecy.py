"""The hybrid encryption, both sides, and against the vendor's own client library."""

from __future__ import annotations

import base64
import json
import sys
import threading
import time
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given, settings
from hypothesis import strategies as st
from obshell.auth.password import PasswordAuth

from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.remote import secrecy

PAIR = secrecy.new_key_pair()
PRIVATE = secrecy.load_private_key(PAIR.private_pem)


def test_what_is_sealed_is_opened() -> None:
    sealed = secrecy.seal_request(
        PAIR.public_key, password=Secret("päss"), uri="/api/v1/x?y=1", body=b'{"a":1}', valid_seconds=60, now=100.9
    )
    header = secrecy.open_header(PRIVATE, sealed.header)
    assert (header.password, header.expires, header.uri) == (Secret("päss"), "160", "/api/v1/x?y=1")
    assert header.keys == sealed.keys
    assert secrecy.open_body(header.keys, sealed.body) == b'{"a":1}'


def test_a_request_without_a_body_stays_without() -> None:
    assert secrecy.seal_request(PAIR.public_key, password=Secret(""), uri="/").body == b""


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=400))
def test_text_of_any_length_survives(text: bytes) -> None:
    assert secrecy.open_text(PRIVATE, secrecy.seal_text(PAIR.public_key, text)) == text


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=100), st.binary(min_size=32, max_size=32))
def test_a_body_of_any_length_survives(body: bytes, keys: bytes) -> None:
    assert secrecy.open_body(keys, secrecy.seal_body(keys, body)) == body


def test_pieces_are_53_bytes_so_that_a_key_of_512_bits_takes_them() -> None:
    lengths = [len(base64.b64decode(secrecy.seal_text(PAIR.public_key, b"x" * size))) for size in (0, 53, 54, 107)]
    assert lengths == [256, 256, 512, 768]


def test_names_of_members_are_matched_whatever_their_case() -> None:
    text = json.dumps({"Auth": "p", "TS": "5", "uRi": "/u", "Keys": base64.b64encode(b"k" * 32).decode(), "ForwardType": 0}).encode()
    header = secrecy.open_header(PRIVATE, secrecy.seal_text(PAIR.public_key, text))
    assert (header.password.reveal(), header.expires, header.uri, header.keys) == ("p", "5", "/u", b"k" * 32)


def _sealed(text: bytes) -> str:
    return secrecy.seal_text(PAIR.public_key, text)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "AAAA",
        "!!!!",
        "AAAA" * 5000,
        _sealed(b"x")[:-4],
        base64.b64encode(b"\x01" * 256).decode(),
        _sealed(b"not json"),
        _sealed(b"[1]"),
        _sealed(b'{"auth":5}'),
        _sealed(b'{"keys":"***"}'),
        _sealed(b'{"auth":"a"'),
        _sealed(b"[" * 500),
    ],
)
def test_a_header_that_cannot_be_opened_says_one_thing(value: str) -> None:
    with pytest.raises(Refused) as refused:
        secrecy.open_header(PRIVATE, value)
    assert (refused.value.code, refused.value.message) == ("secrecy.undecipherable", "it cannot be decrypted")


KEYS = b"k" * 32
GOOD = secrecy.seal_body(KEYS, b'{"operator":"RETRY"}')


@pytest.mark.parametrize(
    ("keys", "body"),
    [
        (b"", GOOD),
        (b"k" * 15, GOOD),
        (b"k" * 31, GOOD),
        (b"k" * 33, GOOD),
        (KEYS, b"{}"),
        (KEYS, b"eHh4eHh4eHh4eHh4eHh4"),
        (KEYS, GOOD[:-8]),
        (KEYS, b"!" + GOOD),
        (KEYS, base64.b64encode(b"\x00" * 32)),
        (b"j" * 32, GOOD),
    ],
)
def test_a_body_that_cannot_be_opened_says_one_thing(keys: bytes, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        secrecy.open_body(keys, body)
    assert (refused.value.code, refused.value.message) == ("secrecy.undecipherable", "it cannot be decrypted")


def test_nothing_that_was_opened_shows_in_a_repr() -> None:
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("hunter2"), uri="/")
    assert "hunter2" not in repr(secrecy.open_header(PRIVATE, sealed.header))
    assert "BEGIN" not in repr(PAIR)


def test_keys_are_drawn_anew_for_every_request() -> None:
    drawn = [secrecy.seal_request(PAIR.public_key, password=Secret(""), uri="/").keys for _ in range(20)]
    assert all(one != other for one, other in pairwise(sorted(drawn)))


def test_a_bad_public_key_is_refused() -> None:
    for text in ("", "AAAA", "***"):
        with pytest.raises(Refused, match="PKCS#1"):
            secrecy.load_public_key(text)


def test_the_public_key_is_what_the_vendors_library_reads() -> None:
    from Crypto.PublicKey import RSA  # the vendor's client reads keys with it

    assert RSA.import_key(base64.b64decode(PAIR.public_key)).size_in_bits() == secrecy.KEY_BITS
    assert PasswordAuth("p") is not None


def test_a_block_of_the_plain_padding_is_read() -> None:
    """Go cuts pieces of key length - 11."""
    piece = b'{"auth":"' + b"a" * 200 + b'"}'
    block = secrecy.load_public_key(PAIR.public_key).encrypt(piece, padding.PKCS1v15())
    assert secrecy.open_header(PRIVATE, base64.b64encode(block).decode()).password == Secret("a" * 200)


def test_a_header_is_opened_outside_the_interpreter_lock() -> None:
    """Nobody is made to give the lock up here, so the other thread moves only while it is free."""
    sealed = secrecy.seal_text(PAIR.public_key, b"x" * 150)
    over = threading.Event()
    moves = 0

    def move() -> None:
        nonlocal moves
        while not over.is_set():
            moves += 1
            time.sleep(0)

    before = sys.getswitchinterval()
    sys.setswitchinterval(60.0)
    other = threading.Thread(target=move)
    try:
        other.start()
        for _ in range(200):
            secrecy.open_text(PRIVATE, sealed)
    finally:
        over.set()
        sys.setswitchinterval(before)
        other.join()
    assert moves > 50
