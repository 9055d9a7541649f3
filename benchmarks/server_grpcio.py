"""grpc.testing.TestService on grpc.aio, no more than the benchmarks need; prints the address it listens on."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from benchmarks.work import InputRequest, InputResponse, OutputRequest, OutputResponse, SimpleRequest, SimpleResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def unary_call(request: Any, context: Any) -> Any:
    return SimpleResponse(payload={"body": bytes(request.response_size)})


async def streaming_output_call(request: Any, context: Any) -> AsyncIterator[Any]:
    for parameters in request.response_parameters:
        yield OutputResponse(payload={"body": bytes(parameters.size)})


async def streaming_input_call(requests: Any, context: Any) -> Any:
    total = 0
    async for request in requests:
        total += len(request.payload.body)
    return InputResponse(aggregated_payload_size=total)


async def main() -> None:
    server = grpc.aio.server(options=OPTIONS)
    handlers = {
        "UnaryCall": grpc.unary_unary_rpc_method_handler(
            unary_call, SimpleRequest.FromString, SimpleResponse.SerializeToString
        ),
        "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(
            streaming_output_call, OutputRequest.FromString, OutputResponse.SerializeToString
        ),
        "StreamingInputCall": grpc.stream_unary_rpc_method_handler(
            streaming_input_call, InputRequest.FromString, InputResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.testing.TestService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await stopping.wait()
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main())
