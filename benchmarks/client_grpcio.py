"""grpcio as a client: ``client_grpcio aio|sync WORK ADDRESS [NUMBERS]``; see client_puregrpc for the works."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

import grpc
import grpc.aio

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

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def methods(channel: Any) -> tuple[Any, Any, Any]:
    return (
        channel.unary_unary(
            UNARY, request_serializer=SimpleRequest.SerializeToString, response_deserializer=SimpleResponse.FromString
        ),
        channel.unary_stream(
            OUTPUT, request_serializer=OutputRequest.SerializeToString, response_deserializer=OutputResponse.FromString
        ),
        channel.stream_unary(
            INPUT, request_serializer=InputRequest.SerializeToString, response_deserializer=InputResponse.FromString
        ),
    )


async def unary_aio(address: str, concurrency: int, seconds: float, rich: bool) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        method, _, _ = methods(channel)
        request = unary_request()

        async def one() -> None:
            if rich:
                await method(request, timeout=DEADLINE_SECONDS, metadata=rich_metadata())
            else:
                await method(request)

        clock = Clock()
        await timed_loop(one, clock, time.perf_counter() + min(1.0, seconds / 3))
        clock.start()
        until = time.perf_counter() + seconds
        await asyncio.gather(*(timed_loop(one, clock, until) for _ in range(concurrency)))
        clock.stop()
        report(clock.figures(len(clock.latencies)))


def unary_sync(address: str, concurrency: int, seconds: float, rich: bool) -> None:
    with grpc.insecure_channel(address, OPTIONS) as channel:
        method, _, _ = methods(channel)
        request = unary_request()
        clock = Clock()

        def loop(until: float) -> None:
            now = time.perf_counter()
            while now < until:
                if rich:
                    method(request, timeout=DEADLINE_SECONDS, metadata=rich_metadata())
                else:
                    method(request)
                then = now
                now = time.perf_counter()
                clock.latencies.append(now - then)

        loop(time.perf_counter() + min(1.0, seconds / 3))
        clock.start()
        until = time.perf_counter() + seconds
        threads = [threading.Thread(target=loop, args=(until,)) for _ in range(concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.stop()
        report(clock.figures(len(clock.latencies)))


async def receive_aio(address: str, size: int, count: int) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        _, method, _ = methods(channel)
        request = output_request(size, count)
        clock = Clock()
        for _ in range(2):
            clock.start()
            received = 0
            async for _message in method(request):
                received += 1
            clock.stop()
        assert received == count
        report(clock.figures(count, size * count))


async def send_aio(address: str, size: int, count: int) -> None:
    async with grpc.aio.insecure_channel(address, OPTIONS) as channel:
        _, _, method = methods(channel)
        message = InputRequest(payload={"body": bytes(size)})
        clock = Clock()
        for _ in range(2):
            clock.start()
            call = method()
            for _ in range(count):
                await call.write(message)
            await call.done_writing()
            reply = await call
            clock.stop()
        assert reply.aggregated_payload_size == size * count
        report(clock.figures(count, size * count))


def main() -> None:
    kind, work, address, *numbers = sys.argv[1:]
    if work in ("unary", "rich"):
        concurrency, seconds = int(numbers[0]), float(numbers[1])
        if kind == "sync":
            unary_sync(address, concurrency, seconds, work == "rich")
        else:
            asyncio.run(unary_aio(address, concurrency, seconds, work == "rich"))
    else:
        asyncio.run({"receive": receive_aio, "send": send_aio}[work](address, int(numbers[0]), int(numbers[1])))


if __name__ == "__main__":
    main()
