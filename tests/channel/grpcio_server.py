"""A grpcio server whose methods take and give raw bytes, for the channel to call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc


def echo(request: bytes, context: Any) -> bytes:
    return request


def empty(request: bytes, context: Any) -> bytes:
    return b""


def metadata_back(request: bytes, context: Any) -> bytes:
    """Sends the x- metadata back as headers and as trailers, and what it saw as JSON."""
    mine = [(name, value) for name, value in context.invocation_metadata() if name.startswith("x-")]
    context.send_initial_metadata([*mine, ("x-first", "1")])
    context.set_trailing_metadata([*mine, ("x-last", "2")])
    seen = {name: value if isinstance(value, str) else list(value) for name, value in context.invocation_metadata()}
    seen["time_remaining"] = context.time_remaining()
    seen["peer_code"] = context.code() and context.code().name
    return json.dumps(seen).encode()


def fail(request: bytes, context: Any) -> bytes:
    context.set_trailing_metadata([("x-why", "because"), ("grpc-status-details-bin", b"\x08\x05details")])
    context.abort(grpc.StatusCode.NOT_FOUND, request.decode() or "näht 100% da\n")
    return b""


def sleep(request: bytes, context: Any) -> bytes:
    until = time.monotonic() + float(request)
    while context.is_active() and time.monotonic() < until:
        time.sleep(0.005)
    return request


def count(request: bytes, context: Any) -> Iterator[bytes]:
    """``number size fail``: so many messages of so many octets, and an error after them if fail is 1."""
    number, size, failing = (*map(int, request.split()), 0, 0)[:3]
    for n in range(number):
        yield b"%d" % n if not size else bytes(size)
    if failing:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "no more")


def forever(request: bytes, context: Any) -> Iterator[bytes]:
    while context.is_active():
        yield bytes(1000)


def collect(requests: Iterator[bytes], context: Any) -> bytes:
    sizes = [len(request) for request in requests]
    return b"%d %d" % (len(sizes), sum(sizes))


def early(requests: Iterator[bytes], context: Any) -> bytes:
    """Answers after the first request, whatever follows."""
    next(requests)
    return b"enough"


def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        if request == b"fail":
            context.abort(grpc.StatusCode.ABORTED, "as asked")
        yield request.upper()


HANDLERS = {
    "Echo": grpc.unary_unary_rpc_method_handler(echo),
    "Empty": grpc.unary_unary_rpc_method_handler(empty),
    "MetadataBack": grpc.unary_unary_rpc_method_handler(metadata_back),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Sleep": grpc.unary_unary_rpc_method_handler(sleep),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Forever": grpc.unary_stream_rpc_method_handler(forever),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Early": grpc.stream_unary_rpc_method_handler(early),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


@contextmanager
def grpcio_server(address: str = "127.0.0.1:0", credentials: Any = None) -> Iterator[str]:
    """Run the server; gives ``host:port`` (or the address itself, for unix sockets)."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", HANDLERS),))
    if credentials is not None:
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield address if address.startswith("unix") else f"{address.rpartition(':')[0]}:{port}"
    finally:
        server.stop(0).wait()
