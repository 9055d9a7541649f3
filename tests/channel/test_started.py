"""Unary calls that are begun, and not waited for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

import pytest

from puregrpc.channel import BlockingChannel, StartedExchange
from puregrpc.errors import InvalidArgument, LocalProtocolError, NotConnected, RpcError
from puregrpc.kernel.threads.trampoline import Interrupted
from puregrpc.wire.connection import Request, ServerCall
from puregrpc.wire.status import StatusCode
from tests.channel.helpers import run
from tests.channel.raw_server import closed_port
from tests.channel.wire_server import EchoCall, SilentCall, WireSession, wire_server
from tests.worlds import open_channel, until

on_threads = pytest.mark.worlds("threads")


def method_of(channel: Any) -> Any:
    """The channel's own method, in every world: it waits for nothing."""
    return getattr(channel, "blocking", channel).unary_unary("a.B/C")


async def over(started: StartedExchange) -> None:
    await until(lambda: started.is_over)


def echo(session: WireSession, _request: Request) -> ServerCall:
    return EchoCall(session)


def never(_session: WireSession, _request: Request) -> ServerCall:
    return SilentCall()


def test_they_end() -> None:
    async def test() -> None:
        with wire_server(echo) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                for _ in range(3):  # the first goes the long way
                    ends: list[str] = []
                    started = method.start_exchange(b"hello", metadata={"x-a": "1"}, timeout=10)
                    assert not started.is_over
                    with pytest.raises(LocalProtocolError, match="before its end"):
                        started.outcome()
                    started.when_over(partial(ends.append, "over"))
                    await over(started)
                    assert started.outcome().result() == b"hello"
                    started.when_over(partial(ends.append, "late"))
                    started.cancel()
                    await until(partial(ends.__contains__, "late"))
                    assert ends == ["over", "late"]
                    assert started.outcome().result() == b"hello"
        assert [("x-a", "1") in request.metadata for request in server.requests] == [True] * 3

    run(test)


def test_many_at_once() -> None:
    async def test() -> None:
        with wire_server(echo) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                await over(method.start_exchange(b""))
                started = [method.start_exchange(b"%d" % n, timeout=10) for n in range(200)]
                for each in started:
                    await over(each)
        assert [each.outcome().result() for each in started] == [b"%d" % n for n in range(200)]

    run(test)


def test_what_the_server_did_not_begin_is_tried_again() -> None:
    def on_call(session: WireSession, _request: Request) -> ServerCall | None:
        return None if len(server.requests) == 2 else EchoCall(session)

    async def test() -> None:
        async with open_channel(server.address) as channel:
            method = method_of(channel)
            for number in range(3):
                started = method.start_exchange(b"%d" % number)
                await over(started)
                assert started.outcome().result() == b"%d" % number

    with wire_server(on_call) as server:
        run(test)
    assert len(server.requests) == 4


def test_a_deadline_ends_them() -> None:
    async def test() -> None:
        with wire_server(lambda *call: echo(*call) if len(server.requests) == 1 else SilentCall()) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                await over(method.start_exchange(b""))
                begun = time.monotonic()
                late = [method.start_exchange(b"", timeout=seconds) for seconds in (0.4, 0.05, 0.2)]
                for each, seconds in zip((late[1], late[2], late[0]), (0.05, 0.2, 0.4), strict=True):
                    await over(each)
                    assert each.outcome().status.code == StatusCode.DEADLINE_EXCEEDED
                    assert seconds - 0.01 <= time.monotonic() - begun < seconds + 2

    run(test)


@pytest.mark.parametrize("is_ready", [False, True])
def test_they_can_be_cancelled(is_ready: bool) -> None:
    async def test() -> None:
        with wire_server(
            lambda *call: echo(*call) if is_ready and len(server.requests) == 1 else never(*call)
        ) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                if is_ready:
                    await over(method.start_exchange(b""))
                started = method.start_exchange(b"")
                await until(lambda: len(server.requests) == 1 + is_ready)
                started.cancel()
                assert started.is_over
                with pytest.raises(RpcError, match="CANCELLED"):
                    started.outcome()
                await until(lambda: not server.sessions[0].connection.open_calls)

    run(test)


def test_what_cannot_be_sent() -> None:
    async def test() -> None:
        with wire_server(echo) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                for _ in range(2):
                    started = method.start_exchange(b"", metadata={"bad name": "x"})
                    await over(started)
                    with pytest.raises(InvalidArgument, match="bad name"):
                        started.outcome()
                    started = method.start_exchange(b"good")
                    await over(started)
                    assert started.outcome().result() == b"good"

    run(test)


def test_no_connection_can_be_made() -> None:
    async def test() -> None:
        async with open_channel(f"127.0.0.1:{closed_port()}") as channel:
            started = method_of(channel).start_exchange(b"")
            await over(started)
            with pytest.raises(RpcError, match="UNAVAILABLE"):
                started.outcome()

    run(test)


def test_the_channel_is_closed() -> None:
    async def test() -> None:
        with wire_server(lambda *call: echo(*call) if len(server.requests) == 1 else SilentCall()) as server:
            async with open_channel(server.address) as channel:
                method = method_of(channel)
                await over(method.start_exchange(b""))
                started = method.start_exchange(b"")
            assert started.is_over
            assert started.outcome().status.code != StatusCode.OK

    run(test)


@on_threads
def test_threads_wait_for_them() -> None:
    with wire_server(lambda *call: echo(*call) if len(server.requests) == 1 else SilentCall()) as server:
        with BlockingChannel(server.address) as channel:
            method = channel.unary_unary("a.B/C")
            started = method.start_exchange(b"hello")
            assert started.wait(10)
            assert started.wait()
            assert started.outcome().result() == b"hello"
            started = method.start_exchange(b"")
            assert not started.wait(0)
            assert not started.wait(0.05)
            waited: list[bool] = []
            threads = [threading.Thread(target=lambda: waited.append(started.wait(10))) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.005)
            started.cancel()
            for thread in threads:
                thread.join(10)
            assert waited == [True] * 3


@on_threads
def test_a_hook_may_wait_for_another() -> None:
    with wire_server(echo) as server, BlockingChannel(server.address) as channel:
        method = channel.unary_unary("a.B/C")
        results: list[bytes] = []
        is_over = threading.Event()

        def call_again() -> None:
            with BlockingChannel(server.address) as other:  # where nothing is connected
                second = other.unary_unary("a.B/C").start_exchange(b"second")
                assert second.wait(10)
            results.append(second.outcome().result())
            is_over.set()

        method.start_exchange(b"first").when_over(call_again)
        assert is_over.wait(10)
        assert results == [b"second"]


@on_threads
def test_futures_of_them() -> None:
    with wire_server(lambda *call: echo(*call) if len(server.requests) == 1 else SilentCall()) as server:
        with BlockingChannel(server.address) as channel:
            method = channel.unary_unary("a.B/C")
            future = method.start_exchange(b"hello").as_future()
            assert future.result(10).result() == b"hello"
            future = method.start_exchange(b"").as_future()
            assert future.cancel()
            with pytest.raises(CancelledError):
                future.result()
            failed = method.start_exchange(b"", metadata={"bad name": "x"}).as_future()
            assert isinstance(failed.exception(10), InvalidArgument)


@on_threads
def test_closing_at_once_loses_no_end() -> None:
    with wire_server(never) as server:
        for _ in range(60):
            channel = BlockingChannel(server.address)
            method = channel.unary_unary("a.B/C")
            first = method.start_exchange(b"", timeout=10)  # goes the long way
            channel.connect(timeout=10)
            begun = [method.start_exchange(b"", timeout=10).as_future() for _ in range(3)]
            late = method.start_exchange(b"", timeout=10)
            channel.close()
            for future in [first.as_future(), *begun, late.as_future()]:
                with pytest.raises((RpcError, NotConnected, Interrupted)):
                    future.result(5).result()
