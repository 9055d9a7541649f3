"""Waiting in a thread for a socket, with poll(2) and without."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from puregrpc.kernel.threads.polling import Wakeup, wait_for_socket


@pytest.fixture(autouse=True, params=["poll", "select"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "select":
        monkeypatch.delattr(select, "poll", raising=False)
    elif not hasattr(select, "poll"):
        pytest.skip("there is no poll")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    first, second = socket.socketpair()
    with first, second:
        first.setblocking(False)
        yield first, second


def test_it_waits_for_what_is_asked_for(pair: tuple[socket.socket, socket.socket]) -> None:
    first, second = pair
    assert wait_for_socket(first, write=True)
    began = time.monotonic()
    assert not wait_for_socket(first, read=True, timeout=0.03)
    assert time.monotonic() - began >= 0.03
    assert not wait_for_socket(first, read=True, timeout=-1)
    second.send(b"a")
    assert wait_for_socket(first, read=True)
    assert wait_for_socket(first, read=True, write=True)
    while True:
        try:
            first.send(bytes(1 << 20))
        except BlockingIOError:
            break
    assert not wait_for_socket(first, write=True, timeout=0)


def test_the_end_and_a_closed_socket_are_ready(pair: tuple[socket.socket, socket.socket]) -> None:
    first, second = pair
    second.close()
    assert wait_for_socket(first, read=True)
    first.close()
    assert wait_for_socket(first, read=True)


def test_another_thread_ends_it(pair: tuple[socket.socket, socket.socket]) -> None:
    wakeup = Wakeup()
    try:
        timer = threading.Timer(0.03, wakeup.set)
        timer.start()
        began = time.monotonic()
        assert not wait_for_socket(pair[0], read=True, timeout=30, wakeup=wakeup)
        timer.join()
        for _ in range(100_000):
            wakeup.set()
        assert not wait_for_socket(pair[0], read=True, timeout=30, wakeup=wakeup)
        assert time.monotonic() - began < 10
        wakeup.clear()
        assert not wait_for_socket(pair[0], read=True, timeout=0.01, wakeup=wakeup)
        assert not wait_for_socket(wakeup.receiving, read=True, timeout=0)
    finally:
        wakeup.close()
