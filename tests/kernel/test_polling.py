"""Waiting in a thread for a socket, with poll(2) and without."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from puregrpc.kernel.threads import polling, sleeping
from puregrpc.kernel.threads.polling import Wakeup, wait_for_socket


@pytest.fixture(autouse=True, params=["poll", "select"])
def _system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "select":
        monkeypatch.setattr(polling, "new_poll", polling._Selecting)
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


def test_the_main_thread_looks_for_signals_now_and_then(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    new_poll = polling.new_poll

    def counted() -> Any:
        made = new_poll()

        class Counted:
            register = made.register

            def poll(self, milliseconds: float) -> Any:
                slept.append(milliseconds / 1000)
                return made.poll(milliseconds)

        return Counted()

    monkeypatch.setattr(polling, "new_poll", counted)
    monkeypatch.setattr(sleeping, "SIGNAL_PAUSE", 0.01)
    assert not wait_for_socket(pair[0], read=True, timeout=0.1)
    assert len(slept) > 1
    assert max(slept) <= 0.01
    slept.clear()
    elsewhere = threading.Thread(target=wait_for_socket, args=(pair[0],), kwargs={"read": True, "timeout": 0.1})
    elsewhere.start()
    elsewhere.join()
    assert slept == [0.1]  # where no signal is handled


def test_one_that_was_closed_behind_its_back_is_ready() -> None:
    first, second = socket.socketpair()
    with second:
        os.close(first.fileno())
        try:
            assert wait_for_socket(first, read=True, timeout=30)
        finally:
            first.detach()
