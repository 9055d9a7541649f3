"""puregrpc's channel as a client: ``client_puregrpc WORLD ENGINE WORK ADDRESS [NUMBERS]``, on trio, asyncio or uvloop.

Works: ``unary CONCURRENCY SECONDS``; ``rich``, the same with a deadline, a bearer token and a unique request id on each
call; ``receive SIZE COUNT`` and ``send SIZE COUNT``, one stream of COUNT messages of SIZE octets.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.work import (
    DEADLINE_SECONDS,
    INPUT,
    OUTPUT,
    UNARY,
    Clock,
    InputRequest,
    InputResponse,
    OutputResponse,
    SimpleResponse,
    output_request,
    report,
    rich_metadata,
    timed_loop,
    unary_request,
)  # fmt: skip
from benchmarks.worlds import at_once, run
from puregrpc.channel import open_channel


async def unary(channel: Any, concurrency: int, seconds: float, rich: bool) -> None:
    request = unary_request()

    say = channel.unary_unary(UNARY, type(request).SerializeToString, SimpleResponse.FromString)

    async def one() -> None:
        if rich:
            await say(request, timeout=DEADLINE_SECONDS, metadata=rich_metadata())
        else:
            await say(request)

    clock = Clock()
    await timed_loop(one, clock, time.perf_counter() + min(1.0, seconds / 3))
    clock.start()
    until = time.perf_counter() + seconds
    await at_once(concurrency, timed_loop, one, clock, until)
    clock.stop()
    report(clock.figures(len(clock.latencies)))


async def receive(channel: Any, size: int, count: int) -> None:
    clock = Clock()
    for _ in range(2):
        clock.start()
        received = 0
        async with channel.call(OUTPUT) as call:
            await call.send(output_request(size, count).SerializeToString())
            await call.half_close()
            async for message in call:
                OutputResponse.FromString(message)
                received += 1
        clock.stop()
    assert received == count
    report(clock.figures(count, size * count))


async def send(channel: Any, size: int, count: int) -> None:
    message = InputRequest(payload={"body": bytes(size)})
    clock = Clock()
    for _ in range(2):
        clock.start()
        async with channel.call(INPUT) as call:
            for _ in range(count):
                await call.send(message.SerializeToString())
            await call.half_close()
            result = await call.single_response()
        clock.stop()
    assert InputResponse.FromString(result.message).aggregated_payload_size == size * count
    report(clock.figures(count, size * count))


async def main(engine: Any, work: str, address: str, *numbers: str) -> None:
    async with open_channel(address, engine=engine, max_receive_message_size=1 << 30) as channel:
        if work in ("unary", "rich"):
            await unary(channel, int(numbers[0]), float(numbers[1]), work == "rich")
        else:
            await {"receive": receive, "send": send}[work](channel, int(numbers[0]), int(numbers[1]))


if __name__ == "__main__":
    run(sys.argv[1], main, *sys.argv[2:])
