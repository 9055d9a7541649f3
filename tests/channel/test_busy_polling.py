"""A lone blocking call asks busily for its answer before it sleeps: when it does, and when it does not."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from puregrpc.channel import BlockingChannel
from puregrpc.errors import InvalidArgument, RpcError
from puregrpc.kernel.threads.polling import wait_for_socket
from puregrpc.transport import busy_poll

SLEEP = "test.Service/Sleep"

pytestmark = pytest.mark.worlds("threads")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that asked busily, once for each time that there was no answer yet."""
    threads: list[int] = []
    monkeypatch.setattr(os, "sched_yield", lambda: threads.append(threading.get_ident()))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return threads


def lone_call(channel: BlockingChannel, seconds: float, *, timeout: float = 30) -> bytes:
    """A call that is alone, and comes so soon behind another that the reader leaves it alone too."""
    channel.unary_unary("test.Service/Fail").exchange(b"")
    time.sleep(0.005)
    answer: bytes = channel.unary_unary(SLEEP)(b"%g" % seconds, timeout=timeout)
    return answer


def call_until_asked(channel: BlockingChannel, asked: list[int], seconds: float) -> None:
    """On a busy machine a call may come so late that the reader reads for it."""
    for _ in range(500):
        assert float(lone_call(channel, seconds)) == seconds
        if asked:
            return
    raise AssertionError("no call asked busily")


def test_a_lone_call_asks_busily_and_its_own_thread_does(server: str, asked: list[int]) -> None:
    with BlockingChannel(server, busy_poll=0.1) as channel:
        call_until_asked(channel, asked, 0.02)
    assert set(asked) == {threading.get_ident()}


def test_it_is_not_asked_beyond_the_time_and_not_in_the_calls_after_that(server: str, asked: list[int]) -> None:
    with BlockingChannel(server, busy_poll=1e-6) as channel:
        call_until_asked(channel, asked, 0.01)
        asked.clear()
        for _ in range(busy_poll.READS_WITHOUT_POLLING // 5):
            assert lone_call(channel, 0.001) == b"0.001"
        assert not asked
        call_until_asked(channel, asked, 0.001)


def test_it_is_asked_no_longer_than_the_deadline(server: str, asked: list[int]) -> None:
    with BlockingChannel(server, busy_poll=0.1) as channel:
        began = time.monotonic()
        with pytest.raises(RpcError, match="DEADLINE_EXCEEDED"):
            lone_call(channel, 10, timeout=0.03)
        assert time.monotonic() - began < 5
        assert lone_call(channel, 0) == b"0"


def test_one_thread_of_a_process_at_a_time_asks_busily(server: str, asked: list[int]) -> None:
    with BlockingChannel(server, busy_poll=0.1) as channel, busy_poll._polling:
        assert lone_call(channel, 0.02) == b"0.02"
    assert not asked


def test_it_can_be_turned_off_and_a_single_processor_turns_it_off(
    server: str, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BlockingChannel(server, busy_poll=0) as channel:
        assert lone_call(channel, 0.02) == b"0.02"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    with BlockingChannel(server, busy_poll=0.1) as channel:
        assert lone_call(channel, 0.02) == b"0.02"
    assert not asked


def test_a_socket_that_was_closed_is_ready_for_whoever_reads_it() -> None:
    with socket.socket() as closed:
        pass
    assert wait_for_socket(closed, read=True, timeout=0)


def test_threads_that_share_a_connection_sleep(server: str, asked: list[int]) -> None:
    with BlockingChannel(server, busy_poll=0.1) as channel:
        channel.connect()
        method = channel.unary_unary(SLEEP)
        first = threading.Thread(target=method, args=(b"1.5",))
        first.start()
        time.sleep(0.2)
        asked.clear()
        assert method(b"0.02") == b"0.02"
        assert threading.get_ident() not in asked
        first.join()


@pytest.mark.parametrize("seconds", [-1, 0.2, float("nan")])
def test_times_that_cannot_be(seconds: float) -> None:
    with pytest.raises(InvalidArgument, match=r"busy_poll is 0 to 0\.1 seconds"):
        BlockingChannel("localhost:1", busy_poll=seconds)
