"""AsyncClient as asyncio's programs use it: at import time, in one loop after the other, cancelled in every way."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
import trio

from puregrpc import AsyncClient, Response
from puregrpc.channel.channel import Channel
from puregrpc.errors import ConnectError, LocalProtocolError, NotConnected, RpcError
from tests.client.conftest import tcp_server
from tests.client.lab import DEFINITIONS, FILES
from tests.worlds import until

ECHO, HANG, COUNT, CONVERSE = "lab.Bench/Echo", "lab.Bench/Hang", "lab.Bench/Count", "lab.Bench/Converse"
COUNT_AND_HANG = "lab.Bench/CountAndHang"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What is dropped without having been closed says so at the latest when it is collected."""
    yield
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert not [str(one.message) for one in caught]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("puregrpc")]


def new_client() -> AsyncClient:
    client = AsyncClient()
    client.load([DEFINITIONS], *FILES[:4])
    return client


def calls_of(client: AsyncClient) -> int:
    """How many calls of a client are open on its connections."""
    connection = client._state.connection
    assert connection is not None
    channel = Channel.over(connection.core).snapshot()
    sessions = [session.connection for subchannel in channel.subchannels for session in subchannel.sessions]
    return sum(len(session.calls) + session.queued_calls for session in sessions)


def bounded(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


def test_a_client_that_is_made_before_the_loop_runs(lab: str) -> None:
    client = new_client()

    async def main() -> None:
        assert await client.connect(lab, plaintext=True)
        assert (await client.invoke(ECHO, {"aString": "x"})).message["aString"] == "x"
        async with client.stream(COUNT) as stream:
            await stream.write({"count": 2})
            assert [message["index"] async for message in stream] == [0, 1]
        await client.connect(lab, plaintext=True)
        assert (await client.invoke(ECHO, {})).status == 0
        await client.close()
        with pytest.raises(NotConnected):
            await client.invoke(ECHO, {})
        await client.connect(lab, plaintext=True)
        assert (await client.invoke(ECHO, {})).status == 0
        await client.close()
        await client.close()

    bounded(main())


def test_one_loop_after_the_other(lab: str) -> None:
    client = new_client()

    async def first() -> None:
        await client.connect(lab, plaintext=True)
        client.async_invoke(HANG, {})
        stream = client.stream(COUNT_AND_HANG)
        stream.on("data", lambda: None)
        await stream.write({"count": 1})
        assert (await client.invoke(ECHO, {})).status == 0

    async def second() -> None:
        assert (await client.invoke(ECHO, {})).status == 0
        stream = client.stream(CONVERSE)
        await stream.write({"text": "a"})
        await stream.end()
        assert [message["text"] async for message in stream] == ["a"]

    async def third() -> None:
        await client.connect(lab, plaintext=True)
        assert (await client.invoke(ECHO, {})).status == 0

    bounded(first())
    before = client.metrics.value("data_sent", "count")
    bounded(second())
    assert client.metrics.value("data_sent", "count") > before > 0
    bounded(third())
    bounded(client.close())
    bounded(client.close())
    bounded(third())
    bounded(client.close())


def test_a_second_loop_beside_the_first(lab: str) -> None:
    client = new_client()
    failures: list[BaseException] = []

    def elsewhere(function: Callable[[], Awaitable[Any]]) -> None:
        async def main() -> None:
            await function()

        try:
            asyncio.run(main())
        except BaseException as error:
            failures.append(error)

    async def main() -> None:
        await client.connect(lab, plaintext=True)
        uses: list[Callable[[], Awaitable[Any]]] = [
            lambda: client.invoke(ECHO, {}),
            lambda: client.connect(lab, plaintext=True),
            lambda: client.health_check(),
            client.close,
        ]
        for use in uses:
            thread = threading.Thread(target=elsewhere, args=(use,))
            thread.start()
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
        assert (await client.invoke(ECHO, {})).status == 0
        await client.close()

    bounded(main())
    assert [str(error) for error in failures] == [
        "AsyncClient belongs to another event loop, which still lives: make one for each loop"
    ] * 4
    assert all(isinstance(error, LocalProtocolError) for error in failures)


def test_trio_needs_an_owner(lab: str) -> None:
    client = new_client()

    async def ownerless() -> None:
        with pytest.raises(LocalProtocolError, match="needs an owner on trio: use it inside 'async with', or make it"):
            await client.connect(lab, plaintext=True)

    trio.run(ownerless)

    async def owned() -> None:
        async with trio.open_nursery() as nursery:
            client = AsyncClient(nursery=nursery)
            client.load([DEFINITIONS], *FILES[:4])
            await client.connect(lab, plaintext=True)
            assert (await client.invoke(ECHO, {})).status == 0
            pending = client.async_invoke(ECHO, {})
            assert (await pending).status == 0
            stream = client.stream(COUNT)
            stream.on("end", lambda: seen.append("end"))
            await stream.write({"count": 1})
            await stream.wait()
            await client.close()
            nursery.cancel_scope.cancel()

    seen: list[str] = []
    trio.run(owned)
    assert seen == ["end"]


# -- cancellation


async def by_wait_for(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(work(), 0.1)


async def by_timeout(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):  # type: ignore[attr-defined,unused-ignore]  # from 3.11 on
            await work()


async def by_cancel(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_task_group(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise KeyError("another task of the group")

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - an ExceptionGroup, which 3.10 does not know
        async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]  # from 3.11 on
            group.create_task(work())
            group.create_task(fail())
    assert [type(error) for error in caught.value.exceptions] == [KeyError]  # type: ignore[attr-defined]


async def at_once(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    task = asyncio.create_task(work())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def in_its_first_turns(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    for turns in range(1, 12):
        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


WAYS = [by_wait_for, by_cancel, at_once, in_its_first_turns]
if sys.version_info >= (3, 11):
    WAYS += [by_timeout, by_task_group]

Work = Callable[[AsyncClient], Coroutine[Any, Any, object]]


async def a_call(client: AsyncClient) -> None:
    await client.invoke(HANG, {})


async def an_iteration(client: AsyncClient) -> None:
    async with client.stream(COUNT_AND_HANG) as stream:
        await stream.write({"count": 3})
        async for _ in stream:
            pass


async def a_write(client: AsyncClient) -> None:
    async with client.stream(CONVERSE) as stream:  # it answers every message, and its answers are not taken
        while True:
            await stream.write({"text": "x" * 20_000, "size": 20_000})


async def handlers(client: AsyncClient) -> None:
    async with client.stream(COUNT_AND_HANG) as stream:
        stream.on("data", lambda: asyncio.sleep(0))
        await stream.write({"count": 3})
        await stream.wait()


async def a_health_check(client: AsyncClient) -> None:
    while True:
        await client.health_check()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", [a_call, an_iteration, a_write, handlers, a_health_check])
def test_what_is_cancelled_leaves_no_call_open(
    lab: str, work: Work, way: Callable[[Callable[[], Coroutine[Any, Any, object]]], Awaitable[None]]
) -> None:
    async def main() -> None:
        async with new_client() as client:
            await client.connect(lab, plaintext=True)
            await way(lambda: work(client))
            for _ in range(5):  # turns that an open stream's own task takes to end
                await asyncio.sleep(0)
            assert calls_of(client) == 0
            assert (await client.invoke(ECHO, {})).status == 0

    bounded(main())


def test_whoever_awaits_a_begun_call_may_be_cancelled_without_it(lab: str) -> None:
    async def main() -> None:
        async with new_client() as client:
            await client.connect(lab, plaintext=True)
            pending = client.async_invoke("lab.Bench/Sleep", {"ms": 300})
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(pending, 0.05)
            assert calls_of(client) == 1
            assert [(await pending).message["ms"] for _ in range(2)] == [300, 300]

    bounded(main())


def test_connecting_may_be_cancelled() -> None:
    async def main() -> None:
        client = new_client()
        with tcp_server() as silent:
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.connect(silent, plaintext=True), 0.1)
            with pytest.raises(ConnectError, match="context deadline exceeded"):
                await client.connect(silent, plaintext=True, timeout="100ms")
        with pytest.raises(NotConnected):
            await client.invoke(ECHO, {})
        await client.close()

    bounded(main())


def test_begun_calls_are_awaited_by_several_and_several_times(lab: str) -> None:
    async def main() -> None:
        client = new_client()
        await client.connect(lab, plaintext=True)
        begun = [client.async_invoke("lab.Bench/Sleep", {"ms": 50}) for _ in range(3)]
        twice: list[Response] = await asyncio.gather(*begun, *begun)
        assert [response.message["ms"] for response in twice] == [50] * 6
        hanging = client.async_invoke(HANG, {})
        waiter = asyncio.ensure_future(hanging)
        await asyncio.sleep(0.05)
        await client.close()
        assert str((await waiter).error) == "code: 1, message: grpc: the client connection is closing"
        assert (await hanging).status == 1
        with pytest.raises(NotConnected):
            await client.async_invoke(ECHO, {})

    bounded(main())


def test_closing_while_calls_and_handlers_are_under_way(lab: str) -> None:
    async def main() -> None:
        client = new_client()
        await client.connect(lab, plaintext=True)
        seen: list[Any] = []
        stream = client.stream(COUNT_AND_HANG)

        async def data() -> None:
            seen.append("begun")
            await asyncio.sleep(0.3)
            seen.append("handled")

        stream.on("data", data)
        stream.on("error", lambda error: seen.append(error.message))
        stream.on("end", lambda: seen.append("end"))
        await stream.write({"count": 1})
        await until(lambda: seen)
        calls = [asyncio.create_task(client.invoke(HANG, {})) for _ in range(2)]
        await asyncio.sleep(0.05)
        await client.close()
        assert [(await call).status for call in calls] == [1, 1]
        assert seen == ["begun", "handled", "canceled by client", "end"]

    bounded(main())


@pytest.mark.slow
def test_a_handler_that_does_not_end_is_interrupted_when_the_client_is_closed(
    lab: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puregrpc.client.async_client.HANDLERS_GRACE", 0.1)

    async def main() -> None:
        client = new_client()
        await client.connect(lab, plaintext=True)
        interrupted = asyncio.Event()
        stream = client.stream(COUNT_AND_HANG)

        async def data() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                interrupted.set()
                raise

        stream.on("data", data)
        await stream.write({"count": 1})
        await asyncio.sleep(0.1)
        await client.close()
        assert interrupted.is_set()
        assert stream.is_over

    bounded(main())


def test_the_body_of_a_block_that_is_cancelled_or_raises(lab: str) -> None:
    async def block(then: Callable[[], Awaitable[None]]) -> None:
        async with new_client() as client:
            await client.connect(lab, plaintext=True)
            client.async_invoke(HANG, {})
            stream = client.stream(COUNT_AND_HANG)
            stream.on("data", lambda: asyncio.sleep(60))
            await stream.write({"count": 1})
            await asyncio.sleep(0.1)
            await then()

    async def fail() -> None:
        raise KeyError("body")

    async def main() -> None:
        with pytest.raises(KeyError, match="body"):
            await block(fail)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(block(lambda: asyncio.sleep(60)), 0.5)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_a_failing_stream_of_the_loop_that_is_gone_is_no_concern_of_the_next(lab: str) -> None:
    client = new_client()

    async def first() -> None:
        await client.connect(lab, plaintext=True)
        stream = client.stream(COUNT)
        stream.on("data", lambda: 1 / 0)
        await stream.write({"count": 1})
        await asyncio.sleep(0.2)

    async def second() -> None:
        with pytest.raises(RpcError, match="NotFound"):
            await client.health_check("nobody")
        await client.close()

    bounded(first())
    bounded(second())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in 3.12")
def test_eager_tasks(lab: str) -> None:
    async def main() -> None:
        factory: Any = getattr(asyncio, "eager_task_factory")  # noqa: B009 - not known to older versions
        asyncio.get_running_loop().set_task_factory(factory)
        async with new_client() as client:
            await client.connect(lab, plaintext=True)
            assert [(await client.async_invoke(ECHO, {})).status for _ in range(3)] == [0, 0, 0]
            stream = client.stream(COUNT)
            seen: list[int] = []
            stream.on("data", lambda message: seen.append(message["index"]))
            await stream.write({"count": 3})
            await stream.wait()
            assert seen == [0, 1, 2]

    bounded(main())
