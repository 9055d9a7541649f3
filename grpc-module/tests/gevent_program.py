"""Calls from greenlets of one thread that gevent has not patched: handlers end once another greenlet says so."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import gevent

import grpc
from grpc.experimental.gevent import init_gevent

FEW = 12
"""Calls at once: more than gevent's pool has threads by default."""

go = threading.Semaphore(0)


def slow(request: bytes, _: Any) -> bytes:
    assert go.acquire(timeout=20)
    return request


def some(request: bytes, _: Any) -> Iterator[bytes]:
    for _each in range(3):
        assert go.acquire(timeout=20)
        yield request


def last(requests: Iterator[bytes], context: Any) -> bytes:
    return [slow(request, context) for request in requests][-1]


def each(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        yield slow(request, context)


def released(times: int, *functions: Callable[[], Any]) -> list[Any]:
    """What the functions give, each in a greenlet, while this one lets handlers go on."""
    greenlets = [gevent.spawn(function) for function in functions]
    gevent.sleep(0.05)
    assert not any(greenlet.ready() for greenlet in greenlets)
    go.release(times)
    gevent.joinall(greenlets, timeout=20, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def main() -> None:
    init_gevent()
    server = grpc.server(futures.ThreadPoolExecutor(FEW))
    handlers = {
        "Slow": grpc.unary_unary_rpc_method_handler(slow),
        "Some": grpc.unary_stream_rpc_method_handler(some),
        "Last": grpc.stream_unary_rpc_method_handler(last),
        "Each": grpc.stream_stream_rpc_method_handler(each),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    gevent.spawn(lambda: grpc.channel_ready_future(channel).result(20)).get(timeout=20)
    unary = channel.unary_unary("/a.B/Slow")
    several, once_more = channel.unary_stream("/a.B/Some"), channel.stream_stream("/a.B/Each")
    assert released(FEW, *[lambda: unary(b"x", timeout=20)] * FEW) == [b"x"] * FEW
    assert released(1, lambda: unary.with_call(b"x")[1].code()) == [grpc.StatusCode.OK]
    assert released(2, unary.future(b"x").result, lambda: unary.future(b"x").code()) == [b"x", grpc.StatusCode.OK]
    assert released(3, lambda: list(several(b"x"))) == [[b"x"] * 3]
    assert released(2, lambda: channel.stream_unary("/a.B/Last")(iter([b"a", b"b"]))) == [b"b"]
    assert released(2, lambda: list(once_more(iter([b"a", b"b"])))) == [[b"a", b"b"]]
    # What interrupts a greenlet ends a unary call, and leaves a stream as it is.
    assert gevent.with_timeout(0.1, unary, b"x", timeout_value="late") == "late"
    stream = several(b"x")
    assert gevent.with_timeout(0.1, next, stream, timeout_value="late") == "late"
    assert released(4, lambda: list(stream)) == [[b"x"] * 3]  # one more, for the handler that nobody waits for
    assert server.wait_for_termination(0.01)
    print("fine", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
