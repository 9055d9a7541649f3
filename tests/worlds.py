"""The worlds that tests of the channel run in: each test is a coroutine, and this is what differs between them.

On threads the coroutine never suspends: what is awaited blocks, as the blocking classes do that stand behind it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, TypeVar

import pytest
import trio

import puregrpc.channel
from puregrpc.kernel.current import running_world

__all__ = ["LOOPS", "WORLDS", "beside", "move_on_after", "open_channel", "run", "run_step", "sleep", "until"]

T = TypeVar("T")

LOOPS = ("trio", "asyncio", *(["uvloop"] if find_spec("uvloop") else []))

WORLDS = (*LOOPS, "threads")

SECONDS = 30.0


def run(test: Callable[[], Coroutine[Any, Any, T]], world: str, *, seconds: float = SECONDS) -> T:
    """Run a test, bounded in time."""
    if world == "trio":

        async def bounded() -> T:
            with trio.fail_after(seconds):
                return await test()

        return trio.run(bounded)
    if world == "asyncio":
        return asyncio.run(asyncio.wait_for(test(), seconds))
    if world == "uvloop":
        import uvloop

        loop = uvloop.new_event_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(test(), seconds))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    return run_step(test())


def run_step(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        coroutine.close()
    raise RuntimeError("a coroutine of the blocking world suspended")


async def sleep(seconds: float) -> None:
    world = running_world()
    if world == "trio":
        await trio.sleep(seconds)
    elif world == "asyncio":
        await asyncio.sleep(seconds)
    else:
        _block(seconds)


def _block(seconds: float) -> None:
    time.sleep(seconds)


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds; fail if it does not soon."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail("what was waited for did not happen")
        await sleep(0.002)


def block_until(condition: Any, seconds: float = 15.0) -> None:
    """`until`, in a thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


class Group:
    """What `group` gives: `start` runs something beside the body."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.nursery: trio.Nursery | None = None

    def start(self, function: Callable[..., Coroutine[Any, Any, object]], *arguments: Any) -> None:
        if self.nursery is not None:
            self.nursery.start_soon(self._run, function, *arguments)
        elif running_world() == "asyncio":
            self._tasks.append(asyncio.ensure_future(self._run(function, *arguments)))
        else:
            thread = threading.Thread(target=lambda: run_step(self._run(function, *arguments)), daemon=True)
            self._threads.append(thread)
            thread.start()

    async def _run(self, function: Callable[..., Coroutine[Any, Any, object]], *arguments: Any) -> None:
        try:
            await function(*arguments)
        except Exception as error:  # raised again at the end
            self.failures.append(error)

    async def join(self) -> None:
        if self._tasks:
            await asyncio.gather(*self._tasks)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    """Runs things beside the body, to their ends; raises what the first one of them raised."""
    made = Group()
    if running_world() == "trio":
        async with trio.open_nursery() as made.nursery:
            yield made
    else:
        yield made
        await made.join()
    if made.failures:
        raise made.failures[0]


async def beside(*functions: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run all of them at once, to their ends; raises what the first one of them raised."""
    async with group() as running:
        for function in functions:
            running.start(function)


async def move_on_after(seconds: float, function: Callable[[], Coroutine[Any, Any, object]]) -> bool:
    """Run it, and cancel it after so long: True if that was necessary. Not on threads."""
    if running_world() == "trio":
        with trio.move_on_after(seconds) as scope:
            await function()
        return scope.cancelled_caught
    try:
        await asyncio.wait_for(function(), seconds)
    except asyncio.TimeoutError:
        return True
    return False


def open_channel(target: str, **options: Any) -> AbstractAsyncContextManager[Any]:
    """A channel of the world that runs, with the methods of `puregrpc.channel.Channel`."""
    return (
        StepChannel(target, options)
        if running_world() == "threads"
        else puregrpc.channel.open_channel(target, **options)
    )


# -- the blocking classes in the form of the others


class StepChannel:
    def __init__(self, target: str, options: dict[str, Any]) -> None:
        self.blocking = puregrpc.channel.BlockingChannel(target, **options)

    async def __aenter__(self) -> StepChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.blocking.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.blocking, name)

    async def connect(self, **keywords: Any) -> None:
        self.blocking.connect(**keywords)

    async def close(self) -> None:
        self.blocking.close()

    async def wait_for_state_change(self, last: Any) -> Any:
        return self.blocking.wait_for_state_change(last)

    async def watch_state(self) -> AsyncIterator[Any]:
        for state in self.blocking.watch_state():
            yield state

    def call(self, *arguments: Any, **keywords: Any) -> StepOpening:
        return StepOpening(self.blocking.call(*arguments, **keywords))

    def unary_unary(self, *arguments: Any, **keywords: Any) -> StepMethod:
        return StepMethod(self.blocking.unary_unary(*arguments, **keywords))

    def stream_unary(self, *arguments: Any, **keywords: Any) -> StepMethod:
        return StepMethod(self.blocking.stream_unary(*arguments, **keywords))

    def unary_stream(self, *arguments: Any, **keywords: Any) -> Callable[..., StepOpening]:
        method = self.blocking.unary_stream(*arguments, **keywords)
        return lambda *a, **k: StepOpening(method(*a, **k))

    def stream_stream(self, *arguments: Any, **keywords: Any) -> Callable[..., StepOpening]:
        method = self.blocking.stream_stream(*arguments, **keywords)
        return lambda *a, **k: StepOpening(method(*a, **k))


class StepMethod:
    def __init__(self, method: Any) -> None:
        self._method = method

    async def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._method(*arguments, **keywords)

    async def with_call(self, *arguments: Any, **keywords: Any) -> Any:
        return self._method.with_call(*arguments, **keywords)

    def open(self, *arguments: Any, **keywords: Any) -> StepOpening:
        return StepOpening(self._method.open(*arguments, **keywords))


class StepOpening:
    def __init__(self, opening: Any) -> None:
        self._opening = opening

    async def __aenter__(self) -> StepCall:
        return StepCall(self._opening.__enter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        swallowed: bool | None = self._opening.__exit__(kind, error, trace)
        return swallowed

    async def __aiter__(self) -> AsyncIterator[Any]:
        for message in self._opening:
            yield message


class StepCall:
    def __init__(self, call: Any) -> None:
        self.blocking = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self.blocking, name)

    async def send(self, *arguments: Any, **keywords: Any) -> None:
        self.blocking.send(*arguments, **keywords)

    async def half_close(self) -> None:
        self.blocking.half_close()

    async def receive(self) -> Any:
        return self.blocking.receive()

    async def headers(self) -> Any:
        return self.blocking.headers()

    async def ended(self) -> Any:
        return self.blocking.ended()

    async def single_response(self) -> Any:
        return self.blocking.single_response()

    async def wait_for_room(self) -> None:
        self.blocking.wait_for_room()

    def __aiter__(self) -> StepCall:
        return self

    async def __anext__(self) -> Any:
        message = self.blocking.receive()
        if message is None:
            raise StopAsyncIteration
        return message
