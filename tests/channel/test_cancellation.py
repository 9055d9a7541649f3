"""Cancellation at any point, and everything at once: the connection stays usable and nothing is left behind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from puregrpc.errors import RpcError
from puregrpc.kernel.current import running_world
from puregrpc.wire import EngineName
from tests.channel.helpers import run
from tests.worlds import group, move_on_after, open_channel
from tests.worlds import sleep as pause

pytestmark = pytest.mark.worlds("trio", "asyncio", "uvloop")


async def unary(channel: Any) -> None:
    await channel.unary_unary("test.Service/Sleep")(b"0.002")


async def server_stream(channel: Any) -> None:
    async with channel.unary_stream("test.Service/Count")(b"50 2000") as call:
        async for _ in call:
            await pause(0)


async def client_stream(channel: Any) -> None:
    await channel.stream_unary("test.Service/Collect")(bytes(5000) for _ in range(50))


async def chat(channel: Any) -> None:
    async with channel.stream_stream("test.Service/Chat")() as call:
        for _ in range(5):
            await call.send(b"x")
            await call.receive()


async def half_closed_chat(channel: Any) -> None:
    async with channel.stream_stream("test.Service/Chat")([b"x"] * 20) as call:
        async for _ in call:
            await pause(0)


async def headers(channel: Any) -> None:
    async with channel.call("test.Service/Chat") as call:
        await call.send(b"x")
        await call.headers()
        await call.half_close()
        while await call.receive() is not None:
            pass


WORK = {step.__name__: step for step in (unary, server_stream, client_stream, chat, half_closed_chat, headers)}


async def cancelled_after(channel: Any, name: str, seconds: float) -> None:
    async def work() -> None:
        try:
            await WORK[name](channel)
        except RpcError as error:
            raise AssertionError(f"{name}: {error}") from error

    await move_on_after(seconds, work)


async def cancelled_after_turns(channel: Any, name: str, turns: int) -> None:
    if running_world() == "trio":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(WORK[name], channel)
            for _ in range(turns):
                await pause(0)
            nursery.cancel_scope.cancel()
        return
    task = asyncio.ensure_future(WORK[name](channel))
    for _ in range(turns):
        await pause(0)
    task.cancel()
    await asyncio.wait([task])


async def check_usable(channel: Any) -> None:
    assert await channel.unary_unary("test.Service/Echo")(b"usable", timeout=10) == b"usable"
    (part,) = channel.snapshot().subchannels
    (session,) = part.sessions
    assert session.connection.calls == ()
    assert session.connection.queued_calls == 0
    assert part.failures == 0


@pytest.mark.parametrize("name", WORK)
def test_cancelling_after_each_turn_of_the_loop(server: str, name: str) -> None:
    async def test() -> None:
        async with open_channel(server) as channel:
            await channel.connect()
            for turns in range(40):
                await cancelled_after_turns(channel, name, turns)
            await check_usable(channel)

    run(test)


cancellations = st.lists(
    st.tuples(st.sampled_from(sorted(WORK)), st.floats(min_value=0, max_value=0.02)), min_size=1, max_size=12
)


def test_many_calls_cancelled_at_any_time(server: str, engine: EngineName) -> None:
    @settings(max_examples=15)
    @given(cancellations)
    def check(plan: list[tuple[str, float]]) -> None:
        async def test() -> None:
            async with open_channel(server, engine=engine) as channel:
                await channel.connect()
                async with group() as beside:
                    for name, seconds in plan:
                        beside.start(cancelled_after, channel, name, seconds)
                await check_usable(channel)

        run(test)

    check()
