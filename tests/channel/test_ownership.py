"""To which loop a channel belongs, and who closes it."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from typing import Any

import pytest
import trio

from puregrpc.channel import Channel, ConnectivityState, open_channel
from puregrpc.errors import LocalProtocolError, NotConnected

pytestmark = pytest.mark.worlds("trio")

ECHO = "test.Service/Echo"


def test_a_channel_may_be_made_before_its_loop(server: str) -> None:
    channel = Channel(server)
    echo = channel.unary_unary(ECHO)
    assert channel.state is ConnectivityState.IDLE
    assert channel.snapshot().subchannels == ()

    async def main() -> None:
        assert await echo(b"hello") == b"hello"
        assert channel.state is ConnectivityState.READY
        await channel.close()
        await channel.close()
        with pytest.raises(NotConnected, match="is closed"):
            await echo(b"hello")

    asyncio.run(main())


def test_a_channel_belongs_to_another_loop_once_its_own_is_closed(server: str) -> None:
    """As in a notebook, where each cell may have a loop of its own."""
    channel = Channel(server)
    echo = channel.unary_unary(ECHO)
    for _ in range(3):
        assert asyncio.run(call(echo)) == b"hello"
    asyncio.run(channel.close())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()


async def call(echo: Any) -> bytes:
    answer: bytes = await echo(b"hello")
    return answer


def test_a_loop_that_dies_leaves_no_socket(server: str) -> None:
    channel = Channel(server)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(channel.unary_unary(ECHO)(b"hello"))
    loop.close()

    async def close() -> None:
        await channel.close()

    asyncio.run(close())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()


def test_a_channel_is_not_for_two_loops_at_once(server: str) -> None:
    channel = Channel(server)
    echo = channel.unary_unary(ECHO)

    async def main() -> None:
        assert await echo(b"hello") == b"hello"
        errors: list[BaseException] = []

        def other_loop() -> None:
            try:
                asyncio.run(call(echo))
            except LocalProtocolError as error:
                errors.append(error)

        thread = threading.Thread(target=other_loop)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert "belongs to another event loop" in str(errors[0])
        assert await echo(b"hello") == b"hello"
        await channel.close()

    asyncio.run(main())


def test_outside_of_a_loop_the_blocking_classes_are_named(server: str) -> None:
    channel = Channel(server)
    with pytest.raises(LocalProtocolError, match="BlockingChannel"):
        channel.unary_unary(ECHO)(b"").send(None)


def test_on_trio_a_channel_has_an_owner(server: str) -> None:
    async def main() -> None:
        with pytest.raises(LocalProtocolError, match=r"needs an owner on trio.*async with.*nursery"):
            await Channel(server).unary_unary(ECHO)(b"")
        async with Channel(server) as channel:
            assert await channel.unary_unary(ECHO)(b"hello") == b"hello"
            with pytest.raises(LocalProtocolError, match="only once"):
                await channel.__aenter__()
        async with trio.open_nursery() as nursery:
            channel = Channel(server, nursery=nursery)
            assert await channel.unary_unary(ECHO)(b"hello") == b"hello"
            await channel.close()

    trio.run(main)


def test_in_guest_mode_the_world_is_that_of_the_task(server: str) -> None:
    """A trio loop that runs inside asyncio's: each task has its own."""

    async def in_trio() -> bytes:
        async with open_channel(server) as channel:
            return await channel.unary_unary(ECHO)(b"trio")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            in_trio,
            run_sync_soon_threadsafe=lambda function: loop.call_soon_threadsafe(function),
            done_callback=ended.set_result,
        )
        async with open_channel(server) as channel:
            assert await channel.unary_unary(ECHO)(b"asyncio") == b"asyncio"
        assert (await ended).unwrap() == b"trio"

    asyncio.run(main())


def test_cancelling_leaves_no_call(server: str) -> None:
    async def main() -> None:
        async with open_channel(server) as channel:
            sleep = channel.unary_unary("test.Service/Sleep")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sleep(b"5"), 0.05)
            task = asyncio.ensure_future(sleep(b"5"))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async for _ in channel.unary_stream("test.Service/Forever")(b""):
                break
            gc.collect()
            await asyncio.sleep(0.05)
            assert await channel.unary_unary(ECHO)(b"usable") == b"usable"
            (session,) = channel.snapshot().subchannels[0].sessions
            assert session.connection.calls == ()

    asyncio.run(main())


def test_what_the_body_raises_leaves_as_itself_on_asyncio(server: str) -> None:
    async def main() -> None:
        async with open_channel(server) as channel:
            await channel.unary_unary(ECHO)(b"hello")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(main())
