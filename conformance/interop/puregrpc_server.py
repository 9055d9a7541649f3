"""grpc.testing.TestService on puregrpc: the server that grpcio's and grpc-go's clients are pointed at.

Usage: puregrpc_server.py [--engine h2|fast] [--tls-cert FILE --tls-key FILE]; prints its address; SIGTERM stops it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import anyio

from conformance.interop import load_reports
from conformance.interop.load_reports import load_report
from conformance.interop.messages import message_class, method_classes
from puregrpc.server import Method, Server, ServerConfig, Shape, stop_on_signal
from puregrpc.transport import TlsOptions
from puregrpc.wire.status import StatusCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"


reported: list[Any] = [message_class("TestOrcaReport")()]
"""What is reported out of band; the last one counts."""


def echo_metadata(context: Any, *more: tuple[str, bytes]) -> None:
    trailing = [pair for pair in context.metadata if pair[0] == TRAILING]
    context.set_trailing_metadata([*trailing, *more])
    initial = [pair for pair in context.metadata if pair[0] == INITIAL]
    if initial:
        context.send_initial_metadata(initial)


def echo_status(request: Any, context: Any) -> None:
    if request.response_status.code:
        context.abort(request.response_status.code, request.response_status.message)


def check_compression(expected: int, context: Any) -> None:
    if context.compressed_messages != expected:
        context.abort(
            StatusCode.INVALID_ARGUMENT,
            f"{context.compressed_messages} messages came compressed where {expected} were to",
        )


async def empty_call(request: Any, context: Any) -> Any:
    echo_metadata(context)
    return message_class("Empty")()


async def unary_call(request: Any, context: Any) -> Any:
    if request.HasField("expect_compressed"):
        check_compression(int(request.expect_compressed.value), context)
    if request.response_compressed.value:
        context.set_compression("gzip")
    report = []
    if request.HasField("orca_per_query_report"):
        report.append((load_reports.TRAILER, load_report(request.orca_per_query_report)))
    echo_metadata(context, *report)
    echo_status(request, context)
    return message_class("SimpleResponse")(payload={"body": bytes(request.response_size)}, server_id="puregrpc")


async def streaming_output_call(request: Any, context: Any) -> AsyncIterator[Any]:
    if any(parameters.compressed.value for parameters in request.response_parameters):
        context.set_compression("gzip")
    echo_metadata(context)
    echo_status(request, context)
    for parameters in request.response_parameters:
        await anyio.sleep(parameters.interval_us / 1e6)
        if not parameters.compressed.value:
            context.disable_next_message_compression()
        yield message_class("StreamingOutputCallResponse")(payload={"body": bytes(parameters.size)})


async def streaming_input_call(requests: AsyncIterator[Any], context: Any) -> Any:
    echo_metadata(context)
    total = expected = 0
    any_expectation = False
    async for request in requests:
        total += len(request.payload.body)
        any_expectation |= request.HasField("expect_compressed")
        expected += request.expect_compressed.value
    if any_expectation:
        check_compression(expected, context)
    return message_class("StreamingInputCallResponse")(aggregated_payload_size=total)


async def full_duplex_call(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
    echo_metadata(context)
    async for request in requests:
        if request.HasField("orca_oob_report"):
            reported.append(request.orca_oob_report)
        echo_status(request, context)
        for parameters in request.response_parameters:
            await anyio.sleep(parameters.interval_us / 1e6)
            yield message_class("StreamingOutputCallResponse")(payload={"body": bytes(parameters.size)})


async def stream_core_metrics(request: bytes, context: Any) -> AsyncIterator[bytes]:
    while True:
        yield load_report(reported[-1])
        await anyio.sleep(0.2)


HANDLERS = {
    "EmptyCall": (empty_call, Shape.UNARY),
    "UnaryCall": (unary_call, Shape.UNARY),
    "StreamingOutputCall": (streaming_output_call, Shape.SERVER_STREAM),
    "StreamingInputCall": (streaming_input_call, Shape.CLIENT_STREAM),
    "FullDuplexCall": (full_duplex_call, Shape.BIDI),
    "HalfDuplexCall": (full_duplex_call, Shape.BIDI),
}


def methods() -> list[Method]:
    made = []
    for name, (handler, shape) in HANDLERS.items():
        request_class, response_class = method_classes("TestService", name)
        path = f"/grpc.testing.TestService/{name}"
        made.append(Method(path, handler, shape, request_class.FromString, response_class.SerializeToString))
    return [*made, Method(load_reports.OUT_OF_BAND, stream_core_metrics, Shape.SERVER_STREAM)]


async def main(arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.tls_cert:
        tls = TlsOptions(certificate_chain=arguments.tls_cert, private_key=arguments.tls_key)
    server = Server("127.0.0.1:0", tls=tls, config=ServerConfig(engine=arguments.engine, stop_grace=1))
    server.add_methods(methods())
    async with server:
        print(f"listening on {server.addresses[0]}", flush=True)
        await stop_on_signal(server, grace=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", default="fast")
    parser.add_argument("--world", default="trio")
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    given = parser.parse_args()
    anyio.run(main, given, backend=given.world)
