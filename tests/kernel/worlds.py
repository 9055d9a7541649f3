"""Running a test in each world, against the kernel's interface alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from importlib.util import find_spec
from typing import Any

import pytest
import trio

from puregrpc.kernel import Kernel
from puregrpc.kernel.loops.reading_loop import can_read, run_reading
from puregrpc.kernel.network.streams import ByteStream

UVLOOP = pytest.param("uvloop", marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed"))
"""asyncio on another loop than its own."""

READING = pytest.param("reading", marks=pytest.mark.skipif(not can_read(), reason="there is no epoll, or no Runner"))
"""asyncio on the loop that load runs have."""

ASYNCIO_LOOPS = ["asyncio", UVLOOP, READING]
LOOPS = ["trio", *ASYNCIO_LOOPS]

WORLDS = [*LOOPS, *(["threads"] if find_spec("puregrpc.kernel.threads.kernel") else [])]

EACH_LOOP = pytest.mark.parametrize("world", LOOPS)
EACH_WORLD = pytest.mark.parametrize("world", WORLDS)

Test = Callable[[Kernel], Coroutine[Any, Any, None]]

LIMIT = 30.0
"""How long a test may take, in seconds."""


def run(world: str, test: Test) -> None:
    """Run ``test`` with a kernel of ``world``, which is closed after it."""
    _RUNNERS[world](test)


def _run_on_trio(test: Test) -> None:
    from puregrpc.kernel.loops.trio_kernel import open_trio_kernel

    async def main() -> None:
        with trio.fail_after(LIMIT):
            async with open_trio_kernel() as kernel:
                await test(kernel)

    trio.run(main)


def _run_on_asyncio(test: Test) -> None:
    asyncio.run(_on_asyncio(test))


def _run_on_uvloop(test: Test) -> None:
    import uvloop

    uvloop.run(_on_asyncio(test))


def _run_on_reading_loop(test: Test) -> None:
    run_reading(lambda: _on_asyncio(test))


async def _on_asyncio(test: Test) -> None:
    from puregrpc.kernel.loops.asyncio_kernel import open_asyncio_kernel

    async with open_asyncio_kernel() as kernel:
        await asyncio.wait_for(test(kernel), LIMIT)


def _run_on_threads(test: Test) -> None:
    from puregrpc.kernel.threads.kernel import ThreadKernel

    failures: list[BaseException] = []

    def main() -> None:
        kernel = ThreadKernel()
        try:
            try:
                kernel.run(test(kernel))
            finally:
                kernel.run(kernel.close())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive(), "the test hangs"
    if failures:
        raise failures[0]


_RUNNERS = {
    "trio": _run_on_trio,
    "asyncio": _run_on_asyncio,
    "uvloop": _run_on_uvloop,
    "reading": _run_on_reading_loop,
    "threads": _run_on_threads,
}


async def together(kernel: Kernel, *functions: Callable[[], Awaitable[None]]) -> None:
    """Run functions beside each other; raises what the first of them to fail raised, when all are over."""
    failures: list[BaseException] = []

    async def run(function: Callable[[], Awaitable[None]]) -> None:
        try:
            await function()
        except Exception as error:
            failures.append(error)

    tasks = [kernel.spawn(run, function) for function in functions]
    for task in tasks:
        await task.join()
    if failures:
        raise failures[0]


async def send_all(stream: ByteStream, data: bytes | memoryview) -> None:
    """Send all of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.send_nowait(rest) :]
        if rest:
            await stream.wait_writable()


async def receive_some(stream: ByteStream, limit: int = 1 << 16) -> bytes:
    """What comes next; b"" at the end."""
    while (data := stream.receive_nowait(limit)) is None:
        await stream.wait_readable()
    return data


async def receive_all(stream: ByteStream, limit: int = 1 << 16) -> bytes:
    """What comes until the end."""
    parts = []
    while data := await receive_some(stream, limit):
        parts.append(data)
    return b"".join(parts)


async def receive_exactly(stream: ByteStream, size: int) -> bytes:
    """So much, or what there is before the end."""
    data = b""
    while len(data) < size and (more := await receive_some(stream, size - len(data))):
        data += more
    return data
