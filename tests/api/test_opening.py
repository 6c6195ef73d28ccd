"""Two threads open a header to the same end as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from oboe.api.obshell import opening
from oboe.api.obshell.auth import Door
from oboe.api.obshell.opening import Opener
from oboe.api.shared.exchange import Request
from oboe.domain.errors import Refused
from oboe.kit.secret import Secret
from oboe.remote import secrecy

from .fakes import FakeKeys

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


@pytest.mark.parametrize("alone", [True, False])
def test_a_request_has_two_threads_while_it_is_the_only_one(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.os, "cpu_count", lambda: 2)
    key = Key()
    monkeypatch.setattr(secrecy, "load_private_key", lambda pem: key)
    sealed = secrecy.seal_request(PAIR.public_key, password=Secret("pw"), uri="/" + "x" * 100)
    request = Request(
        method="GET",
        target="/",
        path="/",
        query="",
        headers={"x-ocs-header": sealed.header},
        body=b"",
        source="",
        received_at=0,
        started=0,
        alone=alone,
    )
    door = Door(FakeKeys())
    asked: list[bool] = []
    together = Opener.open_blocks
    monkeypatch.setattr(Opener, "open_blocks", lambda self, *given, **how: asked.append(True) or together(self, *given, **how))
    assert door.read(request).header.password == Secret("pw")
    assert bool(asked) is alone


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


def test_what_is_needed_next_is_begun_on_the_second_thread_and_not_waited_for() -> None:
    opener, begun, go = Opener(2), threading.Event(), threading.Event()
    threads = []

    def ahead() -> None:
        threads.append(threading.current_thread())
        begun.set()
        assert go.wait(SECONDS)

    blocks = [PRIVATE.public_key().encrypt(b"text", PKCS1v15())] * 3
    try:
        assert opener.open_blocks(PRIVATE, blocks, ahead) == [(b"text",)] * 3
        assert begun.wait(SECONDS)
        assert opener.open_blocks(PRIVATE, blocks, ahead) == [(b"text",)] * 3  # it is busy: nothing is begun, nobody waits
    finally:
        go.set()
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


def test_the_second_thread_survives_what_goes_wrong_ahead() -> None:
    opener, again = Opener(2), threading.Event()

    def fails() -> None:
        raise LookupError

    blocks = [PRIVATE.public_key().encrypt(b"text", PKCS1v15())] * 3
    assert opener.open_blocks(PRIVATE, blocks, fails) == [(b"text",)] * 3
    deadline = time.monotonic() + SECONDS
    while opener._busy and time.monotonic() < deadline:
        time.sleep(0.001)
    assert opener.open_blocks(PRIVATE, blocks, again.set) == [(b"text",)] * 3
    assert again.wait(SECONDS)


def test_on_one_processor_nothing_is_begun() -> None:
    begun: list[bool] = []
    blocks = [PRIVATE.public_key().encrypt(b"text", PKCS1v15())] * 3
    assert Opener(1).open_blocks(PRIVATE, blocks, lambda: begun.append(True)) == [(b"text",)] * 3
    assert begun == []


def test_the_second_thread_ends_when_it_is_not_needed_and_is_there_again_when_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "IDLE_SECONDS", 0.05)
    opener, threads, begun = Opener(2), [], threading.Semaphore(0)
    blocks = [PRIVATE.public_key().encrypt(b"text", PKCS1v15())] * 3

    def begin() -> None:
        threads.append(threading.current_thread())
        begun.release()

    for _ in range(2):
        assert opener.open_blocks(PRIVATE, blocks, begin) == [(b"text",)] * 3
        assert begun.acquire(timeout=SECONDS)
        threads[-1].join(SECONDS)
        assert not threads[-1].is_alive()
    assert threads[0] is not threads[1]
