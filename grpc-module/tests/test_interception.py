"""How the coroutines of a call's interceptors run on asyncio: in one task each, in a context of their own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.test_aio import run

from grpc import aio

Body = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]

NAME = contextvars.ContextVar("NAME", default="nobody")


class Around(aio.UnaryUnaryClientInterceptor):
    """Does what a test wants around the call."""

    def __init__(self, body: Body) -> None:
        self.body = body

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.body(lambda: continuation(client_call_details, request))


async def used_at_once(call: Any) -> Any:
    return await call


async def used_later(call: Any) -> Any:
    await asyncio.sleep(0.01)
    return await call


async def used_by_two(call: Any) -> Any:
    asked = asyncio.ensure_future(call.code())
    await asyncio.sleep(0)
    response = await call
    await asked
    return response


async def asked_first(call: Any) -> Any:
    await call.initial_metadata()
    return await call


@pytest.fixture(params=[used_at_once, used_later, used_by_two, asked_first])
def using(request: pytest.FixtureRequest) -> Callable[[Any], Awaitable[Any]]:
    """A way to use a call."""
    return request.param  # type: ignore[no-any-return]


def test_from_the_first_step_to_the_last_the_task_is_one(using: Callable[[Any], Awaitable[Any]]) -> None:
    tasks: list[Any] = []

    async def body(go_on: Any) -> Any:
        tasks.append(asyncio.current_task())
        call = await go_on()
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        await call
        tasks.append(asyncio.current_task())
        return call

    async def scenario(channel: aio.Channel) -> None:
        assert await using(channel.unary_unary("/a.B/Double")(b"ab")) == b"abab"

    run(scenario, interceptors=[Around(body)])
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


def test_what_they_set_in_their_context_stays_there(using: Callable[[Any], Awaitable[Any]]) -> None:
    seen: list[str] = []

    async def body(go_on: Any) -> Any:
        seen.append(NAME.get())
        NAME.set("interceptor")
        call = await go_on()
        await call
        seen.append(NAME.get())
        return call

    async def scenario(channel: aio.Channel) -> None:
        NAME.set("caller")
        call = channel.unary_unary("/a.B/Double")(b"ab")
        NAME.set("caller, later")
        await using(call)
        assert NAME.get() == "caller, later"

    run(scenario, interceptors=[Around(body)])
    assert seen == ["caller", "interceptor"]


def test_it_begins_though_nobody_awaits_the_call() -> None:
    async def scenario(channel: aio.Channel) -> None:
        begun = asyncio.Event()

        async def body(go_on: Any) -> Any:
            begun.set()
            return await go_on()

        channel._unary_unary_interceptors.append(Around(body))  # type: ignore[attr-defined]
        call = channel.unary_unary("/a.B/Double")(b"ab")
        assert not begun.is_set()
        await asyncio.wait_for(begun.wait(), 5)
        assert await call == b"abab"
        assert await call == b"abab"

    run(scenario)


def test_a_timeout_of_its_own_ends_what_it_waits_for_alone() -> None:
    async def body(go_on: Any) -> Any:
        call = await go_on()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        return call

    async def scenario(channel: aio.Channel) -> None:
        assert await channel.unary_unary("/a.B/Double")(b"ab") == b"abab"

    run(scenario, interceptors=[Around(body)])


def test_a_call_that_is_cancelled_before_it_begins_is_never_made() -> None:
    made: list[str] = []

    async def body(go_on: Any) -> Any:
        made.append("call")
        return await go_on()

    async def scenario(channel: aio.Channel) -> None:
        call = channel.unary_unary("/a.B/Double")(b"ab")
        assert call.cancel()
        assert not call.cancel()
        assert call.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.sleep(0)

    run(scenario, interceptors=[Around(body)])
    assert not made


@pytest.mark.parametrize("by", ["call", "task"])
def test_cancelling_reaches_the_interceptor(by: str) -> None:
    seen: list[str] = []

    async def scenario(channel: aio.Channel) -> None:
        waiting = asyncio.Event()

        async def body(go_on: Any) -> Any:
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        channel._unary_unary_interceptors.append(Around(body))  # type: ignore[attr-defined]
        call = channel.unary_unary("/a.B/Double")(b"ab")
        told: list[Any] = []
        call.add_done_callback(told.append)
        user = asyncio.ensure_future(used_at_once(call))
        await waiting.wait()
        if by == "call":
            assert call.cancel()
        else:
            user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user
        assert call.cancelled()
        assert told == [call]

    run(scenario)
    assert seen == ["cancelled"]


def test_an_interceptor_may_bear_with_being_cancelled() -> None:
    async def scenario(channel: aio.Channel) -> None:
        waiting = asyncio.Event()

        async def body(go_on: Any) -> Any:
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return b"a response of its own"

        channel._unary_unary_interceptors.append(Around(body))  # type: ignore[attr-defined]
        call = channel.unary_unary("/a.B/Double")(b"ab")
        user = asyncio.ensure_future(used_at_once(call))
        await waiting.wait()
        call.cancel()
        assert await user == b"a response of its own"

    run(scenario)


def test_what_it_raises_comes_to_all_who_wait() -> None:
    async def body(go_on: Any) -> Any:
        await go_on()
        raise ValueError("not today")

    async def scenario(channel: aio.Channel) -> None:
        call = channel.unary_unary("/a.B/Double")(b"ab")
        results = await asyncio.gather(used_at_once(call), call.code(), used_later(call), return_exceptions=True)
        assert [str(result) for result in results] == ["not today"] * 3

    run(scenario, interceptors=[Around(body)])


def test_a_callback_comes_before_those_who_wait_go_on_and_one_that_raises_stops_none() -> None:
    order: list[str] = []

    async def scenario(channel: aio.Channel) -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
        call = channel.unary_unary("/a.B/Double")(b"ab")
        call.add_done_callback(lambda _: order.append("first"))
        call.add_done_callback(lambda _: [][1])
        call.add_done_callback(lambda _: order.append("last"))
        await call
        order.append("awaited")
        assert [type(each) for each in reported] == [IndexError]

    run(scenario)
    assert order == ["first", "last", "awaited"]
