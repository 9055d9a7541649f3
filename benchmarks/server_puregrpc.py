"""grpc.testing.TestService on puregrpc's server, no more than the benchmarks need.

``server_puregrpc WORLD ENGINE [WORKERS]``; WORLD: trio, asyncio, uvloop. With WORKERS, in so many processes beside the
one that sees to them (trio or asyncio, engine fast).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.work import (
    INPUT,
    OUTPUT,
    UNARY,
    InputRequest,
    InputResponse,
    OutputRequest,
    OutputResponse,
    SimpleRequest,
    SimpleResponse,
)  # fmt: skip
from benchmarks.worlds import run
from puregrpc.server import Method, Server, ServerConfig, Shape, serve, stop_on_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def unary_call(request: Any, context: Any) -> Any:
    return SimpleResponse(payload={"body": bytes(request.response_size)})


async def streaming_output_call(request: Any, context: Any) -> AsyncIterator[Any]:
    for parameters in request.response_parameters:
        yield OutputResponse(payload={"body": bytes(parameters.size)})


async def streaming_input_call(requests: AsyncIterator[Any], context: Any) -> Any:
    total = 0
    async for request in requests:
        total += len(request.payload.body)
    return InputResponse(aggregated_payload_size=total)


def methods() -> list[Method]:
    return [
        Method(UNARY, unary_call, Shape.UNARY, SimpleRequest.FromString, SimpleResponse.SerializeToString),
        Method(
            OUTPUT, streaming_output_call, Shape.SERVER_STREAM, OutputRequest.FromString,
            OutputResponse.SerializeToString,
        ),
        Method(
            INPUT, streaming_input_call, Shape.CLIENT_STREAM, InputRequest.FromString, InputResponse.SerializeToString
        ),
    ]  # fmt: skip


def make_server(engine: Any = "fast") -> Server:
    server = Server("127.0.0.1:0", config=ServerConfig(engine=engine, max_receive_message_size=1 << 30, stop_grace=0))
    server.add_methods(methods())
    return server


async def main(engine: str) -> None:
    server = make_server(engine)
    async with server:
        print(f"listening on {server.addresses[0]}", flush=True)
        await stop_on_signal(server, grace=0)


def serve_with(world: Any, workers: int) -> None:
    serve(
        "benchmarks.server_puregrpc:make_server",
        workers=workers,
        world=world,
        grace=0,
        on_start=lambda processes: print(f"listening on {processes.addresses[0]}", flush=True),
    )


if __name__ == "__main__":
    if len(sys.argv) > 3:
        serve_with(sys.argv[1], int(sys.argv[3]))
    else:
        run(sys.argv[1], main, sys.argv[2])
