"""Memory of what is open and idle, and of a large message: ``memory IMPLEMENTATION WORK ADDRESS NUMBER``.

Implementations: puregrpc, grpcio. Works: ``streams N`` (N idle bidirectional calls on one connection),
``connections N``, ``message SIZE`` (the peak while one message of SIZE octets is received, over its size).
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc.aio
import trio

from benchmarks.work import OUTPUT, OutputResponse, output_request, report
from puregrpc.channel import open_channel

DUPLEX = "/grpc.testing.TestService/FullDuplexCall"
EMPTY = "/grpc.testing.TestService/EmptyCall"
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
]


def resident() -> int:
    """Resident memory of this process in octets."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The largest resident memory so far, in octets."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def puregrpc_streams(address: str, number: int) -> None:
    async with open_channel(address, engine="fast") as channel, AsyncExitStack() as stack:
        await stack.enter_async_context(channel.call(DUPLEX))
        before = resident()
        for _ in range(number):
            await stack.enter_async_context(channel.call(DUPLEX))
        await trio.sleep(1)
        report({"bytes_each": (resident() - before) / number})


async def grpcio_streams(address: str, number: int) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        method: Any = channel.stream_stream(DUPLEX)
        first = method()
        await first.wait_for_connection()
        before = resident()
        calls = [method() for _ in range(number)]
        for call in calls[:1000]:
            await call.wait_for_connection()
        await asyncio.sleep(1)
        report({"bytes_each": (resident() - before) / number})


async def puregrpc_connections(address: str, number: int) -> None:
    async with AsyncExitStack() as stack:
        async with open_channel(address, engine="fast") as channel:
            await channel.unary_unary(EMPTY)(b"")
        before = resident()
        for _ in range(number):
            channel = await stack.enter_async_context(open_channel(address, engine="fast"))
            await channel.unary_unary(EMPTY)(b"")
        report({"bytes_each": (resident() - before) / number})


async def grpcio_connections(address: str, number: int) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        await channel.unary_unary(EMPTY)(b"")
    before = resident()
    channels = []
    for _ in range(number):
        channel = grpc.aio.insecure_channel(address, OPTIONS)
        await channel.unary_unary(EMPTY)(b"")
        channels.append(channel)
    report({"bytes_each": (resident() - before) / number})
    for channel in channels:
        await channel.close()


async def puregrpc_message(address: str, size: int) -> None:
    async with open_channel(address, engine="fast", max_receive_message_size=1 << 30) as channel:
        method = channel.unary_stream(OUTPUT)
        async with method(output_request(10, 1).SerializeToString()) as call:
            await call.receive()
        before = resident()
        async with method(output_request(size, 1).SerializeToString()) as call:
            message = await call.receive()
            as_bytes = peak()
            assert message is not None
            OutputResponse.FromString(message)
        report({"times_as_bytes": (as_bytes - before) / size, "times_decoded": (peak() - before) / size})


async def grpcio_message(address: str, size: int) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        method: Any = channel.unary_stream(OUTPUT)
        await method(output_request(10, 1).SerializeToString()).read()
        before = resident()
        message = await method(output_request(size, 1).SerializeToString()).read()
        as_bytes = peak()
        OutputResponse.FromString(message)
        report({"times_as_bytes": (as_bytes - before) / size, "times_decoded": (peak() - before) / size})


def main() -> None:
    implementation, work, address, number = sys.argv[1:]
    run: Any = globals()[f"{implementation}_{work}"]
    if implementation == "puregrpc":
        trio.run(run, address, int(number))
    else:
        asyncio.run(run(address, int(number)))


if __name__ == "__main__":
    main()
