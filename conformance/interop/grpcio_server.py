"""grpc.testing.TestService on grpcio: the server that puregrpc's client is tested against.

Usage: grpcio_server.py [--tls-cert FILE --tls-key FILE]; prints the address it listens on; SIGTERM stops it.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from conformance.interop import load_reports
from conformance.interop.load_reports import load_report
from conformance.interop.messages import message_class, method_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INITIAL = "x-grpc-test-echo-initial"
TRAILING = "x-grpc-test-echo-trailing-bin"


reported: list[Any] = [message_class("TestOrcaReport")()]
"""What is reported out of band; the last one counts."""


def echo_metadata(context: Any, *more: tuple[str, bytes]) -> None:
    received = context.invocation_metadata()
    initial = [(item.key, item.value) for item in received if item.key == INITIAL]
    if initial:
        context.send_initial_metadata(initial)
    trailing = [(item.key, item.value) for item in received if item.key == TRAILING]
    if trailing or more:
        context.set_trailing_metadata([*trailing, *more])


def echo_status(request: Any, context: Any) -> None:
    status = request.response_status
    if status.code:
        code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
        context.abort(code, status.message)


def compress_as_asked(asked: Any, context: Any) -> None:
    if not asked.value:
        context.disable_next_message_compression()


class Service:
    """The methods, by the behaviour that interop-test-descriptions.md gives them."""

    def EmptyCall(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's own names and shape
        echo_metadata(context)
        return message_class("Empty")()

    def UnaryCall(self, request: Any, context: Any) -> Any:  # noqa: N802
        report = []
        if request.HasField("orca_per_query_report"):
            report.append((load_reports.TRAILER, load_report(request.orca_per_query_report)))
        echo_metadata(context, *report)
        echo_status(request, context)
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        body = bytes(request.response_size)
        return message_class("SimpleResponse")(payload={"body": body}, server_id="grpcio")

    def StreamingOutputCall(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        echo_metadata(context)
        echo_status(request, context)
        if any(parameters.compressed.value for parameters in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        for parameters in request.response_parameters:
            time.sleep(parameters.interval_us / 1e6)
            compress_as_asked(parameters.compressed, context)
            yield message_class("StreamingOutputCallResponse")(payload={"body": bytes(parameters.size)})

    def StreamingInputCall(self, requests: Any, context: Any) -> Any:  # noqa: N802
        echo_metadata(context)
        total = sum(len(request.payload.body) for request in requests)
        return message_class("StreamingInputCallResponse")(aggregated_payload_size=total)

    def FullDuplexCall(self, requests: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        echo_metadata(context)
        for request in requests:
            if request.HasField("orca_oob_report"):
                reported.append(request.orca_oob_report)
            echo_status(request, context)
            for parameters in request.response_parameters:
                time.sleep(parameters.interval_us / 1e6)
                yield message_class("StreamingOutputCallResponse")(payload={"body": bytes(parameters.size)})

    HalfDuplexCall = FullDuplexCall


def stream_core_metrics(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield load_report(reported[-1])
        time.sleep(0.2)


def handlers() -> Any:
    shapes: dict[str, Callable[..., Any]] = {
        "EmptyCall": grpc.unary_unary_rpc_method_handler,
        "UnaryCall": grpc.unary_unary_rpc_method_handler,
        "StreamingOutputCall": grpc.unary_stream_rpc_method_handler,
        "StreamingInputCall": grpc.stream_unary_rpc_method_handler,
        "FullDuplexCall": grpc.stream_stream_rpc_method_handler,
        "HalfDuplexCall": grpc.stream_stream_rpc_method_handler,
    }
    service = Service()
    made = {}
    for name, shape in shapes.items():
        request_class, response_class = method_classes("TestService", name)
        made[name] = shape(
            getattr(service, name),
            request_deserializer=request_class.FromString,
            response_serializer=response_class.SerializeToString,
        )
    return grpc.method_handlers_generic_handler("grpc.testing.TestService", made)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    arguments = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(20))
    service, _, name = load_reports.OUT_OF_BAND[1:].partition("/")
    reports = {name: grpc.unary_stream_rpc_method_handler(stream_core_metrics)}
    server.add_generic_rpc_handlers((handlers(), grpc.method_handlers_generic_handler(service, reports)))
    if arguments.tls_cert:
        pair = (Path(arguments.tls_key).read_bytes(), Path(arguments.tls_cert).read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    print(f"listening on 127.0.0.1:{port}", flush=True)
    stopping.wait()
    server.stop(1).wait()


if __name__ == "__main__":
    main()
