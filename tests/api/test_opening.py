"""Two threads open a header to the same end as one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from oboe.api.obshell import opening
from oboe.api.obshell.opening import Opener
from oboe.domain.errors import Refused
from oboe.remote import secrecy

SECONDS = 30.0
PAIR = secrecy.new_key_pair()
PRIVATE = secrecy.load_private_key(PAIR.private_pem)
TEXT = bytes(range(200))


class Key:
    """Notes which threads use it, and lets a test hold them up."""

    key_size = PRIVATE.key_size

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.threads: list[str] = []
        self._before = before

    def decrypt(self, block: bytes, how: Any) -> bytes:
        self.threads.append(threading.current_thread().name)
        self._before()
        return PRIVATE.decrypt(block, how)


def opened(opener: Opener, key: Any, text: bytes = TEXT) -> bytes:
    return secrecy.open_text(key, secrecy.seal_text(PAIR.public_key, text), open_blocks=opener.open_blocks)


@pytest.mark.parametrize("processors", [1, 2])
def test_any_number_of_blocks_is_opened_in_order(processors: int) -> None:
    opener = Opener(processors)
    assert isinstance(PRIVATE, rsa.RSAPrivateKey)
    for size in (0, 1, 53, 54, 200, 53 * 48):
        assert opened(opener, PRIVATE, bytes(size * 7 % 256 for _ in range(size))) == bytes(size * 7 % 256 for _ in range(size))
    with pytest.raises(Refused):
        secrecy.open_text(PRIVATE, secrecy.seal_text(secrecy.new_key_pair().public_key, TEXT)[:-4], open_blocks=opener.open_blocks)


def test_one_header_is_opened_by_two_threads() -> None:
    both = threading.Barrier(2)
    key = Key(lambda: both.wait(SECONDS))
    assert opened(Opener(2), key) == TEXT
    assert len(set(key.threads)) == 2


def test_on_one_processor_nobody_helps() -> None:
    key = Key()
    assert opened(Opener(1), key) == TEXT
    assert set(key.threads) == {threading.current_thread().name}


def test_nobody_helps_while_another_header_is_opened() -> None:
    opener, go = Opener(2), threading.Event()
    held = Key(lambda: go.wait(SECONDS))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(opened, opener, held)
        while not held.threads:
            pass
        key = Key()
        assert opened(opener, key) == TEXT
        assert set(key.threads) == {threading.current_thread().name}
        go.set()
        assert first.result(SECONDS) == TEXT


def test_a_helper_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "WAIT_SECONDS", 0.05)
    here, go = threading.current_thread(), threading.Event()
    helper_has_one = threading.Event()

    def before() -> None:
        if threading.current_thread() is here:
            assert helper_has_one.wait(SECONDS)
        else:
            helper_has_one.set()
            assert go.wait(SECONDS)

    opener = Opener(2)
    try:
        assert opened(opener, Key(before)) == TEXT
    finally:
        go.set()
    assert opened(opener, Key()) == TEXT
