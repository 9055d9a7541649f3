"""grpclib as a client: ``client_grpclib WORK ADDRESS [NUMBERS]``; see client_puregrpc for the works."""

from __future__ import annotations

import asyncio
import sys
import time

from grpclib.client import Channel, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod

from benchmarks.work import (
    DEADLINE_SECONDS,
    INPUT,
    OUTPUT,
    UNARY,
    Clock,
    InputRequest,
    InputResponse,
    OutputRequest,
    OutputResponse,
    SimpleRequest,
    SimpleResponse,
    output_request,
    report,
    rich_metadata,
    timed_loop,
    unary_request,
)  # fmt: skip


async def unary(channel: Channel, concurrency: int, seconds: float, rich: bool) -> None:
    method = UnaryUnaryMethod(channel, UNARY, SimpleRequest, SimpleResponse)
    request = unary_request()

    async def one() -> None:
        if rich:
            await method(request, timeout=DEADLINE_SECONDS, metadata=dict(rich_metadata()))
        else:
            await method(request)

    clock = Clock()
    await timed_loop(one, clock, time.perf_counter() + min(1.0, seconds / 3))
    clock.start()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(timed_loop(one, clock, until) for _ in range(concurrency)))
    clock.stop()
    report(clock.figures(len(clock.latencies)))


async def receive(channel: Channel, size: int, count: int) -> None:
    method = UnaryStreamMethod(channel, OUTPUT, OutputRequest, OutputResponse)
    clock = Clock()
    for _ in range(2):
        clock.start()
        received = 0
        async with method.open() as stream:
            await stream.send_message(output_request(size, count), end=True)
            async for _message in stream:
                received += 1
        clock.stop()
    assert received == count
    report(clock.figures(count, size * count))


async def send(channel: Channel, size: int, count: int) -> None:
    method = StreamUnaryMethod(channel, INPUT, InputRequest, InputResponse)
    message = InputRequest(payload={"body": bytes(size)})
    clock = Clock()
    for _ in range(2):
        clock.start()
        async with method.open() as stream:
            for _ in range(count):
                await stream.send_message(message)
            await stream.end()
            reply = await stream.recv_message()
            assert reply is not None
            assert reply.aggregated_payload_size == size * count
        clock.stop()
    report(clock.figures(count, size * count))


async def run() -> None:
    work, address, *numbers = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    channel = Channel(host, int(port))
    try:
        if work in ("unary", "rich"):
            await unary(channel, int(numbers[0]), float(numbers[1]), work == "rich")
        else:
            await {"receive": receive, "send": send}[work](channel, int(numbers[0]), int(numbers[1]))
    finally:
        channel.close()


if __name__ == "__main__":
    asyncio.run(run())
