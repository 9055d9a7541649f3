"""grpc.testing.TestService on puregrpc's server, no more than the benchmarks need: ``server_puregrpc [ENGINE]``."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import trio

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
from puregrpc.server import Method, Server, ServerConfig, Shape

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


async def main(engine: Any) -> None:
    config = ServerConfig(engine=engine, max_receive_message_size=1 << 30, stop_grace=0)
    server = Server("127.0.0.1:0", config=config)
    server.add_methods(methods())
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with server:
            print(f"listening on {server.addresses[0]}", flush=True)
            async for _ in signals:
                break


if __name__ == "__main__":
    trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "fast")
